//! Credentials come by the environment, by a file or by standard input, and are nowhere else.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use scratch_registry::ScratchRegistry;

use crate::world::{Said, World};

/// Who may push.
const USER: &str = "ann";
/// Made of words, so that it is found wherever it would be, and taken for no real one.
const PASSWORD: &str = "correct-horse-battery";

/// Looks at the arguments of every process until it is told to stop, and returns those that held the password.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<(BTreeSet<String>, usize)>,
}

impl Watch {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut found, mut podmans) = (BTreeSet::new(), 0);
            while !told.load(Ordering::SeqCst) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    let words = String::from_utf8_lossy(&words).replace('\0', " ");
                    podmans += usize::from(words.contains("podman") && words.contains("--authfile"));
                    if words.contains(PASSWORD) {
                        found.insert(words);
                    }
                }
                thread::sleep(std::time::Duration::from_millis(2));
            }
            (found, podmans)
        });
        Self { stop, thread }
    }

    fn found(self) -> (BTreeSet<String>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// Files below a folder that hold the text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = file.path();
            if file.file_type().is_ok_and(|it| it.is_dir()) {
                waiting.push(path);
            } else if fs::read(&path).is_ok_and(|it| it.windows(text.len()).any(|it| it == text.as_bytes())) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn base64(text: &str) -> String {
    let mut command =
        Command::new("base64").arg("--wrap=0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    command.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(command.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_password_is_in_no_argument_no_log_no_report_and_no_file_that_stays() {
    let registry = ScratchRegistry::for_one(USER, PASSWORD).unwrap();
    let world = World::published_to(registry.address());
    let arguments = ["0.2.0", "--execute", "--accept-no-advisories", "--verbose"];

    // Nobody to be: told before anything is changed.
    let said = world.release(&arguments);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("wants to know who asks"), "{}", said.text);
    assert_eq!(world.git(&["tag", "--list"]), "");

    // By the environment.
    let watch = Watch::start();
    let mut command = world.command(&arguments);
    command.env("SLIPWAY_REGISTRY_USER", USER).env("SLIPWAY_REGISTRY_PASSWORD", PASSWORD);
    let said = Said::from(command.output().unwrap());
    let (found, podmans) = watch.found();
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(podmans > 0, "the pull with credentials was not seen");
    assert_eq!(found, BTreeSet::new());
    let login = base64(&format!("{USER}:{PASSWORD}"));
    for secret in [PASSWORD, &login] {
        assert!(!said.text.contains(secret));
        assert_eq!(holding(&world.root().join("target"), secret), Vec::<String>::new());
    }
    let key_line =
        world.command(&[]).get_envs().find(|it| it.0 == "SLIPWAY_SIGNING_KEY").unwrap().1.unwrap().to_owned();
    let key_line = key_line.to_str().unwrap().lines().nth(1).unwrap().to_owned();
    assert_eq!(holding(&world.root().join("target"), &key_line), Vec::<String>::new());

    // By a file of the caller's, which stays the caller's.
    let file = registry.auth_file(USER, PASSWORD).unwrap();
    let said = world.release(&[&arguments[..], &["--authfile", file.to_str().unwrap()]].concat());
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(holding(&world.root().join("target"), &login), Vec::<String>::new());

    // By standard input.
    let mut command = world.command(&[&arguments[..], &["--password-stdin"]].concat());
    command
        .env("SLIPWAY_REGISTRY_USER", USER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(holding(&world.root().join("target"), PASSWORD), Vec::<String>::new());

    // A wrong one is told as such, without being told.
    let mut command = world.command(&arguments);
    command.env("SLIPWAY_REGISTRY_USER", USER).env("SLIPWAY_REGISTRY_PASSWORD", "wrong-horse");
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("does not take the user and password of `ann`"), "{}", said.text);
    assert!(!said.text.contains("wrong-horse"), "{}", said.text);
}
