//! Runs that end in the middle, however they end, are gone on with by doing it again.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use scratch_registry::ScratchRegistry;
use serde_json::Value;

use crate::world::{EDGE, Said, World};

const RELEASE: &[&str] =
    &["0.2.0", "--execute", "--accept-no-advisories", "--message-format", "json", "--verbose"];

/// What a run says before it does something, in the order in which it does it: the step, and a part of its line.
const POINTS: &[(&str, &str)] = &[
    ("checks", ""),
    ("version", ""),
    ("version", "git commit"),
    // First of the gate's: lanes run side by side, and an image that was built is not built again.
    ("images", "podman build"),
    ("images", ""),
    ("fmt", ""),
    ("clippy", ""),
    ("evidence", ""),
    ("tag", ""),
    ("tag", "git tag"),
    ("push", ""),
    ("push", "edge: save"),
    ("push", "edge: blob"),
    ("push", "edge: manifest"),
    ("push", "edge: sign"),
    ("push", "edge: attach the SBOM"),
    ("verify", ""),
    ("verify", "edge: pull"),
    ("publish", ""),
    ("publish", "edge: tag `v0.2.0`"),
    ("publish", "edge: tag `sha-"),
    ("publish", "record: sign"),
    ("publish", "edge: attach the record"),
    ("publish", "edge: move `latest`"),
];

/// Whether an event is the one that a point names.
fn is_at(line: &str, (step, part): (&str, &str)) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
    event["step"] == step
        && match event["event"].as_str() {
            Some("step-started") => part.is_empty(),
            Some("step-output") => {
                !part.is_empty() && event["line"].as_str().is_some_and(|it| it.contains(part))
            }
            _ => false,
        }
}

/// Starts a release and returns once it comes to a point.
pub(crate) fn until_point(mut command: Command, point: (&str, &str)) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if is_at(&line, point) {
            return child;
        }
        said = said + &line + "\n";
    }
    child.wait().unwrap();
    panic!("no run came to {point:?}:\n{said}");
}

#[test]
fn a_release_that_is_interrupted_and_killed_at_every_point_and_begun_twice_ends_in_the_same_state() {
    let registry = ScratchRegistry::start().unwrap();
    let world = World::published_to(registry.address());
    for &point in POINTS {
        if point == ("push", "edge: blob") {
            an_interrupted_run_says_how_to_go_on(&world);
        }
        // A run that was killed elsewhere, in another lane, may have come so far as to judge it.
        fs::remove_dir_all(world.root().join("target/xtask/verdicts").join(point.0)).ok();
        let mut child = until_point(world.command(RELEASE), point);
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(world.report()["verdict"], "interrupted", "{point:?}");
    }
    a_second_run_waits_and_says_for_whom(&world);

    let head = world.git(&["rev-parse", "HEAD"]);
    assert_eq!(world.git(&["log", "--format=%s"]), "Release 0.2.0\nMake an image\nBegin");
    assert_eq!(world.git(&["rev-parse", "v0.2.0^{commit}"]), head);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    let mut names: Vec<String> =
        registry.shelf(EDGE).tags().into_iter().filter(|it| !it.starts_with("sha256-")).collect();
    names.sort();
    assert_eq!(names, ["latest".to_owned(), format!("sha-{head}"), "v0.2.0".to_owned()]);
    let folder = world.root().join("target/xtask/release/0.2.0");
    let mut left: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|it| it != "images")
        .collect();
    left.sort();
    assert_eq!(left, ["order.json", "pushed.json", "release.json", "release.json.sig"]);
}

fn an_interrupted_run_says_how_to_go_on(world: &World) {
    let mut command = world.command(&["0.2.0", "--execute", "--accept-no-advisories", "--verbose"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|it| it.contains("edge: save")));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let said: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said:#?}");
    let again = " release 0.2.0 --execute --accept-no-advisories";
    let goes_on = |it: &String| it.starts_with("to go on: cargo xtask") && it.ends_with(again);
    assert!(said.iter().any(goes_on), "{said:#?}");
    assert_eq!(world.report()["verdict"], "interrupted");
}

fn a_second_run_waits_and_says_for_whom(world: &World) {
    let mut first = until_point(world.command(RELEASE), ("push", ""));
    let mut second = world.command(&["0.2.0", "--execute", "--accept-no-advisories"]);
    let mut second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(second.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with(&format!("another run holds this checkout (process {})", first.id())), "{told}");
    // Nobody reads what the first one says any more: it goes on all the same.
    assert!(first.wait().unwrap().success());
    let said = Said::from(second.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.text);
}
