//! A step that was green on the same inputs does not run again; whatever else is different makes it run, and is named.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::project::{Project, Said};

const MANIFEST: &str = "[workspace]\n\n[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n";

/// A workspace of one crate, committed.
fn tiny(source: &str) -> Project {
    let project = Project::with(&[
        ("Cargo.toml", MANIFEST),
        ("Cargo.lock", LOCK),
        ("src/lib.rs", source),
        ("README.md", "# Tiny\n"),
        (".gitignore", "/target\n/src/made.rs\n"),
    ]);
    project.git(&["init", "--quiet", "--initial-branch", "main"]);
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    project
}

/// The status of the only step that ran, and why it ran.
fn told(project: &Project) -> String {
    let report = project.report();
    let step = &report["steps"][0];
    let (status, reason) = (step["status"].as_str().unwrap(), step["reason"].as_str().unwrap());
    if status == "cached" { "cached".into() } else { format!("{status}: {reason}") }
}

fn run(project: &Project, step: &str) -> String {
    project.xtask(&["ci", step]);
    told(project)
}

/// A folder for `PATH` whose programs note that they were started, and then are the real ones.
fn noting(programs: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    for program in programs {
        let real = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        let real = String::from_utf8(real.stdout).unwrap();
        let script =
            format!("#!/bin/sh\necho {program} >> {}\nexec {} \"$@\"\n", notes.display(), real.trim());
        put(&folder.path().join(program), &script);
    }
    (folder, notes)
}

fn put(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_path(project: &Project, folder: &Path, arguments: &[&str]) -> Said {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    project.command(arguments).env("PATH", path).output().unwrap().into()
}

/// The only file with a verdict of a step.
fn kept(project: &Project, step: &str) -> PathBuf {
    let folder = project.root.join("target/xtask/verdicts").join(step);
    let mut files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    files.find(|it| it.extension().is_some_and(|it| it == "json")).unwrap()
}

#[test]
fn a_run_on_the_same_inputs_starts_nothing_but_git() {
    let project = tiny("//! Tiny.\n");
    let (path, notes) = noting(&["cargo", "rustc", "git", "podman"]);
    assert_eq!(with_path(&project, path.path(), &["ci", "fmt", "clippy"]).code, 0);
    fs::remove_file(&notes).unwrap();
    let said = with_path(&project, path.path(), &["ci", "fmt", "clippy"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    insta::assert_snapshot!(project.verdicts(), @"
    green
    fmt cached
    clippy cached
    ");
    let started = fs::read_to_string(&notes).unwrap();
    assert!(started.lines().all(|it| it == "git"), "{started}");
    let report = project.report();
    assert!(report["steps"][1]["saved_ms"].as_u64().unwrap() > 0);
    assert!(report["steps"][1]["fingerprint"].is_string());
}

#[test]
fn a_source_that_changed_is_named_and_going_back_costs_nothing() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    assert_eq!(run(&project, "fmt"), "cached");
    project.append("src/lib.rs", "\n/// One.\npub const ONE: u32 = 1;\n");
    assert_eq!(run(&project, "fmt"), "passed: src/lib.rs changed");
    project.write("src/lib.rs", "//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "cached");
    project.append("src/lib.rs", "\n/// One.\npub const ONE: u32 = 1;\n");
    project.git(&["commit", "--quiet", "--all", "--message", "One"]);
    assert_eq!(run(&project, "fmt"), "cached", "a commit changes no content");
    project.write("src/other.rs", "//! Other.\n");
    assert_eq!(run(&project, "fmt"), "passed: src/other.rs is new");
}

#[test]
fn what_no_source_names_changes_nothing_and_what_one_reads_does() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "clippy"), "passed: no verdict yet");
    project.append("README.md", "More.\n");
    assert_eq!(run(&project, "clippy"), "cached");
    project.write("src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n");
    assert!(run(&project, "clippy").starts_with("passed: "));
    project.append("README.md", "Still more.\n");
    assert_eq!(run(&project, "clippy"), "passed: README.md changed");
}

#[test]
fn a_lock_file_and_a_toolchain_that_changed_are_named() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "clippy"), "passed: no verdict yet");
    project.append("Cargo.lock", "# Another.\n");
    assert!(run(&project, "clippy").ends_with(": Cargo.lock changed"), "{}", told(&project));
    project.write("Cargo.lock", LOCK);
    assert_eq!(run(&project, "clippy"), "cached");
    let toolchain = fs::read_to_string(crate::project::home().join("rust-toolchain.toml")).unwrap();
    project.write("rust-toolchain.toml", &toolchain);
    assert!(run(&project, "clippy").starts_with("passed: rust-toolchain.toml is new"), "{}", told(&project));
}

