//! Would the last release still work on the new schema? Its queries come from its git tag.

use crate::project::{Project, Verdict};

/// What production has, and what the release was made for.
const SHOP: &str = "
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE shops (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    code varchar(20) NOT NULL DEFAULT '',
    mood mood NOT NULL DEFAULT 'glad',
    places int NOT NULL DEFAULT 0,
    note text,
    kind text CHECK (kind IN ('a', 'b'))
);
CREATE UNIQUE INDEX shops_name ON shops (name);
GRANT SELECT, INSERT, UPDATE, DELETE ON shops TO gate_app;
";

const DOWN: &str = "DROP TABLE shops;\nDROP TYPE mood;\n";

const MOOD: &str = r#"{"Custom": {"name": "mood", "kind": {"Enum": ["glad", "sad"]}}}"#;

const STATE: &str = r#"{"Custom": {"name": "order_state", "kind": {"Enum": ["open", "paid"]}}}"#;

/// A repository whose release `v1.2.0` has shops and queries; what comes after is pending.
fn released() -> Project {
    unreleased().tagged("v1.2.0")
}

fn unreleased() -> Project {
    Project::of_pairs()
        .without("migrations/0004_tags.up.sql")
        .without("migrations/0004_tags.down.sql")
        .pair("0004_shops", SHOP, DOWN)
        .applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
            ("0004_shops", "deployer"),
        ])
        .described(
            "1",
            "SELECT id, name, code, mood AS \"mood: Mood\", places FROM shops WHERE id = $1",
            &[
                ("id", "Int8", false),
                ("name", "Text", false),
                ("code", "Varchar", false),
                ("mood: Mood", MOOD, false),
                ("places", "Int4", false),
            ],
            &["Int8"],
        )
        .query("2", "INSERT INTO shops (name, note) VALUES ($1, $2)", &["Text", "Text"])
        .query("3", "UPDATE shops SET places = $1, kind = $3 WHERE mood = $2", &["Int4", MOOD, "Text"])
        .query("4", "INSERT INTO shops (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", &["Text"])
        .described("5", "SELECT note FROM shops", &[("note", "Text", true)], &[])
}

/// The queries of this tree need nothing any more: only the release's are judged.
fn next(project: Project, up: &str, down: &str) -> Verdict {
    let project = ["1", "2", "3", "4", "5"]
        .iter()
        .fold(project, |project, label| project.without(&format!(".sqlx/query-{label}.json")));
    check(&project.query("6", "SELECT 1", &[]).pair("0005_next", up, down), &["--release-tags", "v*"])
}

fn check(project: &Project, flags: &[&str]) -> Verdict {
    let mut command = project.command("check");
    command.args(flags);
    Verdict::of(command)
}

impl Project {
    /// Commits everything and tags it; the work goes on after it.
    fn tagged(self, tag: &str) -> Self {
        let project = self.with("released", tag).committed().git(&["tag", tag]);
        project.git(&["commit", "--quiet", "--allow-empty", "--message=more"])
    }
}

#[test]
fn what_only_expands_is_accepted() {
    let verdict = next(
        released(),
        "ALTER TABLE shops ADD COLUMN town text, ADD COLUMN size int NOT NULL DEFAULT 0,\n\
         ADD COLUMN owner bigint REFERENCES orders, ADD CHECK (size >= 0), ALTER COLUMN note SET DEFAULT '';\n\
         ALTER TABLE shops DROP CONSTRAINT shops_kind_check, ADD CHECK (kind IN ('a', 'b', 'c'));\n\
         CREATE INDEX ON shops (places);\n\
         CREATE TABLE visits (shop bigint NOT NULL, at timestamptz NOT NULL);\n",
        "DROP TABLE visits;\n\
         ALTER TABLE shops DROP CONSTRAINT shops_kind_check, ADD CHECK (kind IN ('a', 'b'));\n\
         ALTER TABLE shops DROP COLUMN town, DROP COLUMN size, DROP COLUMN owner, ALTER COLUMN note DROP DEFAULT;\n\
         DROP INDEX shops_places_idx;\n",
    );

    // What the same statements do to locks is another story.
    let story = verdict.codes().into_iter().find(|it| !it.contains("lock"));
    assert_eq!(story, None, "{}{}", verdict.stdout, verdict.stderr);
}

