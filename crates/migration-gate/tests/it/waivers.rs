//! Waivers, alternates and missing migrations: what they cover, what they do not, and when they end.

use crate::project::Project;

/// A project whose pending migration has no down, with one table in its waivers.
fn without_down(waiver: &str) -> Project {
    Project::of_pairs().without("migrations/0004_tags.down.sql").with("migrations/waivers.toml", waiver)
}

fn waiver(code: &str, what: &str, expires: &str) -> String {
    format!("[[waiver]]\ncode = \"{code}\"\n{what}\nreason = \"the data is gone\"\nexpires = {expires}\n")
}

const TAGS: &str = "file = \"0004_tags.up.sql\"";

#[test]
fn a_waived_finding_does_not_count_and_is_told() {
    let verdict = without_down(&waiver("no-down", TAGS, "2999-12-31")).check();

    verdict.expect_clean();
    insta::assert_snapshot!(verdict.stderr, @"
    note: waived until 2999-12-31: error[no-down] migrations/0004_tags.up.sql:1: the migration has no down, and the ones around it have (the data is gone)
    migrations hold: 3 applied and 1 pending
    ");
}

#[test]
fn an_expired_waiver_lets_the_fault_count_again_and_is_one_itself() {
    let verdict = without_down(&waiver("no-down", TAGS, "2020-02-29")).check();

    insta::assert_snapshot!(verdict.expect(&["error[no-down]", "error[waiver-expired]"]), @"
    error[no-down] migrations/0004_tags.up.sql:1: the migration has no down, and the ones around it have
      production: `sqlx migrate revert` passes over it and reverts the one before it, beneath a change that is still there
      do: write `migrations/0004_tags.down.sql`, which undoes what this file does
    error[waiver-expired] migrations/waivers.toml:1: the waiver of `no-down` ended with 2020-02-29: the data is gone
      production: what was put off until then is still to be done, and counts again
      do: do what it was waiting for and remove it, or give it another day and say why
    ");
}

#[test]
fn a_waiver_covers_what_it_names_only() {
    let other_file = waiver("no-down", "file = \"0002_orders.up.sql\"", "2999-12-31");
    without_down(&other_file).check().expect(&["error[no-down]", "warning[waiver-unused]"]);
    let other_code = waiver("bad-bytes", TAGS, "2999-12-31");
    without_down(&other_code).check().expect(&["error[no-down]", "warning[waiver-unused]"]);
}

#[test]
fn a_waiver_that_nothing_needs_is_a_warning() {
    let project = Project::of_pairs().with("migrations/waivers.toml", waiver("no-down", TAGS, "2999-12-31"));

    insta::assert_snapshot!(project.check().expect(&["warning[waiver-unused]"]), @"
    warning[waiver-unused] migrations/waivers.toml:1: nothing is found any more that this waiver of `no-down` covers
      production: it would cover the next fault of this kind, which nobody has looked at
      do: remove it
    ");
}

#[test]
fn a_warning_can_be_waived_too() {
    let project = Project::of_pairs()
        .without("migrations/0002_orders.down.sql")
        .with("migrations/waivers.toml", waiver("no-down", "file = \"0002_orders.up.sql\"", "2999-12-31"));

    project.check().expect_clean();
}

#[test]
fn a_waiver_turns_nothing_green_that_was_not_judged() {
    let project = Project::of_pairs()
        .pair("0004_tags", "CREATE TABLE tags (id nonsense);\n", "DROP TABLE tags;\n")
        .pair("0005_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n")
        .with("migrations/waivers.toml", waiver("apply-failed", TAGS, "2999-12-31"));

    let verdict = project.check();

    verdict.expect(&["error[apply-failed]", "info[not-judged]"]);
    assert!(verdict.stderr.contains("waivers.toml:1 does not count"), "{}", verdict.stderr);
}

#[test]
fn a_waiver_that_cannot_be_read_is_named_with_its_line() {
    let verdict = without_down(&waiver("no-dwon", TAGS, "2999-12-31")).check();

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: migrations/waivers.toml:2: `code` is `no-dwon`, which the gate does not know; did you mean `no-down`?; `migration-gate explain` lists all");
}

#[test]
fn an_edited_migration_is_accepted_where_its_recorded_checksum_is_named() {
    let project = Project::of_pairs();
    let recorded = project.checksum("0002_orders");
    let edited = project
        .with("migrations/0002_orders.up.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n");
    edited.check().expect(&["error[edited-after-apply]", "info[not-judged]"]);
    let alternate = |checksum: &str| {
        format!(
            "[[alternate]]\nversion = 2\nchecksum = \"{checksum}\"\nreason = \"a comment, before the first release\"\n"
        )
    };

    let accepted = edited.with("migrations/waivers.toml", alternate(&recorded));
    accepted.check().expect_clean();
    let other = accepted.with("migrations/waivers.toml", alternate(&"ab".repeat(48)));
    insta::assert_snapshot!(other.check().expect(&["error[edited-after-apply]", "warning[waiver-unused]", "info[not-judged]"]), @"
    error[edited-after-apply] migrations/0002_orders.up.sql:1: this is not what production applied as number 2 (migrations/applied.toml:9)
      production: the deployment stops with `migration 2 was previously applied but has been modified`
      do: restore it (`git log -- migrations/0002_orders.up.sql` shows who changed it, `git checkout COMMIT^ -- migrations/0002_orders.up.sql` takes it back) and put the change into a new migration
    warning[waiver-unused] migrations/waivers.toml:1: nobody has recorded other bytes of migration 2 with this checksum
      production: it would cover the next fault of this kind, which nobody has looked at
      do: remove it
    info[not-judged] not run because the tree does not hold what production applied as 2: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn a_removed_migration_is_accepted_where_it_is_named() {
    let missing = "[[missing]]\nversion = 2\nreason = \"squashed\"\n";
    let project = Project::empty()
        .with(
            "migrations/1_users.sql",
            "CREATE TABLE users (id int);\nGRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;\n",
        )
        .with("migrations/2_seeds.sql", "INSERT INTO users VALUES (1);\n")
        .applied(&[("1_users", "owner"), ("2_seeds", "owner")])
        .without("migrations/2_seeds.sql");
    project.check().expect(&["error[missing-applied]"]);

    let accepted = project.with("migrations/waivers.toml", missing);
    accepted.check().expect_clean();
    let back = accepted.with("migrations/2_seeds.sql", "INSERT INTO users VALUES (1);\n");
    back.check().expect(&["warning[waiver-unused]"]);
}

#[test]
fn what_a_release_shipped_may_be_named_as_an_alternate_too() {
    let project = Project::of_pending_pairs().committed().git(&["tag", "v1.0"]);
    let shipped = project.checksum("0002_orders");
    let edited = project
        .with("migrations/0002_orders.up.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n")
        .with(
            "migrations/waivers.toml",
            format!("[[alternate]]\nversion = 2\nchecksum = \"{shipped}\"\nreason = \"nobody ran it\"\n"),
        );

    edited.check_with(&["--release-tags", "v*"]).expect_clean();
}
