//! What is wrong with an image is found by building and starting it, each fault by its own code.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    store::Store,
    world::{GOOD, World, podman},
};

fn judged(configuration: &str, containerfile: &str) -> (i32, String, Vec<String>) {
    let world = World::new(configuration);
    world.compile();
    world.write("Containerfile", containerfile);
    world.commit("images");
    let said = world.xtask(&["ci", "images"]);
    assert!(!containers_of(&world), "containers were left");
    (said.code, said.text, world.codes())
}

#[test]
fn an_image_as_it_should_be_is_green() {
    let (code, text, codes) = judged("", GOOD);
    assert_eq!((code, codes), (0, vec![]), "{text}");
}

#[test]
fn an_image_that_turns_healthy_but_ignores_term_is_told_so_and_nothing_else() {
    let stubborn = GOOD.replace("ENTRYPOINT [\"/edge\"]", "ENTRYPOINT [\"/edge\", \"stubborn\"]");
    let (code, text, codes) = judged("", &stubborn);
    assert_eq!((code, codes), (1, vec!["image-ignores-term".to_owned()]), "{text}");
    assert!(text.contains("does not end within 15 s of TERM"), "{text}");
}

#[test]
fn an_image_that_writes_where_nothing_is_declared_cannot_start() {
    let writes = GOOD.replace("ENTRYPOINT [\"/edge\"]", "ENTRYPOINT [\"/edge\", \"writes\"]");
    let (code, text, codes) = judged("", &writes);
    assert_eq!((code, codes[0].as_str()), (1, "image-not-ready"), "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    assert!(text.contains("write only below a `VOLUME`"), "{text}");
}

#[test]
fn an_image_can_write_below_its_volumes_and_nowhere_else_and_they_go_with_the_run() {
    let store = Store::empty();
    let world = World::new("");
    world.compile();
    for folder in ["tmp", "var/tmp", "run", "data"] {
        let folder = world.root().join("root").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    // It tries every folder, and ends where another one than those that it names takes a file.
    let probes = "VOLUME /data\nENTRYPOINT [\"/edge\", \"probes\", \"/data\"]";
    world.write("Containerfile", &GOOD.replace("ENTRYPOINT [\"/edge\"]", probes));
    world.commit("images");
    let said = world.run(&mut store.command(&world, &["ci", "images"]));
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(store.podman(&["volume", "ls", "--quiet"]), "");
}

#[test]
fn an_image_without_what_it_shall_run_is_told_so() {
    let broken = GOOD.replace("[\"/edge\"", "[\"/nothing\"").replace("[\"/edge\",", "[\"/nothing\",");
    let (code, text, codes) = judged("", &broken);
    assert_eq!((code, codes), (1, vec!["image-not-ready".to_owned()]), "{text}");
}

#[test]
fn an_image_that_never_answers_is_told_with_its_last_words() {
    let deaf = GOOD
        .replace("HEALTHCHECK CMD [\"/edge\", \"healthcheck\"]", "HEALTHCHECK CMD [\"/edge\"]")
        .replace("USER 65532:65532", "USER 65532:65532\nENV RUST_BACKTRACE=0")
        .replace("ENTRYPOINT [\"/edge\"]", "ENTRYPOINT [\"/edge\", \"healthcheck\"]");
    let (code, text, codes) = judged("", &deaf);
    assert_eq!(
        (code, codes),
        (1, vec!["image-not-ready".to_owned(), "image-ignores-term".to_owned()]),
        "{text}"
    );
}

#[test]
fn a_health_check_that_always_says_yes_is_seen_through() {
    let lie = GOOD.replace("\"healthcheck\"]", "\"yes\"]");
    let lie = lie.replace("ENTRYPOINT [\"/edge\"]", "ENTRYPOINT [\"/edge\", \"deaf\"]");
    let (code, text, codes) = judged("", &lie);
    assert_eq!(code, 1, "{text}");
    assert_eq!(codes[0], "image-not-ready", "{text}");
    assert!(text.contains("says that it is healthy, but `GET /` answers nothing"), "{text}");
}

#[test]
fn a_target_that_is_not_there_is_told_with_those_that_are() {
    let (code, text, codes) = judged("", "FROM scratch AS edge\nCOPY root/ /\n");
    assert_eq!((code, codes), (1, vec!["image-build-failed".to_owned()]), "{text}");
    assert!(
        text.contains("the Containerfile has no target `edge-runtime` for `edge`; it has `edge`"),
        "{text}"
    );
}

#[test]
fn an_interrupted_run_leaves_no_container() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    let mut run =
        world.command(&["ci", "images"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("a container of the run", || containers_of(&world));
    let signalled = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!containers_of(&world));
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_one() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    let built = world.xtask(&["images", "build"]);
    assert_eq!(built.code, 0, "{}", built.text);
    let image = format!("localhost/{}/edge", world.name);
    let image = podman(&["images", "--quiet", &image]).trim().to_owned();
    // No process has this number: the kernel's highest is far below.
    let left = podman(&["create", "--label", "dev.slipway.run=1-999999999", &image]).trim().to_owned();
    assert!(!left.is_empty());
    let said = world.xtask(&["ci", "images"]);
    assert_eq!(
        podman(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &format!("id={left}")]),
        "",
        "{}",
        said.text
    );
}

fn containers_of(world: &World) -> bool {
    podman(&["ps", "--all", "--format", "{{.Image}}"]).contains(&world.name)
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 60 s");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_interrupted_build_leaves_nothing_running() {
    let world = World::new("");
    world.compile();
    let endless = "FROM scratch AS edge-runtime\nCOPY root/ /\nENV LISTEN=127.0.0.1:0\nRUN [\"/edge\"]\n";
    world.write("Containerfile", endless);
    let mut run =
        world.command(&["images", "build"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("a process of the build", || builds(&world));
    let signalled = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    wait_for("the end of the build's process", || !builds(&world));
}

#[test]
fn what_a_build_left_that_was_killed_is_removed_by_the_next_one_of_any_checkout_with_its_mounts() {
    let (world, other) = (World::new(""), World::new(""));
    world.compile();
    other.compile();
    let endless = "FROM scratch AS edge-runtime\nCOPY root/ /\nENV LISTEN=127.0.0.1:0\nRUN [\"/edge\"]\n";
    world.write("Containerfile", endless);
    let mut run =
        world.command(&["images", "build"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("a process of the build", || builds(&world));
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("a container that is left", || !left(&world).is_empty());
    // Whoever looks after a killed run's children has its lock until they have ended, or had time to.
    let lock = std::fs::File::open(world.root().join("target/xtask/lock")).unwrap();
    wait_for("the end of the killed run", || lock.try_lock().is_ok());
    drop(lock);
    assert!(!left(&world).is_empty(), "podman tidied up by itself");
    other.write("Containerfile", GOOD);
    let said = other.xtask(&["images", "build"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(left(&world), Vec::<String>::new());
    assert!(!builds(&world));
}

/// The containers of this workspace's builds, with what is mounted for them.
fn left(world: &World) -> Vec<String> {
    let store = podman(&["info", "--format", "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-containers"]);
    let folders = std::fs::read_dir(store.trim()).unwrap().flatten().map(|it| it.path());
    let own = |it: &std::path::PathBuf| {
        std::fs::read_to_string(it.join("userdata/buildah.json")).is_ok_and(|it| it.contains(&world.name))
    };
    folders.filter(own).map(|it| it.display().to_string()).collect()
}

/// Whether a process runs that has a folder of this workspace mounted, as only a build has.
fn builds(world: &World) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mounts = processes.map(|it| std::fs::read_to_string(it.path().join("mountinfo")).unwrap_or_default());
    let folder = format!("{}/target/xtask/cargo", world.name);
    mounts.into_iter().any(|it| it.lines().any(|line| line.contains(&folder) && line.contains(" /.cargo ")))
}
