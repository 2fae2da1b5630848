//! Credentials are found in the tree and in the commits, and shown nowhere.

use crate::project::Project;

/// Not one: it only looks like it. Put together here, so that no line of this file does.
fn credential() -> String {
    ["ghp", "_", "kX9fQ2mZ7tR4vB8nL1cW6yD3sH5jP0aG2eUq"].concat()
}

fn repository() -> Project {
    let project = Project::with(&[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        ("src/lib.rs", "//! Tiny.\n"),
        (".gitignore", "/target\n"),
    ]);
    project.git(&["init", "--quiet", "--initial-branch", "main"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    project
}

#[track_caller]
fn found(project: &Project, code: i32) -> String {
    let said = project.xtask(&["ci", "secrets"]);
    assert_eq!(said.code, code, "{}\n{}", said.stdout, said.stderr);
    for text in
        [said.stdout, project.read("target/xtask/report.json"), project.read("target/xtask/logs/secrets.log")]
    {
        assert!(!text.contains(&credential()), "the credential is shown: {text}");
    }
    let report = project.report();
    let findings = report["steps"][0]["findings"].as_array().unwrap().iter();
    let line =
        |it: &serde_json::Value| format!("{} {}:{} {}", it["code"], it["file"], it["line"], it["message"]);
    findings.map(line).collect::<Vec<_>>().join("\n").replace('"', "")
}

#[test]
fn a_credential_in_the_tree_is_red_at_its_line_and_not_shown() {
    let project = repository();
    assert_eq!(found(&project, 0), "");
    project.write(".config/deploy.env", &format!("# deploy\n\nTOKEN={}\n", credential()));
    insta::assert_snapshot!(found(&project, 1), @"secret .config/deploy.env:3 this line holds what looks like a credential");
}

#[test]
fn a_credential_that_a_later_commit_took_out_is_red_until_the_branch_forgets_it() {
    let project = repository();
    project.git(&["switch", "--quiet", "--create", "feature"]);
    project.write("src/client.rs", &format!("//! Client.\n\nconst TOKEN: &str = \"{}\";\n", credential()));
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Add the client"]);
    project.write("src/client.rs", "//! Client.\n");
    project.git(&["commit", "--quiet", "--all", "--message", "Take the token out"]);
    let said = found(&project, 1);
    let commit = said.split("commit ").nth(1).unwrap().split(' ').next().unwrap();
    insta::assert_snapshot!(said.replace(commit, "<commit>"), @"secret src/client.rs:3 commit <commit> holds what looks like a credential; a later commit does not undo that");
    project.git(&["reset", "--quiet", "--hard", "main"]);
    assert_eq!(found(&project, 0), "");
}

#[test]
fn what_is_no_credential_is_allowed_with_a_reason_and_only_as_long_as_it_is_there() {
    let project = repository();
    project.write("tests/key.txt", &format!("{}\n", credential()));
    project.write(
        ".config/xtask.toml",
        "[[secrets.allow]]\nfile = \"tests/key.txt\"\nreason = \"made up for a test\"\n",
    );
    assert_eq!(found(&project, 0), "");
    project.write("tests/key.txt", "nothing\n");
    insta::assert_snapshot!(found(&project, 0), @"secret-allowed-unused .config/xtask.toml:null `tests/key.txt` is allowed to hold a credential, but holds none");
    project.write(".config/xtask.toml", "[[secrets.allow]]\nfile = \"tests/key.txt\"\nreason = \" \"\n");
    let said = project.xtask(&["ci", "secrets"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: .config/xtask.toml:3: `reason` is empty; say why the entry may stand");
}

#[test]
fn a_line_that_is_kept_from_the_scanner_says_why() {
    let project = repository();
    let excuse = ["pragma: allow", "list secret"].concat();
    project.write("key.env", &format!("TOKEN={} # {excuse}\n", credential()));
    insta::assert_snapshot!(found(&project, 1), @"secret-without-reason key.env:1 this line is kept from the scanner, and nothing says why");
    project.write("key.env", &format!("TOKEN={} # {excuse}: made up for a test\n", credential()));
    assert_eq!(found(&project, 0), "");
}
