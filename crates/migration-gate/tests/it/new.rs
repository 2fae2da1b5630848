//! `new`: the next free slot, in the project's own style, and nothing overwritten.

use crate::project::{Project, Verdict};

fn new(project: &Project, name: &str, flags: &[&str]) -> Verdict {
    let mut command = project.command("new");
    command.arg(name).args(flags);
    Verdict::of(command)
}

/// What was written, with whatever depends on the clock made plain.
fn written(project: &Project, name: &str, flags: &[&str]) -> String {
    let verdict = new(project, name, flags);
    assert_eq!(verdict.exit_code, 0, "{}", verdict.stderr);
    verdict.stdout.trim_end().to_owned()
}

#[test]
fn a_counted_pair_follows_the_last_one_and_passes_the_gate() {
    let project = Project::of_pairs();

    insta::assert_snapshot!(written(&project, "add_labels", &[]), @"
    migrations/0005_add_labels.up.sql
    migrations/0005_add_labels.down.sql
    ");
    project.check().expect_clean();
    insta::assert_snapshot!(written(&project, "more", &[]), @"
    migrations/0006_more.up.sql
    migrations/0006_more.down.sql
    ");
    insta::assert_snapshot!(project.read("migrations/0005_add_labels.up.sql"), @"
    -- What changes, and why.
    --
    -- Sent as one query in one transaction, as `gate_deployer`: no BEGIN and no COMMIT here. What cannot run in a transaction
    -- (CREATE INDEX CONCURRENTLY) stands alone in a file that begins with `-- no-transaction`.
    -- The release before this one still runs on the new schema: add now, drop in a later release.
    -- A new table needs: GRANT SELECT, INSERT, UPDATE, DELETE ON … TO gate_app;
    ");
    insta::assert_snapshot!(project.read("migrations/0005_add_labels.down.sql"), @"-- Takes back `0005_add_labels.up.sql`: the schema is then what it was before. Say here what data is lost.");
}

#[test]
fn a_single_file_with_a_time_stamp_follows_those_before_it() {
    let project = Project::empty()
        .with("migrations/20240101120000_users.sql", "CREATE TABLE users (id int);\n")
        .with("migrations/29990301120059_posts.sql", "CREATE TABLE posts (id int);\n");

    insta::assert_snapshot!(written(&project, "tags", &[]), @"migrations/29990301120060_tags.sql");
    let now = Project::empty().with("migrations/20240101120000_users.sql", "CREATE TABLE users (id int);\n");
    let path = written(&now, "tags", &[]);
    assert!(path.starts_with("migrations/20") && path.ends_with("_tags.sql"), "{path}");
    now.check().expect_clean();
}

#[test]
fn a_slot_that_production_the_base_or_a_release_has_taken_is_passed_over() {
    let project = Project::of_pairs().committed().git(&["switch", "--quiet", "--create", "topic"]);
    let project = project.git(&["switch", "--quiet", "main"]);
    let project = project.pair("0005_labels", "SELECT 1;\n", "SELECT 1;\n").committed().git(&["tag", "v1.0"]);
    let project = project.pair("0006_shops", "SELECT 1;\n", "SELECT 1;\n").committed();
    let project = project.git(&["switch", "--quiet", "topic"]);

    let base = written(&project, "one", &["--base", "main"]);
    assert!(base.starts_with("migrations/0007_one.up.sql"), "{base}");
    let project = project.without("migrations/0007_one.up.sql").without("migrations/0007_one.down.sql");
    let release = written(&project, "two", &["--release-tags", "v*"]);
    assert!(release.starts_with("migrations/0006_two.up.sql"), "{release}");
}

#[test]
fn an_empty_project_begins_as_its_sqlx_toml_says() {
    let counted = Project::empty().with(
        "sqlx.toml",
        "[migrate.defaults]\nmigration-type = \"simple\"\nmigration-versioning = \"sequential\"\n",
    );
    assert_eq!(written(&counted, "users", &[]), "migrations/0001_users.sql");
    let plain = written(&Project::empty(), "users", &[]);
    assert!(plain.contains("_users.up.sql\n") && plain.contains("_users.down.sql"), "{plain}");
}

#[test]
fn a_name_that_is_none_is_refused_with_a_better_one() {
    let project = Project::of_pairs();
    let refused = |name: &str| {
        let verdict = new(&project, name, &[]);
        assert_eq!((verdict.exit_code, verdict.stdout.as_str()), (2, ""));
        verdict.stderr
    };

    insta::assert_snapshot!(refused("Add Labels"), @"error: `Add Labels` is no name for a migration: lower-case letters, digits and `_` between words, at most 80; how about `add_labels`?");
    insta::assert_snapshot!(refused("../../etc/passwd"), @"error: `../../etc/passwd` is no name for a migration: lower-case letters, digits and `_` between words, at most 80; how about `etc_passwd`?");
    insta::assert_snapshot!(refused("add-labels.up.sql"), @"error: `add-labels.up.sql` is no name for a migration: lower-case letters, digits and `_` between words, at most 80; how about `add_labels`?");
    insta::assert_snapshot!(refused("…"), @"error: `…` is no name for a migration: lower-case letters, digits and `_` between words, at most 80");
}
