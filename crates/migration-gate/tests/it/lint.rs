//! Advice on pending files.

use crate::{
    locks::{Then as _, pending},
    project::Verdict,
};

/// Two that start together would meet a deadlock over the index, which is another finding.
const ALONE: &[&str] = &["--boot", "alone"];

#[test]
fn an_index_is_dropped_concurrently() {
    let made = pending("-- no-transaction\nCREATE INDEX CONCURRENTLY orders_note ON orders (note);\n");
    let project = made.then("0004_gone", "-- no-transaction\nDROP INDEX CONCURRENTLY orders_note;\n");
    project.check_with(ALONE).expect_clean();

    let plain = project.then("0004_gone", "SELECT 1;\n\nDROP INDEX orders_note;\n");
    insta::assert_snapshot!(plain.check_with(ALONE).expect(&["warning[lint]"]), @"
    warning[lint] migrations/0004_gone.sql:3: squawk says `require-concurrent-index-deletion`
      production: a normal `DROP INDEX` acquires an `ACCESS EXCLUSIVE` lock on the table, blocking other accesses until the index drop can complete
      do: drop the index `CONCURRENTLY`; or `-- squawk-ignore require-concurrent-index-deletion` above the statement
    ");

    let silenced = plain.then(
        "0004_gone",
        "SELECT 1;\n\n-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX orders_note;\n",
    );
    silenced.check_with(ALONE).expect_clean();
}

#[test]
fn what_cascade_takes_along_is_told() {
    let project = pending("CREATE TABLE tags (id int PRIMARY KEY, name text);\n")
        .then("0004_names", "CREATE VIEW names AS SELECT name FROM tags;\nCREATE VIEW lengths AS SELECT length(name) FROM names;\n");
    project.check().expect_clean();

    let cascading = project.then("0005_plain", "ALTER TABLE tags DROP COLUMN name CASCADE;\n");
    insta::assert_snapshot!(cascading.check().expect(&["warning[lint]"]), @"
    warning[lint] migrations/0005_plain.sql:1: `CASCADE` also drops view `names`, view `lengths`
      production: they are gone with it, and whoever uses them is refused
      do: drop by name what is meant to go, without `CASCADE`: then what nobody thought of stops the migration
    ");
}

#[test]
fn a_dropped_columns_own_constraint_and_index_go_without_a_word() {
    let project = pending("CREATE TABLE tags (id int PRIMARY KEY, name text UNIQUE CHECK (name <> ''));\n")
        .then("0004_plain", "ALTER TABLE tags DROP COLUMN name;\n");

    project.check().expect_clean();
}

#[test]
fn advice_never_fails_the_gate_and_what_is_applied_gets_none() {
    let project = pending("CREATE INDEX tags ON orders (note);\nDROP INDEX tags;\n").applied(&[
        ("0001_accounts", "owner"),
        ("0002_orders", "deployer"),
        ("0003_tags", "deployer"),
    ]);

    project.check().expect_clean();
}

#[test]
fn the_story_of_the_code_names_the_linter() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_migration-gate"));
    command.args(["explain", "lint"]);

    assert!(Verdict::of(command).stdout.contains("squawk"));
}