#[test]
fn a_program_a_variable_and_the_configuration_count() {
    let project = tiny("//! Tiny.\n");
    project.write(".config/xtask.toml", "[house]\narchitecture = \"README.md\"\n");
    project.write("README.md", "`tiny`\n");
    project.append("Cargo.toml", "\n[lints]\nworkspace = true\n\n[workspace.lints]\n");
    let (path, _notes) = noting(&["git"]);
    let go = || {
        with_path(&project, path.path(), &["ci", "house"]);
        told(&project)
    };
    assert_eq!(go(), "passed: no verdict yet");
    assert_eq!(go(), "cached");
    let git = path.path().join("git");
    let script = fs::read_to_string(&git).unwrap();
    fs::remove_file(&git).unwrap();
    put(&git, &format!("{script}# Another build of it.\n"));
    assert_eq!(go(), "passed: the program `git` changed");
    project.append(".config/xtask.toml", "max-file-lines = 300\n");
    assert_eq!(go(), "passed: the configuration changed");
    let path = format!("{}:{}", path.path().display(), std::env::var("PATH").unwrap());
    let mut command = project.command(&["ci", "house"]);
    command.env("PATH", path).env("XTASK_POSTGRES", "local").env("COLUMNS", "50").output().unwrap();
    assert_eq!(told(&project), "passed: the variable `XTASK_POSTGRES` is new");
}

#[test]
fn another_tool_has_no_verdict_of_this_one() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    let mut binary = fs::read(env!("CARGO_BIN_EXE_xtask")).unwrap();
    let sources = env!("XTASK_SOURCES").as_bytes();
    let at = binary.windows(sources.len()).position(|it| it == sources).unwrap();
    binary[at] = if binary[at] == b'0' { b'1' } else { b'0' };
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("xtask");
    fs::write(&other, binary).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(other).args(["ci", "fmt", "-C"]).arg(&project.root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = told(&project);
    // Run by hand, it sees other variables than a test does.
    assert!(told.starts_with("passed: the tool itself changed"), "{told}");
}

#[test]
fn what_changes_during_the_run_is_not_kept() {
    let source = "//! Tiny.\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn writes() {\n        \
                  std::fs::write(\"written.txt\", format!(\"{:?}\", std::time::SystemTime::now())).unwrap();\n    }\n}\n";
    let project = tiny(source);
    assert_eq!(
        run(&project, "test"),
        "passed: no verdict yet; the verdict is not kept: written.txt is new during the run"
    );
    assert!(run(&project, "test").ends_with("written.txt changed during the run"), "{}", told(&project));
}

#[test]
fn red_is_never_kept_and_force_runs_what_was_green() {
    let project = tiny("//! Tiny.\nfn  odd( ) { }\n");
    assert_eq!(run(&project, "fmt"), "failed: no verdict yet");
    assert_eq!(run(&project, "fmt"), "failed: no verdict yet");
    project.write("src/lib.rs", "//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    project.xtask(&["ci", "fmt", "--force"]);
    assert_eq!(told(&project), "passed: --force");
}

#[test]
fn half_a_verdict_and_one_of_another_checkout_are_none() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    let copy = tempfile::tempdir().unwrap();
    let root = copy.path().canonicalize().unwrap().join("copy");
    assert!(Command::new("cp").arg("-a").arg(&project.root).arg(&root).status().unwrap().success());
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).args(["ci", "fmt", "-C"]).arg(&root).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 passed"), "{said}");
    let json = kept(&project, "fmt");
    let text = fs::read_to_string(&json).unwrap();
    fs::write(&json, &text[..text.len() / 2]).unwrap();
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    let facts = kept(&project, "fmt").with_extension("facts");
    fs::write(&facts, "file src/lib.rs\tfile 0000\n").unwrap();
    assert!(run(&project, "fmt").starts_with("passed: "), "{}", told(&project));
}

