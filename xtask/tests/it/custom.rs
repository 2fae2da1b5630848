//! Steps that a workspace adds by itself: judged, kept, generated and refused like the built-in ones.

use crate::project::Project;

const WEB: &str = "[[steps]]
name = \"web\"
command = [\"sh\", \"check.sh\"]
inputs = [\"web/\"]
folder = \"web\"
proves = \"the pages are well-formed\"
fix = \"sh web/mend.sh\"
";

fn project() -> Project {
    let project = Project::with(&[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        ("src/lib.rs", "//! Tiny.\n"),
        ("web/check.sh", "echo looking at $(basename $(pwd)); grep -q '</html>' page.html\n"),
        ("web/page.html", "<html></html>\n"),
        (".gitignore", "/target\n"),
        (".config/xtask.toml", WEB),
    ]);
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    project
}

#[track_caller]
fn status(project: &Project) -> (String, String) {
    project.xtask(&["ci", "web"]);
    let step = &project.report()["steps"][0];
    (step["status"].as_str().unwrap().to_owned(), step["reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_step_of_ones_own_runs_in_its_folder_and_is_red_with_what_it_said() {
    let project = project();
    assert_eq!(project.xtask(&["ci", "web"]).code, 0);
    project.write("web/page.html", "<html>\n");
    let said = project.xtask(&["ci", "web"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    web  FAILED     <time>
        looking at web

    web failed
        log        target/xtask/logs/web.log
        reproduce  cargo xtask -C <root> ci web
        fix        sh web/mend.sh
    RED  1 failed  <time>
    ");
}

#[test]
fn its_verdict_is_kept_until_something_changes_that_it_reads() {
    let project = project();
    assert_eq!(status(&project).0, "passed");
    assert_eq!(status(&project).0, "cached");
    project.write("src/lib.rs", "//! Tiny, still.\n");
    assert_eq!(status(&project).0, "cached");
    project.write("web/page.html", "<html><p></html>\n");
    assert_eq!(status(&project), ("passed".into(), "web/page.html changed".into()));
    let changed = WEB.replace("well-formed", "sound").replace("\"check.sh\"]", "\"check.sh\", \"--all\"]");
    project.write(".config/xtask.toml", &changed);
    assert_eq!(status(&project).0, "passed");
}

#[test]
fn it_stands_in_the_list_the_workflow_and_the_hook_of_its_lane() {
    let project = project();
    assert!(
        project.xtask(&["ci", "--list"]).stdout.contains("web         source    the pages are well-formed")
    );
    assert_eq!(project.xtask(&["workflows"]).code, 0);
    let workflow = project.read(".gitea/workflows/ci.yml");
    assert!(
        workflow.contains("run: cargo xtask ci --setup fmt workflows house secrets deny web\n"),
        "{workflow}"
    );
}

#[test]
fn a_program_that_is_not_there_is_no_verdict() {
    let project = project();
    project.replace(".config/xtask.toml", "\"sh\", \"check.sh\"", "\"no-such-program\"");
    let said = project.xtask(&["ci", "web"]);
    assert_eq!(said.code, 3, "{}", said.stdout);
    assert!(said.stdout.contains("`no-such-program` is not installed"), "{}", said.stdout);
}

#[test]
fn a_step_that_cannot_be_meant_is_refused_with_its_line() {
    let project = project();
    let refused = |old: &str, new: &str| {
        project.write(".config/xtask.toml", &WEB.replace(old, new));
        let said = project.xtask(&["ci", "fmt"]);
        assert_eq!(said.code, 2, "{}", said.stderr);
        said.stderr.trim_end().to_owned()
    };
    insta::assert_snapshot!(refused("\"web\"\n", "\"fmt\"\n"), @"error: .config/xtask.toml:2: `fmt` is the name of another step");
    insta::assert_snapshot!(refused("\"web\"\n", "\"Web!\"\n"), @"error: .config/xtask.toml:2: `Web!` is no name of a step: lower-case letters, digits and `-`");
    insta::assert_snapshot!(refused("[\"web/\"]", "[]"), @r#"error: .config/xtask.toml:2: `web` has no `inputs`: what the command reads decides when it runs again; `["**"]` is everything"#);
    insta::assert_snapshot!(refused("[\"sh\", \"check.sh\"]", "[]"), @"error: .config/xtask.toml:2: `web` has an empty `command`");
    insta::assert_snapshot!(refused("folder =", "lane = \"sauce\"\nfolder ="), @"error: .config/xtask.toml:5: unknown variant `sauce`, expected one of `source`, `compile`, `database`, `image`");
}

/// Two crates and one that stands on the first, each with a test; the third one's reads a file of the second.
fn three_crates() -> Project {
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{rest}")
    };
    let test = "#[test]\nfn holds() {}\n";
    let lock = "version = 4\n\n[[package]]\nname = \"base\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"side\"\nversion = \
                \"1.0.0\"\n\n[[package]]\nname = \"top\"\nversion = \"1.0.0\"\ndependencies = [\n \"base\",\n]\n";
    let top = "[dependencies]\nbase = { path = \"../base\" }\n\n[package.metadata.tests]\nreads = [\"crates/side/page.txt\"]\n";
    let project = Project::with(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n"),
        ("Cargo.lock", lock),
        ("crates/base/Cargo.toml", &manifest("base", "")),
        ("crates/base/src/lib.rs", test),
        ("crates/side/Cargo.toml", &manifest("side", "")),
        ("crates/side/src/lib.rs", test),
        ("crates/side/page.txt", "one\n"),
        ("crates/top/Cargo.toml", &manifest("top", top)),
        ("crates/top/src/lib.rs", test),
        (".config/xtask.toml", "[test]\nby-crate = true\n"),
        (".gitignore", "/target\n"),
    ]);
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    project
}

/// The crates whose tests ran.
#[track_caller]
fn tested(project: &Project, arguments: &[&str]) -> String {
    let said = project.xtask(arguments);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let log = project.read("target/xtask/logs/test.log");
    let mut ran: Vec<&str> = log
        .lines()
        .filter(|line| line.trim_start().starts_with("PASS ["))
        .filter_map(|line| line.split(')').nth(1)?.split_whitespace().next())
        .collect();
    ran.sort_unstable();
    ran.join(" ")
}

#[test]
fn tests_of_a_crate_run_again_when_something_changes_that_they_may_read() {
    let project = three_crates();
    let gate = &["ci", "test"];
    assert_eq!(tested(&project, gate), "base side top");
    project.append("crates/side/src/lib.rs", "// Changed.\n");
    assert_eq!(tested(&project, gate), "side");
    assert_eq!(
        project.report()["steps"][0]["reason"],
        "crates/side/src/lib.rs changed; only the tests of side; those of 2 crates hold on the same inputs"
    );
    project.append("crates/base/src/lib.rs", "// Changed.\n");
    assert_eq!(tested(&project, gate), "base top");
    project.write("crates/side/page.txt", "two\n");
    assert_eq!(tested(&project, gate), "side top");
    project.write("shared.txt", "in no crate\n");
    assert_eq!(tested(&project, gate), "base side top");
    assert_eq!(tested(&project, &["ci", "test", "--force"]), "base side top");
}

#[test]
fn tests_that_were_red_run_again_whatever_else_was_green() {
    let project = three_crates();
    project.append("crates/side/src/lib.rs", "#[test]\nfn breaks() {\n    panic!(\"broken\");\n}\n");
    assert_eq!(project.xtask(&["ci", "test"]).code, 1);
    project.append("crates/base/src/lib.rs", "// Changed.\n");
    assert_eq!(project.xtask(&["ci", "test"]).code, 1, "a red crate was taken for green");
}
