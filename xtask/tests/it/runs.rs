//! Reports, interrupts, and two runs at once.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::project::{Project, Said};

/// How long a run may take to come to a point that a test waits for.
const DEADLINE: Duration = Duration::from_secs(120);

/// A workspace whose only test sleeps until it is told to end, which nobody does.
pub(crate) fn endless() -> Project {
    Project::with(&[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        (
            "src/lib.rs",
            "//! Tiny.\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn waits() {\n        std::fs::write(\"started\", std::process::id().to_string()).unwrap();\n        std::thread::sleep(std::time::Duration::from_secs(600));\n    }\n}\n",
        ),
    ])
}

#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn start(project: &Project, arguments: &[&str]) -> Child {
    project.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts the endless test and waits until it runs; returns the run and the test's process.
fn started(project: &Project) -> (Child, u32) {
    let child = start(project, &["ci", "fmt", "clippy", "test"]);
    let mark = project.root.join("started");
    until("the test", || fs::read_to_string(&mark).is_ok_and(|it| !it.is_empty()));
    let test = fs::read_to_string(&mark).unwrap().parse().unwrap();
    (child, test)
}

fn signal(child: &Child, kind: Signal) {
    kill_process(Pid::from_child(child), kind).unwrap();
}

fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| !it.contains(") Z "))
}

#[test]
fn an_interrupted_run_ends_with_130_and_leaves_nothing_running() {
    let project = endless();
    let (child, test) = started(&project);
    signal(&child, Signal::INT);
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.stdout);
    until("the test's end", || !alive(test));
    assert!(said.stdout.lines().last().unwrap().starts_with("INTERRUPTED"), "{}", said.stdout);

    insta::assert_snapshot!(project.verdicts(), @"
    interrupted
    fmt passed
    clippy passed
    test cancelled
    ");
}

#[test]
fn a_killed_run_leaves_no_earlier_green_and_nothing_running() {
    let project = endless();
    let (mut child, test) = started(&project);
    assert_eq!(project.report()["verdict"], "interrupted");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert_eq!(project.report()["verdict"], "interrupted");
    until("the test's end", || !alive(test));
}

#[test]
fn a_second_run_in_a_checkout_waits_and_says_for_whom() {
    let project = endless();
    let (first, _) = started(&project);
    let mut second = start(&project, &["ci", "fmt"]);
    let mut told = String::new();
    BufReader::new(second.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with(&format!("another run holds this checkout (process {})", first.id())), "{told}");
    signal(&first, Signal::INT);
    assert_eq!(Said::from(first.wait_with_output().unwrap()).code, 130);
    assert_eq!(Said::from(second.wait_with_output().unwrap()).code, 0);
}

