//! What a run leaves for later: JUnit, a summary, a page, logs; and no secret in any of them.

use std::fs;

use crate::project::{Project, Said};

/// A workspace with a test that fails and says a text.
fn saying(text: &str) -> Project {
    let project = Project::with(&[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        (
            "src/lib.rs",
            "//! Tiny.\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn holds() {}\n\n    #[test]\n    fn fails() {\n        panic!(\"it says <text>\");\n    }\n}\n",
        ),
    ]);
    project.replace("src/lib.rs", "<text>", text);
    project
}

fn run(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    project.command(arguments).envs(environment.iter().copied()).output().unwrap().into()
}

#[test]
fn a_failed_test_stands_in_every_report_with_its_place() {
    let project = saying("no");
    let summary = project.root.join("job-summary.md");
    fs::write(&summary, "before\n").unwrap();
    let said = run(&project, &["ci", "fmt", "test"], &[("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    let found = &project.report()["steps"][1]["findings"][0];
    insta::assert_snapshot!(format!("{}:{} {}", found["file"], found["line"], found["message"]), @r#""src/lib.rs":10 "failed: tiny tests::fails""#);
    let junit = project.read("target/xtask/junit.xml");
    let suites: Vec<&str> =
        junit.lines().filter_map(|it| it.trim().strip_prefix("<testsuite name=")).collect();
    assert_eq!(suites.len(), 2, "{junit}");
    assert!(suites[0].starts_with("\"steps\" tests=\"2\" failures=\"1\""), "{junit}");
    assert!(suites[1].starts_with("\"tiny\" tests=\"2\""), "{junit}");
    let kept = project.read("job-summary.md");
    assert!(kept.starts_with("before\n## ❌ red: `cargo xtask ci`"), "{kept}");
    assert!(kept.contains("**test-failed** `src/lib.rs:10`: failed: tiny tests::fails"), "{kept}");
    let page = project.read("target/xtask/report.html");
    assert!(page.contains("<code class=\"place\">src/lib.rs:10</code>"), "{page}");
}

#[test]
fn results_of_tests_that_did_not_run_are_not_in_the_report() {
    let project = saying("no");
    assert_eq!(run(&project, &["ci", "test"], &[]).code, 1);
    assert_eq!(run(&project, &["ci", "fmt"], &[]).code, 0);
    let junit = project.read("target/xtask/junit.xml");
    assert_eq!(junit.matches("<testsuite ").count(), 1, "{junit}");
}

#[test]
fn a_secret_of_the_environment_is_nowhere() {
    // `hunter2hunter2`, as it is and inside the base64 of `user:hunter2hunter2`.
    let address = format!("postgres://app:{}@db/x", "tr0ub4dor");
    let project = saying(&format!("hunter2hunter2, dXNlcjpodW50ZXIyaHVudGVyMg==, {address}"));
    let secret = ("REGISTRY_PASSWORD", "hunter2hunter2");
    let mut told = String::new();
    for arguments in [&["ci", "test", "-v"][..], &["ci", "test", "-v", "--message-format", "json"]] {
        let said = run(&project, arguments, &[secret]);
        assert_eq!(said.code, 1);
        told += &said.stdout;
        told += &said.stderr;
    }
    for file in ["report.json", "junit.xml", "summary.md", "report.html", "logs/test.log"] {
        let text = project.read(&format!("target/xtask/{file}"));
        assert!(text.contains("it says ***, ") || file == "report.json", "{file}: {text}");
        told += &text;
    }
    for hidden in ["hunter2", "odW50ZXIyaHVudGVyM", "tr0ub4dor"] {
        assert!(!told.contains(hidden), "{hidden}: {told}");
    }
}

#[test]
fn a_page_that_cannot_be_written_is_told_and_changes_no_verdict() {
    let project = saying("no");
    fs::create_dir_all(project.root.join("target/xtask/report.html")).unwrap();
    let said = run(&project, &["ci", "fmt"], &[]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!(project.masked(&said.stderr), @"warning: cannot write `<root>/target/xtask/report.html`: Is a directory (os error 21)");
    assert_eq!(project.report()["verdict"], "green");
}

#[test]
fn a_run_that_is_slower_than_it_may_be_is_told_so_and_stays_green() {
    let project = saying("no");
    project.write(".config/xtask.toml", "[budget]\nrun = 0\nsteps = { fmt = 0 }\n");
    let said = run(&project, &["ci", "fmt"], &[]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    fmt  ok         <time>
        .config/xtask.toml: warning[over-budget]
          `fmt` took <time> of the <time> that it may take

    .config/xtask.toml: warning[over-budget]
      the run took <time> of the <time> that it may take
    green  1 passed  <time>
    ");
    let report = project.report();
    assert_eq!(report["steps"][0]["findings"][0]["code"], "over-budget");
    assert_eq!(report["findings"][0]["level"], "warning");
}

#[test]
fn a_budget_for_a_step_that_does_not_exist_is_named_with_its_line() {
    let project = saying("no");
    project.write(".config/xtask.toml", "[budget.steps]\nfmt = 1\nclipy = 2\n");
    let said = run(&project, &["ci", "fmt"], &[]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: .config/xtask.toml:3: `clipy` is no step; did you mean `clippy`?");
}

#[test]
fn tests_that_do_not_compile_are_found_at_the_compilers_place() {
    let project = saying("no");
    project.append("src/lib.rs", "\n#[cfg(test)]\nconst WRONG: u8 = \"text\";\n");
    assert_eq!(run(&project, &["ci", "test"], &[]).code, 1);
    let found = &project.report()["steps"][0]["findings"][0];
    insta::assert_snapshot!(format!("{}:{} {}", found["file"], found["line"], found["code"]), @r#""src/lib.rs":15 "E0308""#);
}
