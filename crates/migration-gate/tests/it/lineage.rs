//! Findings against the base branch and the releases: real repositories, in which one thing is done.

use crate::project::Project;

const BASE: [&str; 2] = ["--base", "main"];
const TAGS: [&str; 2] = ["--release-tags", "v*"];

/// The project, committed on `main`, and a branch that has begun there.
fn branched() -> Project {
    Project::of_pairs().committed().git(&["switch", "--quiet", "--create", "topic"])
}

/// The same without a ledger.
fn branched_without_ledger() -> Project {
    Project::of_pending_pairs().committed().git(&["switch", "--quiet", "--create", "topic"])
}

/// The project, released as `v1.0` with all four migrations and no ledger.
fn released() -> Project {
    Project::of_pending_pairs().committed().git(&["tag", "v1.0"])
}

fn labels(project: Project, slot: &str) -> Project {
    project.pair(&format!("{slot}_labels"), "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n")
}

/// `main` has a fifth migration since the branch began.
fn behind() -> Project {
    labels(branched().git(&["switch", "--quiet", "main"]), "0005")
        .committed()
        .git(&["switch", "--quiet", "topic"])
}

#[test]
fn a_branch_that_is_merely_behind_has_no_fault() {
    behind().check_with(&BASE).expect_clean();
    labels(branched(), "0005").check_with(&BASE).expect_clean();
}