#[test]
fn the_first_failure_ends_the_run_and_keep_going_does_not() {
    let project = endless();
    project.write("src/lib.rs", "//! Tiny.\nfn  unformatted( ) { }\n");
    assert_eq!(project.xtask(&["ci", "clippy", "test"]).code, 1);
    insta::assert_snapshot!(project.verdicts(), @"
    red
    clippy failed dead_code
    test cancelled
    ");
    let said = project.xtask(&["ci", "fmt", "clippy", "--keep-going"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(project.verdicts(), @"
    red
    fmt failed unformatted
    clippy failed dead_code
    ");
    // Side by side: whichever ends first is told first; the end has the table's order.
    let told = project.masked(&said.stdout);
    let (steps, end) = told.split_once("\n\nfmt failed\n").unwrap();
    assert!(steps.contains("fmt     FAILED     <time>\n    Diff in src/lib.rs:1:"), "{steps}");
    assert!(steps.contains("clippy  FAILED     <time>\n    warning: function `unformatted`"), "{steps}");
    insta::assert_snapshot!(end, @"
        log        target/xtask/logs/fmt.log
        reproduce  cargo xtask -C <root> ci fmt
        fix        cargo fmt --all
    clippy failed
        log        target/xtask/logs/clippy.log
        reproduce  cargo xtask -C <root> ci clippy
        fix        cargo clippy --fix --allow-dirty --workspace --all-targets
    RED  2 failed  <time>
    ");
}

#[test]
fn events_are_one_json_value_a_line() {
    let project = endless();
    let said = project.xtask(&["ci", "fmt", "--message-format", "json"]);
    let events: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["run-started", "step-started", "step-finished", "run-finished"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let project = endless();
    project.write("target/xtask", "in the way");
    let said = project.xtask(&["ci", "fmt"]);
    assert_eq!(said.code, 3);
    insta::assert_snapshot!(project.masked(&said.stderr), @"error: cannot write `target/xtask`: File exists (os error 17)");
}

#[test]
fn a_report_that_cannot_be_written_leaves_no_earlier_one() {
    let project = endless();
    assert_eq!(project.xtask(&["ci", "fmt"]).code, 0);
    fs::create_dir(project.root.join("target/xtask/report.json.part")).unwrap();
    let said = project.xtask(&["ci", "fmt"]);
    assert_eq!(said.code, 3);
    insta::assert_snapshot!(project.masked(&said.stderr), @"error: cannot write `<root>/target/xtask/report.json`: Is a directory (os error 21)");
    assert!(!project.root.join("target/xtask/report.json").exists());
}

#[test]
fn whoever_stops_reading_does_not_stop_the_run() {
    let project = endless();
    for format in ["plain", "json"] {
        let mut child = start(&project, &["ci", "fmt", "clippy", "--message-format", format]);
        drop(child.stdout.take());
        assert_eq!(Said::from(child.wait_with_output().unwrap()).code, 0, "{format}");
        assert_eq!(project.report()["verdict"], "green", "{format}");
    }
}

/// A workspace with a step of its own in another lane than the endless test, which runs `script`.
fn beside(script: &str) -> Project {
    let project = endless();
    project.write("beside.sh", script);
    let lane = "inputs = [\"beside.sh\"]\nlane = \"image\"\n";
    let step = format!("[[steps]]\nname = \"beside\"\ncommand = [\"sh\", \"beside.sh\"]\n{lane}");
    project.write(".config/xtask.toml", &step);
    project.write(".gitignore", "/target\n/started\n/beside\n");
    project.git(&["init", "--quiet"]);
    project
}

/// Waits for a file with the number of a process.
fn process(project: &Project, file: &str) -> u32 {
    let mark = project.root.join(file);
    until(file, || fs::read_to_string(&mark).is_ok_and(|it| it.ends_with('\n') || it.parse::<u32>().is_ok()));
    fs::read_to_string(&mark).unwrap().trim().parse().unwrap()
}

#[test]
fn an_interrupt_ends_every_lane() {
    let project = beside("echo $$ > beside\nsleep 600\n");
    let child = start(&project, &["ci", "test", "beside"]);
    let (test, other) = (process(&project, "started"), process(&project, "beside"));
    signal(&child, Signal::TERM);
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.stdout);
    until("the end of both", || !alive(test) && !alive(other));
    assert!(said.stdout.lines().last().unwrap().starts_with("INTERRUPTED  2 cancelled"), "{}", said.stdout);
}

#[test]
fn a_second_interrupt_does_not_wait_for_who_ignores_the_first() {
    let project = beside("trap '' INT TERM\necho $$ > beside\nwhile :; do sleep 1; done\n");
    let child = start(&project, &["ci", "test", "beside"]);
    let (test, other) = (process(&project, "started"), process(&project, "beside"));
    signal(&child, Signal::INT);
    thread::sleep(Duration::from_millis(300));
    assert!(alive(other), "it ignores the first");
    let second = Instant::now();
    signal(&child, Signal::INT);
    let said = Said::from(child.wait_with_output().unwrap());
    assert!(second.elapsed() < Duration::from_secs(5), "{:?}", second.elapsed());
    assert_eq!(said.code, 130, "{}", said.stdout);
    until("the end of both", || !alive(test) && !alive(other));
}

#[test]
fn a_run_that_was_killed_leaves_no_verdict_of_what_was_running() {
    let project = beside("[ -e quick ] || { echo $$ > beside; sleep 600; }\n");
    let mut child = start(&project, &["ci", "beside"]);
    let other = process(&project, "beside");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    until("its end", || !alive(other));
    project.write("quick", "");
    assert_eq!(project.xtask(&["ci", "beside"]).code, 0);
    assert_eq!(project.report()["steps"][0]["reason"], "no verdict yet");
    assert_eq!(project.xtask(&["ci", "beside"]).code, 0);
    assert_eq!(project.report()["steps"][0]["status"], "cached");
}

#[test]
fn a_run_after_a_killed_one_waits_until_what_that_left_has_ended() {
    let project = beside(
        "[ -e again ] && exec test -e tidied\ntrap 'sleep 1; touch tidied; exit 1' INT\necho $$ > beside\nwhile :; do sleep 0.05; done\n",
    );
    let mut child = start(&project, &["ci", "beside"]);
    process(&project, "beside");
    project.write("again", "");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let said = project.xtask(&["ci", "beside"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let waited = format!("another run holds this checkout (process {}); waiting for it", child.id());
    assert_eq!(said.stderr.lines().next(), Some(waited.as_str()));
}

#[test]
fn time_that_cargos_lock_is_held_by_somebody_else_is_told_apart() {
    let project = endless();
    assert_eq!(project.xtask(&["ci", "clippy"]).code, 0);
    let lock = fs::File::options().write(true).open(project.root.join("target/debug/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    let child = start(&project, &["ci", "clippy", "--message-format", "json"]);
    let log = project.root.join("target/xtask/logs/clippy.log");
    until("the wait", || {
        // Somebody else's cargo may hold the cache of packages meanwhile, which is another lock.
        let waits = |it: &str| it.contains("Blocking waiting for file lock") && !it.contains("package cache");
        fs::read_to_string(&log).is_ok_and(|it| it.lines().any(waits))
    });
    thread::sleep(Duration::from_millis(500));
    drop(lock);
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    let events: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let waiting = events.iter().find(|it| it["event"] == "step-waiting").unwrap();
    assert!(waiting["on"].as_str().unwrap().starts_with("cargo's lock on the "), "{waiting}");
    let step = &project.report()["steps"][0];
    let (waited, took) = (step["waited_ms"].as_u64().unwrap(), step["duration_ms"].as_u64().unwrap());
    assert!((500..=took).contains(&waited), "{waited} of {took}");
}
