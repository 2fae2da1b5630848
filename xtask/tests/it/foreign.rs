//! Other people's workspaces: what does not apply is skipped with the reason, the rest is judged.

use crate::project::Project;

fn library(source: &str) -> Project {
    Project::with(&[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        ("src/lib.rs", source),
    ])
}

/// A library whose only doctest and only unit test hold.
const SOUND: &str = "//! Tiny.

/// Adds one.
///
/// ```
/// assert_eq!(tiny::next(1), 2);
/// ```
pub fn next(number: u32) -> u32 {
    number + 1
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_follows_zero() {
        assert_eq!(super::next(0), 1);
    }
}
";

#[test]
fn a_workspace_without_services_or_database_is_judged_by_what_it_has() {
    let project = library(SOUND);
    let said = project.xtask(&["ci"]);
    // Side by side: whichever ends first is told first.
    let told = project.masked(&said.stdout);
    let (steps, end) = told.split_once("\n\n").unwrap();
    let mut steps: Vec<&str> = steps.lines().collect();
    steps.sort_unstable();
    insta::assert_snapshot!(steps.join("\n"), @"
    clippy      ok         <time>
    deny        skipped    no `.config/deny.toml`: nothing says what is allowed
    fmt         ok         <time>
    house       skipped    no `[house]` in `.config/xtask.toml`
    images      skipped    this workspace has no `Containerfile`
    migrations  skipped    no migrations in `migrations`
    secrets     ok         <time>
    sqlx        skipped    no `.sqlx`: no query is checked at compile time
    test        ok         <time>
    workflows   skipped    no `.gitea/workflows`; `cargo xtask workflows` writes the workflows of Gitea Actions
    ");
    assert_eq!(end, "green  4 passed, 6 skipped  <time>");
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn the_plan_says_what_would_be_skipped_and_why() {
    let project = library(SOUND);
    let said = project.xtask(&["ci", "--plan"]);
    insta::assert_snapshot!(said.stdout, @"
    fmt         run   the sources are formatted
    workflows   skip  no `.gitea/workflows`; `cargo xtask workflows` writes the workflows of Gitea Actions
    house       skip  no `[house]` in `.config/xtask.toml`
    secrets     run   no credential is in the tree or in the commits since the base
    deny        skip  no `.config/deny.toml`: nothing says what is allowed
    clippy      run   clippy and rustc have no warning
    test        run   tests and doctests pass, on a real Postgres
    sqlx        skip  no `.sqlx`: no query is checked at compile time
    migrations  skip  no migrations in `migrations`
    images      skip  this workspace has no `Containerfile`
    ");
    assert!(!project.root.join("target/xtask/report.json").exists());
}

#[test]
fn a_doctest_that_fails_is_a_fault_too() {
    let project = library(&SOUND.replace("next(1), 2", "next(1), 3"));
    let said = project.xtask(&["ci", "test"]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("left: 2"), "{}", said.stdout);
    insta::assert_snapshot!(project.verdicts(), @"
    red
    test failed doctest-failed
    ");
}

#[test]
fn the_gate_is_measured_beside_the_plain_pipeline_in_turn() {
    let project = library(SOUND);
    project.write(".gitignore", "/target\n");
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    let said = project.xtask(&["bench", "--rounds", "1"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let cases: Vec<_> =
        said.stdout.lines().filter_map(|it| it.split_once(": the gate takes ")).map(|it| it.0).collect();
    assert_eq!(cases, ["cold", "one line", "no change"]);
    let measured: serde_json::Value = serde_json::from_str(&project.read("target/xtask/bench.json")).unwrap();
    for round in measured.as_array().unwrap() {
        assert!(
            round["plain_s"].as_f64().unwrap() > 0.0 && round["gate_s"].as_f64().unwrap() > 0.0,
            "{round}"
        );
    }
    // What the cold case compiled is there for the next measurement of this commit.
    let said = project.xtask(&["bench", "no-change", "--rounds", "2"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let rounds =
        |name: &str| said.stdout.lines().filter(|it| it.starts_with(name) && it.contains(" ratio ")).count();
    assert_eq!((rounds("cold"), rounds("one line"), rounds("no change")), (0, 0, 2), "{}", said.stdout);
}

#[test]
fn a_pipeline_that_is_red_is_not_measured() {
    let project = library(&SOUND.replace("next(0), 1", "next(0), 2"));
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "--message", "Begin"]);
    let said = project.xtask(&["bench"]);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("so there is nothing to compare"), "{}", said.stderr);
}