#[test]
fn a_slot_that_the_base_took_meanwhile_is_found() {
    let project = behind().pair("0005_shops", "CREATE TABLE shops (id int);\n", "DROP TABLE shops;\n");

    project.check().expect_clean();
    insta::assert_snapshot!(project.check_with(&BASE).expect(&["error[slot-duplicate]"]), @"
    error[slot-duplicate] migrations/0005_shops.up.sql:1: slot 5 is taken: `main` has `0005_labels.up.sql` in it
      production: once this is merged two files share the number, and the deployment of whatever has applied `0005_labels.up.sql` stops
      do: git mv migrations/0005_shops.up.sql migrations/0006_shops.up.sql && git mv migrations/0005_shops.down.sql migrations/0006_shops.down.sql
    ");
}

#[test]
fn a_new_migration_that_sorts_before_the_base_s_is_a_warning() {
    let project = labels(branched().git(&["switch", "--quiet", "main"]), "0007")
        .committed()
        .git(&["switch", "--quiet", "topic"])
        .pair("0006_shops", "CREATE TABLE shops (id int);\n", "DROP TABLE shops;\n");

    insta::assert_snapshot!(project.check_with(&BASE).expect(&["warning[late-version]"]), @"
    warning[late-version] migrations/0006_shops.up.sql:1: number 0006 comes before 7, which `main` has
      production: it is applied after 7 wherever `main` has been deployed, and before it on every new database
      do: git mv migrations/0006_shops.up.sql migrations/0008_shops.up.sql && git mv migrations/0006_shops.down.sql migrations/0008_shops.down.sql
    ");
}

#[test]
fn a_migration_of_the_base_that_the_branch_edited_is_found() {
    let edited = |project: Project| {
        project.with("migrations/0004_tags.up.sql", "CREATE TABLE tags (order_id bigint, tag text);\n")
    };

    // The ledger says that production has not applied it yet.
    edited(branched()).check_with(&BASE).expect(&["warning[edited-after-apply]"]);
    let project = edited(branched_without_ledger());
    insta::assert_snapshot!(project.check_with(&BASE).expect(&["error[edited-after-apply]"]), @"
    error[edited-after-apply] migrations/0004_tags.up.sql:1: this is not what `main` holds as number 4
      production: whatever `main` was deployed to stops with `migration 4 was previously applied but has been modified`
      do: git checkout main -- migrations/0004_tags.up.sql, and put the change into a new migration
    ");
}

#[test]
fn a_migration_of_the_base_that_the_branch_renumbered_renamed_or_removed_is_found() {
    let renumbered = branched_without_ledger().renumbered("0004_tags", "0005_tags");
    insta::assert_snapshot!(renumbered.check_with(&BASE).expect(&["error[missing-applied]"]), @"
    error[missing-applied] migrations/0004_tags.up.sql:1: `main` has this, which the tree has as `0005_tags.up.sql`
      production: whatever `main` was deployed to stops with `migration 4 was previously applied but is missing in the resolved migrations`
      do: git mv migrations/0005_tags.up.sql migrations/0004_tags.up.sql && git mv migrations/0005_tags.down.sql migrations/0004_tags.down.sql
    ");
    let renamed = branched_without_ledger().renumbered("0004_tags", "0004_labels");
    insta::assert_snapshot!(renamed.check_with(&BASE).expect(&["warning[renamed-after-apply]"]), @"
    warning[renamed-after-apply] migrations/0004_labels.up.sql:1: `main` has it as `0004_tags.up.sql`
      production: it is accepted in silence; where it has been applied the ledger names a file that does not exist
      do: git mv migrations/0004_labels.up.sql migrations/0004_tags.up.sql && git mv migrations/0004_labels.down.sql migrations/0004_tags.down.sql
    ");
    let removed = branched_without_ledger()
        .without("migrations/0004_tags.up.sql")
        .without("migrations/0004_tags.down.sql");
    insta::assert_snapshot!(removed.check_with(&BASE).expect(&["error[missing-applied]"]), @"
    error[missing-applied] migrations/0004_tags.up.sql:1: `main` has this, and this branch has removed it
      production: whatever `main` was deployed to stops with `migration 4 was previously applied but is missing in the resolved migrations`
      do: git checkout main -- migrations/0004_tags.up.sql, and its down; a new migration takes back what it does
    ");
}

#[test]
fn what_a_release_shipped_may_not_be_edited() {
    let project = released();
    project.check_with(&TAGS).expect_clean();

    let edited = project
        .with("migrations/0002_orders.up.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n");
    edited.check().expect_clean();
    insta::assert_snapshot!(edited.check_with(&TAGS).expect(&["error[edited-after-apply]"]), @"
    error[edited-after-apply] migrations/0002_orders.up.sql:1: this is not what release `v1.0` shipped as number 2
      production: whoever runs `v1.0` cannot deploy this: `migration 2 was previously applied but has been modified`
      do: restore it (`git checkout v1.0 -- migrations/0002_orders.up.sql`) and put the change into a new migration
    ");
}

#[test]
fn what_a_release_shipped_may_not_be_renumbered_removed_or_renamed() {
    let renumbered = released().renumbered("0004_tags", "0005_tags");
    insta::assert_snapshot!(renumbered.check_with(&TAGS).expect(&["error[missing-applied]"]), @"
    error[missing-applied] migrations/0004_tags.up.sql:1: release `v1.0` shipped this, which the tree has as `0005_tags.up.sql`
      production: whoever runs `v1.0` cannot deploy this: `migration 4 was previously applied but is missing in the resolved migrations`
      do: git mv migrations/0005_tags.up.sql migrations/0004_tags.up.sql && git mv migrations/0005_tags.down.sql migrations/0004_tags.down.sql
    ");
    let removed = released().without("migrations/0004_tags.up.sql").without("migrations/0004_tags.down.sql");
    insta::assert_snapshot!(removed.check_with(&TAGS).expect(&["error[missing-applied]"]), @"
    error[missing-applied] migrations/0004_tags.up.sql:1: release `v1.0` shipped this, and the tree does not hold it
      production: whoever runs `v1.0` cannot deploy this: `migration 4 was previously applied but is missing in the resolved migrations`
      do: git checkout v1.0 -- migrations/0004_tags.up.sql, and its down; or merge the branch of `v1.0`
    ");
    let renamed = released().renumbered("0004_tags", "0004_labels");
    insta::assert_snapshot!(renamed.check_with(&TAGS).expect(&["warning[renamed-after-apply]"]), @"
    warning[renamed-after-apply] migrations/0004_labels.up.sql:1: release `v1.0` shipped it as `0004_tags.up.sql`
      production: it is accepted in silence, and the ledger of whoever runs that release names a file that does not exist
      do: git mv migrations/0004_labels.up.sql migrations/0004_tags.up.sql && git mv migrations/0004_labels.down.sql migrations/0004_tags.down.sql
    ");
}

#[test]
fn a_slot_that_a_release_on_another_branch_took_is_found() {
    let project = released().git(&["switch", "--quiet", "--create", "hotfix"]);
    let project =
        labels(project, "0005").committed().git(&["tag", "v1.0.1"]).git(&["switch", "--quiet", "main"]);
    let project = project.pair("0005_shops", "CREATE TABLE shops (id int);\n", "DROP TABLE shops;\n");

    insta::assert_snapshot!(project.check_with(&TAGS).expect(&["error[slot-applied]"]), @"
    error[slot-applied] migrations/0005_shops.up.sql:1: slot 5 is taken: release `v1.0.1` shipped `0005_labels.up.sql` in it
      production: whoever runs `v1.0.1` cannot deploy this: `migration 5 was previously applied but has been modified`
      do: git mv migrations/0005_shops.up.sql migrations/0006_shops.up.sql && git mv migrations/0005_shops.down.sql migrations/0006_shops.down.sql, then bring `0005_labels.up.sql` back (merge the branch of `v1.0.1`)
    ");
}

#[test]
fn an_edit_that_the_newest_release_shipped_itself_only_warns() {
    let project = released()
        .with("migrations/0002_orders.up.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n")
        .committed()
        .git(&["tag", "v1.1"]);

    project.check_with(&TAGS).expect(&["warning[edited-after-apply]"]);
    project.check_with(&["--release-tags", "v1.1*"]).expect_clean();
}

#[test]
fn what_git_cannot_tell_is_a_usage_error_with_the_command_that_helps() {
    let project = branched();

    let unknown = project.check_with(&["--base", "develop"]);
    assert_eq!(unknown.exit_code, 2);
    insta::assert_snapshot!(unknown.stderr, @"error: git knows no revision `develop`; `git fetch origin develop` gets a branch, `git fetch --tags` the tags");
    let nowhere = Project::of_pairs().check_with(&TAGS);
    assert_eq!(nowhere.exit_code, 2);
    assert!(nowhere.stderr.contains("lies in no git repository"), "{}", nowhere.stderr);
}

#[test]
fn the_callers_own_git_variables_do_not_lead_elsewhere() {
    let elsewhere = Project::empty().with("a", "a").committed();
    let project = behind().pair("0005_shops", "CREATE TABLE shops (id int);\n", "DROP TABLE shops;\n");
    let mut command = project.command("check");
    command.args(BASE).env("GIT_DIR", elsewhere.root().join(".git")).env("GIT_INDEX_FILE", "/nowhere");

    crate::project::Verdict::of(command).expect(&["error[slot-duplicate]"]);
}