#[test]
fn whatever_the_release_still_needs_is_missed() {
    let check = |(up, down, expected): &Mutation| {
        let verdict = next(released(), up, down);

        // What the same statement does to locks is another story.
        let codes: Vec<&str> = verdict.codes().into_iter().filter(|it| it.contains("[rollback-")).collect();
        assert_eq!(codes, *expected, "{up}\n{}{}", verdict.stdout, verdict.stderr);
        assert!(verdict.stdout.contains("v1.2.0"), "{}", verdict.stdout);
    };
    std::thread::scope(|scope| {
        for mutations in MUTATIONS.chunks(MUTATIONS.len().div_ceil(4)) {
            scope.spawn(move || mutations.iter().for_each(check));
        }
    });
}

/// What the pending migration does, how it is undone, and what the release has to say to it.
type Mutation = (&'static str, &'static str, &'static [&'static str]);

const MUTATIONS: &[Mutation] = &[
    (
        "ALTER TABLE shops RENAME COLUMN note TO remark;",
        "ALTER TABLE shops RENAME COLUMN remark TO note;",
        &["error[rollback-query-broken]", "error[rollback-query-broken]"],
    ),
    (
        "ALTER TABLE shops RENAME TO stores;",
        "ALTER TABLE stores RENAME TO shops;",
        &["error[rollback-query-broken]"],
    ),
    (
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';",
        "ALTER TYPE mood RENAME VALUE 'blue' TO 'sad';",
        &["error[rollback-type-change]", "error[rollback-type-change]"],
    ),
    (
        "DROP INDEX shops_name;",
        "CREATE UNIQUE INDEX shops_name ON shops (name);",
        &["error[rollback-query-broken]"],
    ),
    (
        "REVOKE UPDATE ON shops FROM gate_app;",
        "GRANT UPDATE ON shops TO gate_app;",
        &["error[rollback-query-broken]"],
    ),
    (
        "ALTER TABLE shops ALTER COLUMN places TYPE bigint;",
        "ALTER TABLE shops ALTER COLUMN places TYPE int;",
        &["error[rollback-type-change]", "warning[rollback-type-change]"],
    ),
    (
        "ALTER TABLE shops ALTER COLUMN code TYPE text;",
        "ALTER TABLE shops ALTER COLUMN code TYPE varchar(20);",
        &["warning[rollback-type-change]"],
    ),
    (
        "ALTER TABLE shops ALTER COLUMN places DROP NOT NULL;",
        "ALTER TABLE shops ALTER COLUMN places SET NOT NULL;",
        &["error[rollback-nullable]"],
    ),
    (
        "ALTER TABLE shops ADD COLUMN town text NOT NULL;",
        "ALTER TABLE shops DROP COLUMN town;",
        &["error[rollback-insert-not-null]"],
    ),
    (
        "ALTER TABLE shops ALTER COLUMN places DROP DEFAULT;",
        "ALTER TABLE shops ALTER COLUMN places SET DEFAULT 0;",
        &["error[rollback-insert-not-null]"],
    ),
    (
        "ALTER TABLE shops ALTER COLUMN note SET NOT NULL;",
        "ALTER TABLE shops ALTER COLUMN note DROP NOT NULL;",
        &["error[rollback-insert-not-null]"],
    ),
    // The down cannot take the label back: another check's story.
    ("ALTER TYPE mood ADD VALUE 'angry';", "SELECT 1;", &["error[rollback-type-change]"]),
    (
        "ALTER TABLE shops ENABLE ROW LEVEL SECURITY;",
        "ALTER TABLE shops DISABLE ROW LEVEL SECURITY;",
        &["warning[rollback-query-broken]"],
    ),
    (
        "ALTER TABLE shops ADD CHECK (places < 100);",
        "ALTER TABLE shops DROP CONSTRAINT shops_places_check;",
        &["warning[rollback-query-broken]"],
    ),
    (
        "ALTER TABLE shops DROP CONSTRAINT shops_kind_check, ADD CHECK (kind IN ('a'));",
        "ALTER TABLE shops DROP CONSTRAINT shops_kind_check, ADD CHECK (kind IN ('a', 'b'));",
        &["warning[rollback-query-broken]"],
    ),
    (
        "ALTER TABLE shops ADD UNIQUE (note);",
        "ALTER TABLE shops DROP CONSTRAINT shops_note_key;",
        &["warning[rollback-query-broken]"],
    ),
    (
        "CREATE UNIQUE INDEX notes ON shops (lower(note));",
        "DROP INDEX notes;",
        &["warning[rollback-query-broken]"],
    ),
    (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n\
         CREATE TRIGGER no BEFORE UPDATE ON shops FOR EACH ROW EXECUTE FUNCTION no();",
        "DROP TRIGGER no ON shops; DROP FUNCTION no();",
        &["warning[rollback-query-broken]"],
    ),
];

