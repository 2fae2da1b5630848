//! What is typed or configured wrong is told with the place and what to type instead.

use crate::project::Project;

const LIBRARY: &[(&str, &str)] = &[
    ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
    ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
    ("src/lib.rs", "//! Tiny.\n"),
];

#[test]
fn an_unknown_step_is_answered_with_the_ones_that_exist() {
    let said = Project::with(LIBRARY).xtask(&["ci", "clipy"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"
    error: there is no step `clipy`; did you mean `clippy`?
    There are: fmt workflows house secrets deny clippy test sqlx migrations images
    ");
}

#[test]
fn a_mistyped_key_of_the_configuration_is_answered_with_the_nearest_one() {
    let project = Project::with(LIBRARY);
    project.write(".config/xtask.toml", "[roles]\n\nownr = \"someone\"\n");
    let said = project.xtask(&["ci", "fmt"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: .config/xtask.toml:3: unknown field `ownr`, expected one of `owner`, `deployer`, `app`; did you mean `owner`?");
}

#[test]
fn a_configuration_that_is_no_toml_is_named_with_its_line() {
    let project = Project::with(LIBRARY);
    project.write(".config/xtask.toml", "[postgres]\nmajor = = 15\n");
    let said = project.xtask(&["ci", "fmt"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: .config/xtask.toml:2: extra `=`, expected nothing");
}

#[test]
fn a_folder_without_a_workspace_is_named() {
    let project = Project::with(&[("notes.txt", "")]);
    let said = project.xtask(&["ci"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(project.masked(&said.stderr), @"error: no usable cargo workspace in `<root>`: error: could not find `Cargo.toml` in `<root>` or any parent directory");
}

#[test]
fn the_log_of_a_step_that_never_ran_says_what_to_run() {
    let said = Project::with(LIBRARY).xtask(&["log", "clippy"]);
    assert_eq!(said.code, 3);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: `clippy` has no log in this checkout; run `cargo xtask ci clippy` first");
}

#[test]
fn the_list_of_steps_says_what_each_proves() {
    let said = Project::with(LIBRARY).xtask(&["ci", "--list"]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!(said.stdout, @"
    fmt         source    the sources are formatted
    workflows   source    the workflow files are what the step table writes
    house       source    the architecture's own rules hold
    secrets     source    no credential is in the tree or in the commits since the base
    deny        source    licences, crates and sources are allowed, advisories are known
    clippy      compile   clippy and rustc have no warning
    test        compile   tests and doctests pass, on a real Postgres
    sqlx        database  `.sqlx` holds what the queries say against the schema
    migrations  database  production would accept the migrations, role by role
    images      image     every runtime image builds, starts, turns healthy and stops
    ");
}

#[test]
fn a_provider_of_postgres_that_does_not_exist_is_wrong_usage() {
    let project = Project::with(LIBRARY);
    let said = project.command(&["ci", "fmt"]).env("XTASK_POSTGRES", "locl").output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8_lossy(&said.stderr).trim_end(), @"error: `XTASK_POSTGRES` is `locl`; set it to one of url, local, container, or unset it");
}

#[test]
fn the_table_of_commands_in_the_readme_has_every_command() {
    let readme = std::fs::read_to_string(crate::project::home().join("README.md")).unwrap();
    let overview = Project::with(LIBRARY).xtask(&[]).stdout;
    let entries = overview.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = entries.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 10, "{overview}");
    for command in commands {
        assert!(
            readme.contains(&format!("`cargo xtask {command}")),
            "`{command}` is not in the table of README.md"
        );
    }
}

#[test]
fn arguments_that_nextest_cannot_run_are_wrong_usage_in_its_own_words() {
    let project = Project::with(&[
        (
            "Cargo.toml",
            "[workspace]\n\n[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n",
        ),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        ("src/lib.rs", "//! Tiny.\n\n#[test]\nfn adds() {}\n"),
    ]);
    for (arguments, words) in [
        (&["test", "--", "--no-such-option"][..], "unexpected argument '--no-such-option' found"),
        (&["test", "--", "-E", "test("], "failed to parse filterset"),
        (&["test", "--profile", "nowhere"], "profile `nowhere` not found"),
        (&["test", "--", "subtracts"], "no test matches `subtracts`; `cargo nextest list --workspace`"),
    ] {
        let said = project.xtask(arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stdout.contains(words), "{arguments:?}: {}", said.stdout);
        assert!(said.stdout.contains("NOT JUDGED: nothing can be run that way"), "{}", said.stdout);
        assert!(!said.stdout.contains("doctor"), "{}", said.stdout);
    }
    assert_eq!(project.xtask(&["test", "--", "adds"]).code, 0);
    assert_eq!(project.xtask(&["test", "--", "subtracts", "--no-tests", "pass"]).code, 0);
}