#[test]
fn a_verdict_that_cannot_be_written_changes_no_verdict_of_the_run() {
    let project = tiny("//! Tiny.\n");
    project.write("target/xtask/verdicts", "in the way");
    let said = project.xtask(&["ci", "fmt"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        told(&project).starts_with("passed: no verdict yet; the verdict is not kept: "),
        "{}",
        told(&project)
    );
}

#[test]
fn a_file_that_git_was_told_to_overlook_counts() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    project.git(&["update-index", "--assume-unchanged", "src/lib.rs"]);
    project.append("src/lib.rs", "fn  odd( ) { }\n");
    assert_eq!(run(&project, "fmt"), "failed: src/lib.rs changed");
    project.write("src/lib.rs", "//! Tiny.\n");
    assert_eq!(run(&project, "fmt"), "cached");
    project.write("src/made.rs", "fn  ignored( ) { }\n");
    assert!(run(&project, "fmt").ends_with(": src/made.rs is new"), "{}", told(&project));
}

#[test]
fn a_tag_and_a_commit_count_where_a_step_asks_for_them() {
    let project = tiny("//! Tiny.\n");
    assert_eq!(run(&project, "secrets"), "passed: no verdict yet");
    assert_eq!(run(&project, "secrets"), "cached");
    project.git(&["tag", "v1.0.0"]);
    assert_eq!(run(&project, "secrets"), "passed: the tag `v1.0.0` is new");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    project.git(&["commit", "--quiet", "--allow-empty", "--message", "Nothing"]);
    assert!(
        run(&project, "secrets").starts_with("passed: where the branch left its base changed"),
        "{}",
        told(&project)
    );
    assert_eq!(run(&project, "fmt"), "cached");
}

#[test]
fn an_image_that_is_gone_makes_its_step_run() {
    let project = tiny("//! Tiny.\n");
    let folder = tempfile::tempdir().unwrap();
    let podman = folder.path().join("podman");
    put(&podman, "#!/bin/sh\necho 1\n");
    with_path(&project, folder.path(), &["ci", "fmt"]);
    let json = kept(&project, "fmt");
    let text = fs::read_to_string(&json).unwrap();
    let held = text.replace("\"images\": []", "\"images\": [\"localhost/tiny/edge:1\"]");
    fs::write(&json, &held).unwrap();
    project.write(
        "target/xtask/images.json",
        r#"{"schema":2,"images":[{"service":"edge","target":"edge-runtime","reference":"localhost/tiny/edge:1",
            "id":"sha256:1","fingerprint":null,"revision":null,"version":"1.0.0","stand_in_base":false}]}"#,
    );
    with_path(&project, folder.path(), &["ci", "fmt"]);
    assert_eq!(told(&project), "cached");
    // The name is there and means another image; then it is not there.
    for podman_says in ["echo 2", "exit 125"] {
        put(&podman, &format!("#!/bin/sh\n{podman_says}\n"));
        with_path(&project, folder.path(), &["ci", "fmt"]);
        assert_eq!(told(&project), "passed: an image of its last run is gone", "{podman_says}");
        fs::write(&json, &held).unwrap();
    }
}

