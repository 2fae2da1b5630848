//! Findings of files and ledger: each starts from a good project and breaks one thing.

use crate::project::Project;

#[test]
fn two_pending_migrations_with_one_number_are_found() {
    let project =
        Project::of_pairs().pair("4_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n");

    insta::assert_snapshot!(project.check().expect(&["error[slot-duplicate]", "info[not-judged]"]), @r#"
    error[slot-duplicate] migrations/4_labels.up.sql:1: number 4 is also that of `0004_tags.up.sql`
      production: whichever runs second stops with `duplicate key value violates unique constraint "_sqlx_migrations_pkey"`
      do: git mv migrations/4_labels.up.sql migrations/0005_labels.up.sql && git mv migrations/4_labels.down.sql migrations/0005_labels.down.sql
    info[not-judged] not run because 2 migrations share number 4: 0004_tags.up.sql, 4_labels.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    "#);
}

#[test]
fn two_downs_with_one_number_are_found() {
    let project = Project::of_pairs().with("migrations/0004_labels.down.sql", "SELECT 1;\n");

    insta::assert_snapshot!(project.check().expect(&["error[slot-duplicate]"]), @r"
    error[slot-duplicate] migrations/0004_labels.down.sql:1: number 4 already has the down `0004_tags.down.sql`
      production: `sqlx migrate revert` runs both, one after the other
      do: keep the one that reverts the up of this number and remove the other
    ");
}

#[test]
fn an_applied_migration_that_was_edited_is_found() {
    let project = Project::of_pairs().with(
        "migrations/0002_orders.up.sql",
        "CREATE TABLE orders (id bigint PRIMARY KEY, note varchar);\n",
    );

    insta::assert_snapshot!(project.check().expect(&["error[edited-after-apply]", "info[not-judged]"]), @r"
    error[edited-after-apply] migrations/0002_orders.up.sql:1: this is not what production applied as number 2 (migrations/applied.toml:9)
      production: the deployment stops with `migration 2 was previously applied but has been modified`
      do: restore it (`git log -- migrations/0002_orders.up.sql` shows who changed it, `git checkout COMMIT^ -- migrations/0002_orders.up.sql` takes it back) and put the change into a new migration
    info[not-judged] not run because the tree does not hold what production applied as 2: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn line_ends_that_changed_are_named_as_the_only_difference() {
    let project = Project::of_pairs().with(
        "migrations/0002_orders.up.sql",
        "CREATE TABLE orders (\r\n    id bigint PRIMARY KEY,\r\n    note text\r\n);\r\n",
    );

    insta::assert_snapshot!(project.check().expect(&["error[edited-after-apply]", "info[not-judged]"]), @r"
    error[edited-after-apply] migrations/0002_orders.up.sql:1: this is what production applied but for its line ends (migrations/applied.toml:9)
      production: the deployment stops with `migration 2 was previously applied but has been modified`
      do: restore the bytes that were applied: `git log -p -- migrations/0002_orders.up.sql` has them
    info[not-judged] not run because the tree does not hold what production applied as 2: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn an_applied_migration_that_was_removed_is_found() {
    let project = Project::of_pairs()
        .without("migrations/0002_orders.up.sql")
        .without("migrations/0002_orders.down.sql");

    insta::assert_snapshot!(project.check().expect(&["error[missing-applied]", "info[not-judged]"]), @r"
    error[missing-applied] migrations/applied.toml:9: production applied 2 `orders`, which the tree does not hold
      production: the deployment stops with `migration 2 was previously applied but is missing in the resolved migrations`
      do: merge the branch that has it, or restore it: `git log --all --diff-filter=D -- '*_orders*.sql'` finds the commit that removed it
    info[not-judged] not run because the tree does not hold what production applied as 2: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn an_applied_migration_that_was_renumbered_is_recognised_by_its_content() {
    let project = Project::of_pairs().renumbered("0003_order_state", "0005_order_state");

    insta::assert_snapshot!(project.check().expect(&["error[missing-applied]", "info[not-judged]"]), @r"
    error[missing-applied] migrations/applied.toml:15: production applied 3 `order_state`, which the tree has as `0005_order_state.up.sql`
      production: the deployment stops with `migration 3 was previously applied but is missing in the resolved migrations`
      do: git mv migrations/0005_order_state.up.sql migrations/0003_order_state.up.sql && git mv migrations/0005_order_state.down.sql migrations/0003_order_state.down.sql
    info[not-judged] not run because the tree does not hold what production applied as 3: 0004_tags.up.sql, 0005_order_state.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn an_applied_migration_that_was_renamed_is_a_warning() {
    let project = Project::of_pairs().renumbered("0002_orders", "0002_purchases");

    insta::assert_snapshot!(project.check().expect(&["warning[renamed-after-apply]"]), @r"
    warning[renamed-after-apply] migrations/0002_purchases.up.sql:1: production recorded it as `orders` (migrations/applied.toml:9)
      production: it is accepted in silence, and the ledger names a file that does not exist
      do: git mv migrations/0002_purchases.up.sql migrations/0002_orders.up.sql && git mv migrations/0002_purchases.down.sql migrations/0002_orders.down.sql
    ");
}

#[test]
fn a_pending_migration_that_sorts_before_an_applied_one_is_a_warning() {
    let project = Project::of_pairs().renumbered("0003_order_state", "0005_order_state").applied(&[
        ("0001_accounts", "owner"),
        ("0002_orders", "deployer"),
        ("0005_order_state", "deployer"),
    ]);

    insta::assert_snapshot!(project.check().expect(&["warning[late-version]"]), @r"
    warning[late-version] migrations/0004_tags.up.sql:1: number 0004 comes before 5, which production has applied
      production: it is applied after 5 there, and before it on every new database
      do: git mv migrations/0004_tags.up.sql migrations/0006_tags.up.sql && git mv migrations/0004_tags.down.sql migrations/0006_tags.down.sql
    ");
}

#[test]
fn a_number_that_is_none_makes_sqlx_refuse_the_directory() {
    let project = Project::of_pairs().with("migrations/v5_labels.up.sql", "CREATE TABLE labels (id int);\n");

    insta::assert_snapshot!(project.check().expect(&["error[bad-version]", "info[not-judged]"]), @r"
    error[bad-version] migrations/v5_labels.up.sql:1: what stands before the first `_` is not a number
      production: sqlx refuses the whole directory: `error parsing migration filename`; nothing can be deployed
      do: begin the name with the next free number, or move the file out of the directory
    info[not-judged] not run because sqlx refuses the whole directory because of `migrations/v5_labels.up.sql`: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn a_month_18_is_found_in_a_project_that_numbers_by_time() {
    let project = Project::empty()
        .with("migrations/20240101120000_users.sql", "CREATE TABLE users (id int);\n")
        .with("migrations/20240301120000_posts.sql", "CREATE TABLE posts (id int);\n")
        .with("migrations/20241801120000_tags.sql", "CREATE TABLE tags (id int);\n");

    insta::assert_snapshot!(project.check().expect(&["error[bad-version]"]), @r"
    error[bad-version] migrations/20241801120000_tags.sql:1: `20241801120000` is no moment of the form YYYYMMDDhhmmss, and this project numbers by time
      production: it is applied, and sorts in the wrong place for as long as the project lives
      do: rename it, and its down, to the time at which it was written: `date -u +%Y%m%d%H%M%S` prints the current one
    ");
}

#[test]
fn files_that_sqlx_passes_over_are_found() {
    let project = Project::of_pairs()
        .with("migrations/0005-labels.up.sql", "CREATE TABLE labels (id int);\n")
        .with("migrations/0006_shops.SQL", "CREATE TABLE shops (id int);\n")
        .with("migrations/old/0007_carts.sql", "CREATE TABLE carts (id int);\n")
        .with("migrations/0008_lone.down.sql", "DROP TABLE lone;\n")
        .with("migrations/README.md", "Not SQL.\n");

    let verdict = project.check();

    verdict.expect(&["error[ignored-file]"; 4]);
    Project::of_pairs()
        .with("migrations/seeds.sql", "SELECT 1;\n")
        .check()
        .expect(&["warning[ignored-file]"]);
    insta::assert_snapshot!(verdict.stdout.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    error[ignored-file] migrations/0005-labels.up.sql:1: sqlx does not take this file for a migration
      production: it is never applied and nobody is told; the release then asks for what it would have made
      do: call it `NUMBER_name.sql` (or `.up.sql` and `.down.sql`), in lower case, or move it out of the directory
    ");
}

#[test]
fn a_byte_order_mark_is_found_before_the_server_meets_it() {
    let project =
        Project::of_pairs().with("migrations/0004_tags.up.sql", "\u{feff}CREATE TABLE tags (tag text);\n");

    insta::assert_snapshot!(project.check().expect(&["error[bad-bytes]", "info[not-judged]"]), @r"
    error[bad-bytes] migrations/0004_tags.up.sql:1: the file begins with a byte order mark
      production: the server answers with a syntax error at the mark (SQLSTATE 42601)
      do: sed -i '1s/^\xef\xbb\xbf//' migrations/0004_tags.up.sql
    info[not-judged] not run because `0004_tags.up.sql` cannot be sent: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn bytes_that_are_no_text_are_found() {
    let project = Project::of_pairs().with("migrations/0004_tags.up.sql", b"-- caf\xe9\nSELECT 1;\n");

    insta::assert_snapshot!(project.check().expect(&["error[bad-bytes]", "info[not-judged]"]), @r"
    error[bad-bytes] migrations/0004_tags.up.sql:1: the file is not UTF-8
      production: sqlx refuses the whole directory; nothing can be deployed
      do: save the file as UTF-8
    info[not-judged] not run because sqlx refuses the whole directory because `migrations/0004_tags.up.sql` is not UTF-8: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn carriage_returns_in_a_pending_migration_are_a_warning() {
    let project = Project::of_pairs()
        .with("migrations/0004_tags.up.sql", "CREATE TABLE tags (\r\n    tag text\r\n);\r\n");

    insta::assert_snapshot!(project.check().expect(&["warning[bad-bytes]"]), @r"
    warning[bad-bytes] migrations/0004_tags.up.sql:1: the file has CR line ends
      production: its checksum depends on how git checks it out: elsewhere the same commit `has been modified`
      do: sed -i 's/\r$//' migrations/0004_tags.up.sql, and `*.sql text eol=lf` in .gitattributes
    ");
}

#[test]
fn a_pending_up_without_a_down_is_found_where_the_others_have_one() {
    let project = Project::of_pairs().without("migrations/0004_tags.down.sql");

    insta::assert_snapshot!(project.check().expect(&["error[no-down]"]), @r"
    error[no-down] migrations/0004_tags.up.sql:1: the migration has no down, and the ones around it have
      production: `sqlx migrate revert` passes over it and reverts the one before it, beneath a change that is still there
      do: write `migrations/0004_tags.down.sql`, which undoes what this file does
    ");
}

#[test]
fn a_single_file_among_pairs_has_no_down() {
    let project = Project::of_pairs().with("migrations/0005_labels.sql", "CREATE TABLE labels (id int);\n");

    insta::assert_snapshot!(project.check().expect(&["error[no-down]"]), @r"
    error[no-down] migrations/0005_labels.sql:1: the migration has no down, and the ones around it have
      production: `sqlx migrate revert` passes over it and reverts the one before it, beneath a change that is still there
      do: git mv migrations/0005_labels.sql migrations/0005_labels.up.sql, and write `migrations/0005_labels.down.sql`
    ");
}

#[test]
fn an_applied_up_without_a_down_is_a_warning() {
    Project::of_pairs().without("migrations/0002_orders.down.sql").check().expect(&["warning[no-down]"]);
}
