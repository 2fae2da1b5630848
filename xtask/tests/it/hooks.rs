//! The pre-push hook: ours is installed and removed, anybody else's stays.

use std::fs;

use crate::project::Project;

fn repository() -> Project {
    let project = Project::with(&[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        ("src/lib.rs", "//! Tiny.\n"),
    ]);
    project.git(&["init", "--quiet"]);
    project
}

#[test]
fn the_hook_runs_the_source_lane_and_goes_as_it_came() {
    let project = repository();
    insta::assert_snapshot!(project.xtask(&["hooks", "install"]).stdout, @"installed .git/hooks/pre-push");
    insta::assert_snapshot!(project.read(".git/hooks/pre-push"), @"
    #!/bin/sh
    # Written by `cargo xtask hooks install`; `cargo xtask hooks install --uninstall` removes it.
    exec env -u GIT_DIR -u GIT_INDEX_FILE -u GIT_WORK_TREE cargo xtask ci fmt workflows house secrets deny
    ");
    assert_eq!(project.xtask(&["hooks", "install"]).code, 0, "installing twice is no error");
    insta::assert_snapshot!(project.xtask(&["hooks", "install", "--uninstall"]).stdout, @"removed .git/hooks/pre-push");
    assert!(!project.root.join(".git/hooks/pre-push").exists());
    insta::assert_snapshot!(project.xtask(&["hooks", "install", "--uninstall"]).stdout, @"there is no hook");
}

#[test]
fn a_push_is_held_back_by_what_the_source_lane_finds() {
    let project = repository();
    // The hook calls `cargo xtask`; here that is the binary under test.
    let tool = env!("CARGO_BIN_EXE_xtask");
    let cargo = std::env::var("CARGO").unwrap();
    let root = project.root.display();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = xtask ] || exec {cargo} \"$@\"\nshift\nexec {tool} \"$@\" -C {root}\n"
    );
    project.write("bin/cargo", &script);
    let make_executable =
        std::process::Command::new("chmod").arg("+x").arg(project.root.join("bin/cargo")).status();
    assert!(make_executable.unwrap().success());
    project.write(".gitignore", "/target\n/bin\n/remote\n");
    project.git(&["init", "--quiet", "--bare", "remote"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    assert_eq!(project.xtask(&["hooks", "install"]).code, 0);
    let path = format!("{}/bin:{}", project.root.display(), std::env::var("PATH").unwrap());
    let push = || {
        let arguments = ["push", "--quiet", "remote", "HEAD:refs/heads/main"];
        let mut command = std::process::Command::new("git");
        command.current_dir(&project.root).args(arguments).env("PATH", &path).env_remove("CARGO_TARGET_DIR");
        command.output().unwrap()
    };
    project.write("src/lib.rs", "//! Tiny.\nfn  crooked( ) {}\n");
    let held = push();
    assert!(!held.status.success());
    assert!(String::from_utf8_lossy(&held.stdout).contains("fmt"), "{held:?}");
    project.write("src/lib.rs", "//! Tiny.\n");
    let through = push();
    assert!(through.status.success(), "{through:?}");
}

#[test]
fn somebody_elses_hook_is_neither_overwritten_nor_removed() {
    let project = repository();
    project.write(".git/hooks/pre-push", "#!/bin/sh\necho mine\n");
    for arguments in [&["hooks", "install"][..], &["hooks", "install", "--uninstall"]] {
        let said = project.xtask(arguments);
        assert_eq!(said.code, 3);
        assert!(said.stderr.contains("another hook"), "{}", said.stderr);
    }
    assert_eq!(
        fs::read_to_string(project.root.join(".git/hooks/pre-push")).unwrap(),
        "#!/bin/sh\necho mine\n"
    );
}