#[test]
fn each_issue_is_told_with_the_migration_that_brings_it() {
    let project = released()
        .pair(
            "0005_remark",
            "ALTER TABLE shops ADD COLUMN remark text;\n",
            "ALTER TABLE shops DROP COLUMN remark;\n",
        )
        .pair(
            "0006_places",
            "-- More of them.\nALTER TABLE shops ALTER COLUMN mood SET DEFAULT 'sad';\n\
             ALTER TABLE shops ALTER COLUMN places TYPE bigint, ALTER COLUMN places DROP NOT NULL;\n",
            "ALTER TABLE shops ALTER COLUMN mood SET DEFAULT 'glad',\n\
             ALTER COLUMN places TYPE int, ALTER COLUMN places SET NOT NULL;\n",
        );
    let verdict = next_named(project);

    insta::assert_snapshot!(verdict.stdout, @r#"
    error[lock-rewrite] migrations/0006_places.up.sql:3: writes `shops` anew under ACCESS EXCLUSIVE: the column's type changes
      production: every query on `shops`, also a mere read, waits until all its rows are copied and its indexes built
      do: add a column of the new type, fill it in batches, let the code write both, and drop the old one in a later release; or name a table that is and stays small in `small-tables`
    warning[backfill-under-lock] migrations/0007_next.up.sql:1: goes over many rows, and line 2 of the same transaction then takes ACCESS EXCLUSIVE on `shops`
      production: who writes the same rows of `shops` waits until that lock is granted and the file ends
      do: put the rows into a file of their own, before this one; or name a table that is and stays small in `small-tables`
    error[rollback-nullable] migrations/0006_places.up.sql:3: column `places` may be null, it could not: `SELECT id, name, code, mood AS "mood: Mood", places FROM sho…` of `v1.2.0` (.sqlx/query-1.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: the first null stops it with an `UnexpectedNullError`
      do: keep the NOT NULL in this release; drop it in the next one, when the release that production goes back to reads the column as nullable
    error[rollback-query-broken] migrations/0007_next.up.sql:2: column "note" does not exist (SQLSTATE 42703): `SELECT note FROM shops` of `v1.2.0` (.sqlx/query-5.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: every such query is refused
      do: expand first, contract later: keep what the last release uses beside the new; when this release no longer uses it, the next one may drop it
    error[rollback-query-broken] migrations/0007_next.up.sql:2: column "note" of relation "shops" does not exist (SQLSTATE 42703): `INSERT INTO shops (name, note) VALUES ($1, $2)` of `v1.2.0` (.sqlx/query-2.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: every such query is refused
      do: expand first, contract later: keep what the last release uses beside the new; when this release no longer uses it, the next one may drop it
    error[rollback-type-change] migrations/0006_places.up.sql:2: column `places` is `int8`, it was `int4`: `SELECT id, name, code, mood AS "mood: Mood", places FROM sho…` of `v1.2.0` (.sqlx/query-1.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: the old binary cannot decode what it gets
      do: add a new column beside the old one and fill both; the next release, whose forerunner reads only the new one, drops the old one
    warning[rollback-type-change] migrations/0006_places.up.sql:2: parameter $1 is `int8`, it was `int4`: `UPDATE shops SET places = $1, kind = $3 WHERE mood = $2` of `v1.2.0` (.sqlx/query-3.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: the old type is still taken, as far as its values fit
      do: add a new column beside the old one and fill both; the next release, whose forerunner reads only the new one, drops the old one
    "#);
}

/// With a pair after those of the project that drops what queries use.
fn next_named(project: Project) -> Verdict {
    next_pair(
        project,
        "0007_next",
        "UPDATE shops SET remark = note;\nALTER TABLE shops\n    DROP COLUMN note;\n",
        "ALTER TABLE shops ADD COLUMN note text;\n",
    )
}

fn next_pair(project: Project, stem: &str, up: &str, down: &str) -> Verdict {
    let project = ["1", "2", "3", "4", "5"]
        .iter()
        .fold(project, |project, label| project.without(&format!(".sqlx/query-{label}.json")));
    check(&project.query("6", "SELECT 1", &[]).pair(stem, up, down), &["--release", "v1.2.0"])
}

#[test]
fn a_longer_star_is_a_warning() {
    let project = unreleased()
        .described(
            "5",
            "SELECT * FROM orders",
            &[("id", "Int8", false), ("note", "Text", true), ("state", STATE, false)],
            &[],
        )
        .pair(
            "0005_rights",
            "GRANT SELECT ON orders TO gate_app;\n",
            "REVOKE SELECT ON orders FROM gate_app;\n",
        )
        .tagged("v1.3.0")
        .pair(
            "0006_size",
            "ALTER TABLE orders ADD COLUMN size int;\n",
            "ALTER TABLE orders DROP COLUMN size;\n",
        );
    let verdict = check(&project, &["--release-tags", "v*"]);

    insta::assert_snapshot!(verdict.stdout, @"
    warning[rollback-type-change] migrations/0006_size.up.sql:1: the result has the further columns `size`: `SELECT * FROM orders` of `v1.3.0` (.sqlx/query-5.json)
      production: after a rollback to `v1.3.0`, and while both run during the roll-out: connections that have it prepared hear `cached plan must not change result type` until they are new
      do: name the columns instead of `*` in this release, or renew the connections after the migration
    ");
}

#[test]
fn without_a_ledger_the_release_itself_says_what_worked() {
    let project = released().without("migrations/applied.toml");
    let verdict = next(
        project,
        "ALTER TABLE shops DROP COLUMN note, ALTER COLUMN places TYPE bigint;\n",
        "ALTER TABLE shops ADD COLUMN note text, ALTER COLUMN places TYPE int;\n",
    );

    assert_eq!(verdict.exit_code, 1);
    insta::assert_snapshot!(verdict.stdout, @r#"
    error[down-fails] migrations/0001_accounts.down.sql:1: the file runs, but `gate_deployer` cannot record and commit it: permission denied for table _sqlx_migrations (SQLSTATE 42501)
      production: in the incident that needs it, the rollback stops here
      do: correct the statement so that it undoes what the up does, on the schema that the up leaves
    error[rollback-query-broken] migrations/0005_next.up.sql:1: column "note" does not exist (SQLSTATE 42703): `SELECT note FROM shops` of `v1.2.0` (.sqlx/query-5.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: every such query is refused
      do: expand first, contract later: keep what the last release uses beside the new; when this release no longer uses it, the next one may drop it
    error[rollback-query-broken] migrations/0005_next.up.sql:1: column "note" of relation "shops" does not exist (SQLSTATE 42703): `INSERT INTO shops (name, note) VALUES ($1, $2)` of `v1.2.0` (.sqlx/query-2.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: every such query is refused
      do: expand first, contract later: keep what the last release uses beside the new; when this release no longer uses it, the next one may drop it
    error[rollback-type-change] migrations/0005_next.up.sql:1: column `places` is `int8`, it was `int4`: `SELECT id, name, code, mood AS "mood: Mood", places FROM sho…` of `v1.2.0` (.sqlx/query-1.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: the old binary cannot decode what it gets
      do: add a new column beside the old one and fill both; the next release, whose forerunner reads only the new one, drops the old one
    warning[rollback-type-change] migrations/0005_next.up.sql:1: parameter $1 is `int8`, it was `int4`: `UPDATE shops SET places = $1, kind = $3 WHERE mood = $2` of `v1.2.0` (.sqlx/query-3.json)
      production: after a rollback to `v1.2.0`, and while both run during the roll-out: the old type is still taken, as far as its values fit
      do: add a new column beside the old one and fill both; the next release, whose forerunner reads only the new one, drops the old one
    "#);
}

#[test]
fn what_cannot_be_judged_of_a_release_is_said() {
    let first = check(&released(), &["--release-tags", "release-*"]);
    insta::assert_snapshot!(first.stderr, @"
    note: no tag like `release-*` comes before this commit: nothing was released that production could go back to
    migrations hold: 4 applied and 0 pending, 5 queries tried
    ");

    let bare = Project::of_pairs().tagged("v1.0.0").query("1", "SELECT 1", &[]);
    insta::assert_snapshot!(check(&bare, &["--release-tags", "v*"]).expect(&["warning[not-judged]"]), @"
    warning[not-judged] release `v1.0.0` has no prepared queries (`.sqlx/query-*.json`) in its git tag
      production: nobody knows whether a rollback to it would still work
      do: commit what `cargo sqlx prepare` writes, so that the next release has it; name another release with `--release TAG`
    ");
    insta::assert_snapshot!(check(&bare, &["--release", "v1.0.0"]).expect(&["error[not-judged]"]), @"
    error[not-judged] release `v1.0.0` has no prepared queries (`.sqlx/query-*.json`) in its git tag
      production: nobody knows whether a rollback to it would still work
      do: commit what `cargo sqlx prepare` writes, so that the next release has it; name another release with `--release TAG`
    ");

    let unknown = check(&bare, &["--release", "v9"]);
    assert_eq!(unknown.exit_code, 2);
    insta::assert_snapshot!(unknown.stderr, @"error: git knows no revision `v9`; `git fetch origin v9` gets a branch, `git fetch --tags` the tags");
}

#[test]
fn the_newest_release_before_this_commit_is_the_one_to_go_back_to() {
    let project = released()
        .pair(
            "0005_more",
            "ALTER TABLE shops ADD COLUMN more int;\n",
            "ALTER TABLE shops DROP COLUMN more;\n",
        )
        .query("7", "SELECT more FROM shops", &[])
        .tagged("v1.10.0")
        .tagged("v1.10.0-rc1")
        .tagged("v1.9.0")
        .without(".sqlx/query-7.json")
        .pair(
            "0006_less",
            "ALTER TABLE shops DROP COLUMN more;\n",
            "ALTER TABLE shops ADD COLUMN more int;\n",
        );

    let verdict = check(&project, &["--release-tags", "v*"]);

    insta::assert_snapshot!(verdict.stdout, @r#"
    error[rollback-query-broken] migrations/0006_less.up.sql:1: column "more" does not exist (SQLSTATE 42703): `SELECT more FROM shops` of `v1.10.0` (.sqlx/query-7.json)
      production: after a rollback to `v1.10.0`, and while both run during the roll-out: every such query is refused
      do: expand first, contract later: keep what the last release uses beside the new; when this release no longer uses it, the next one may drop it
    "#);
}

#[test]
fn the_queries_of_a_release_are_found_where_it_had_them() {
    let elsewhere = r#"{"db_name": "PostgreSQL", "query": "SELECT note FROM shops", "hash": "1", "describe":
        {"columns": [], "parameters": {"Left": []}, "nullable": []}}"#;
    let labels = ["1", "2", "3", "4", "5"].map(|label| format!(".sqlx/query-{label}.json"));
    let project = labels
        .iter()
        .fold(unreleased(), |project, file| project.without(file))
        .with("crates/shop/.sqlx/query-1.json", elsewhere)
        .with("crates/shop/.sqlx/query-2.json", "{")
        .tagged("v1.3.0")
        .query("1", "SELECT 1", &[])
        .pair(
            "0005_less",
            "ALTER TABLE shops DROP COLUMN note;\n",
            "ALTER TABLE shops ADD COLUMN note text;\n",
        );

    let verdict = check(&project, &["--release-tags", "v*"]);

    assert_eq!(
        verdict.codes(),
        ["warning[not-judged]", "error[rollback-query-broken]"],
        "{}",
        verdict.stdout
    );
    assert!(verdict.stdout.contains("crates/shop/.sqlx/query-1.json"), "{}", verdict.stdout);
}