#[test]
fn explain_says_what_changed_since_the_last_green() {
    let project = tiny("//! Tiny.\n");
    insta::assert_snapshot!(project.xtask(&["explain", "house"]).stdout, @"`house` is skipped: no `[house]` in `.config/xtask.toml`");
    assert_eq!(run(&project, "fmt"), "passed: no verdict yet");
    let said = project.xtask(&["explain", "fmt"]).stdout;
    assert!(said.starts_with("`fmt` would not run: green on the same inputs, 20"), "{said}");
    project.write("src/new.rs", "//! New.\n");
    project.append("src/lib.rs", "\n");
    let said = project.xtask(&["explain", "fmt"]).stdout;
    let told: Vec<&str> =
        said.lines().filter(|it| !it.contains("fingerprint") && !it.contains("since it was green")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    `fmt` would run: src/lib.rs changed, and 1 more
        src/lib.rs changed
        src/new.rs is new
    ");
}

#[test]
fn a_given_server_and_a_folder_without_git_have_no_verdicts() {
    let project = tiny("//! Tiny.\n");
    project.write(".config/xtask.toml", "[postgres]\ntests = true\n");
    let mut command = project.command(&["explain", "test"]);
    let said = Said::from(command.env("XTASK_POSTGRES_URL", "postgres://x@127.0.0.1:1/x").output().unwrap());
    insta::assert_snapshot!(said.stdout, @"`test` would run: no verdict is kept: it is judged on a given server, whose version may change");
    fs::remove_dir_all(project.root.join(".git")).unwrap();
    assert_eq!(run(&project, "fmt"), "passed: no verdict is kept outside of a git repository");
}

#[test]
fn affected_runs_the_tests_of_the_crates_that_a_diff_reaches_and_keeps_nothing() {
    let member = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{more}")
    };
    let tests = "//! A crate.\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn holds() {}\n}\n";
    let project = Project::with(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"base\", \"user\", \"alone\"]\n"),
        ("base/Cargo.toml", &member("base", "")),
        ("base/src/lib.rs", tests),
        ("user/Cargo.toml", &member("user", "\n[dependencies]\nbase = { path = \"../base\" }\n")),
        ("user/src/lib.rs", tests),
        ("alone/Cargo.toml", &member("alone", "")),
        ("alone/src/lib.rs", tests),
        ("README.md", "Text.\n"),
        (".gitignore", "/target\n"),
    ]);
    project.cargo(&["generate-lockfile", "--offline", "--quiet"]);
    project.git(&["init", "--quiet", "--initial-branch", "main"]);
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    let affected = || {
        project.xtask(&["ci", "test", "--affected", "main"]);
        told(&project)
    };
    project.append("README.md", "More.\n");
    assert_eq!(affected(), "skipped: no crate is reached by the changes");
    project.append("base/src/lib.rs", "\n");
    project.append("base/src/lib.rs", "const _: () = ();\n");
    assert_eq!(affected(), "passed: only the crates that changes since main reach: base, user");
    let log = project.read("target/xtask/logs/test.log");
    assert!(log.contains("base tests::holds") && log.contains("user tests::holds"), "{log}");
    assert!(!log.contains("alone tests::holds"), "{log}");
    assert_eq!(run(&project, "test"), "passed: no verdict yet");
    let said = project.xtask(&["ci", "test", "--affected", "nowhere"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: git knows no revision `nowhere`; `git fetch` gets what others pushed");
}

#[test]
fn nothing_that_the_gate_compiled_is_compiled_again_by_plain_cargo() {
    let project = tiny("//! Tiny.\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn holds() {}\n}\n");
    let mut gate = project.command(&["ci", "clippy", "test"]);
    assert!(gate.env("RUSTFLAGS", "--cfg leaked").status().unwrap().success());
    for arguments in [
        ["clippy", "--workspace", "--all-targets", "--verbose"],
        ["test", "--workspace", "--no-run", "--verbose"],
    ] {
        let output = Command::new("cargo")
            .current_dir(&project.root)
            .args(arguments)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("Fresh tiny") && !said.contains("Dirty") && !said.contains("Compiling"),
            "{said}"
        );
    }
}
