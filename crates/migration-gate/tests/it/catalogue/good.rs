//! The good projects that a row of the catalogue breaks.

use crate::{
    locks,
    project::{PRELUDE, Project, Verdict},
    schema,
};

/// A project in which the gate finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Good {
    /// Pairs, counted, with roles split between owner and deployer.
    Pairs,
    /// The same on a branch of its own, with `main` as its base.
    Branch,
    /// Numbered by time.
    Timed,
    /// An index is built concurrently, and the migrators poll.
    Indexed,
    /// A shop whose last release is tagged; its code has gone on since.
    Shop,
    /// The deployer is a member of the owner.
    Lent,
    /// Tables with row security.
    Guarded,
    /// Tables in use, and nothing has a down.
    InUse,
    /// A pending migration is waived.
    Waived,
}

pub(crate) const ALL: &[Good] = &[
    Good::Pairs,
    Good::Branch,
    Good::Timed,
    Good::Indexed,
    Good::Shop,
    Good::Lent,
    Good::Guarded,
    Good::InUse,
    Good::Waived,
];

impl Good {
    pub(crate) fn project(self) -> Project {
        match self {
            Self::Pairs => Project::of_pairs(),
            Self::Branch => Project::of_pairs().committed().git(&["switch", "--quiet", "--create", "topic"]),
            Self::Timed => timed(),
            Self::Indexed => indexed(),
            Self::Shop => shop(),
            Self::Lent => schema::lent("CREATE TABLE tags (id bigint PRIMARY KEY);\n"),
            Self::Guarded => schema::guarded(NOTES),
            Self::InUse => locks::pending("ALTER TABLE orders ADD COLUMN kind text;\n"),
            Self::Waived => waived(),
        }
    }

    /// What the project says of itself on the command line.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Branch => &["--base", "main"],
            Self::Indexed => &["--boot", "polls"],
            Self::Shop => &["--release-tags", "v*"],
            Self::InUse => &["--boot", "alone", "--time-zone", "UTC"],
            Self::Pairs | Self::Timed | Self::Lent | Self::Guarded | Self::Waived => &[],
        }
    }

    pub(crate) fn check(self, project: &Project) -> Verdict {
        project.check_with(self.flags())
    }
}

fn timed() -> Project {
    Project::empty()
        .with("migrations/20240101120000_users.sql", "CREATE TABLE users (id int);\n")
        .with("migrations/20240301120000_posts.sql", "CREATE TABLE posts (id int);\n")
}

fn indexed() -> Project {
    Project::of_pairs().pair(
        "0005_note_index",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY orders_note_idx ON orders (note);\n",
        "DROP INDEX orders_note_idx;\n",
    )
}

fn waived() -> Project {
    Project::of_pairs().without("migrations/0004_tags.down.sql").with(
        "migrations/waivers.toml",
        "[[waiver]]\ncode = \"no-down\"\nfile = \"0004_tags.up.sql\"\nreason = \"the data is gone\"\nexpires = 2999-12-31\n",
    )
}

/// Behind the table of tenants, in `schema::guarded`.
pub(crate) const NOTES: &str = "
CREATE TABLE notes (id bigint PRIMARY KEY);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY notes_own ON notes TO gate_app USING (true);
GRANT SELECT ON notes TO gate_app;
CREATE FUNCTION lend(int) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT $1';
REVOKE EXECUTE ON FUNCTION lend(int) FROM PUBLIC;
";

/// A schema of its own for the log, in which the services may read and write whatever the deployer makes.
const LOG: &str = "
CREATE SCHEMA log AUTHORIZATION gate_deployer;
GRANT USAGE ON SCHEMA log TO gate_app;
ALTER DEFAULT PRIVILEGES FOR ROLE gate_deployer IN SCHEMA log GRANT SELECT, INSERT ON TABLES TO gate_app;
";

/// What production has, and what the release was made for.
const SHOPS: &str = "
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE shops (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    code varchar(20) NOT NULL DEFAULT '',
    mood mood NOT NULL DEFAULT 'glad',
    places int NOT NULL DEFAULT 0,
    spare int,
    note text
);
CREATE UNIQUE INDEX shops_name ON shops (name);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shop bigint NOT NULL REFERENCES shops,
    amount int NOT NULL
);
CREATE INDEX orders_shop ON orders (shop);
CREATE VIEW glad_shops AS SELECT id, name FROM shops WHERE mood = 'glad';
CREATE FUNCTION spares() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(spare) FROM shops';
CREATE FUNCTION label(name text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(name)';
GRANT SELECT, INSERT, UPDATE, DELETE ON shops, orders TO gate_app;
GRANT SELECT ON glad_shops TO gate_app;
";

/// What is pending: two tables that only the new code knows.
pub(crate) const VISITS: &str = "
CREATE TABLE visits (id bigserial PRIMARY KEY, shop bigint NOT NULL REFERENCES shops, note text);
CREATE INDEX visits_shop ON visits (shop);
GRANT SELECT, INSERT ON visits TO gate_app;
GRANT USAGE ON SEQUENCE visits_id_seq TO gate_app;
CREATE TABLE log.entries (entry text PRIMARY KEY);
";

pub(crate) const NO_VISITS: &str = "DROP TABLE log.entries;\nDROP TABLE visits;\n";

const MOOD: &str = r#"{"Custom": {"name": "mood", "kind": {"Enum": ["glad", "sad"]}}}"#;

/// A repository whose release `v1.0.0` has shops, orders and eight queries; since then the code sends others.
fn shop() -> Project {
    let project = Project::empty()
        .with("prelude.sql", format!("{PRELUDE}{LOG}"))
        .pair(
            "0001_accounts",
            "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL);\n\
             CREATE FUNCTION greeting() RETURNS text LANGUAGE sql AS $$ SELECT 'hello' $$;\n\
             GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;\n\
             GRANT SELECT ON accounts TO gate_deployer;\n",
            "REVOKE ALL ON _sqlx_migrations FROM gate_deployer;\nDROP FUNCTION greeting();\nDROP TABLE accounts;\n",
        )
        .pair(
            "0002_shops",
            SHOPS,
            "DROP FUNCTION spares(), label(text);\nDROP VIEW glad_shops;\nDROP TABLE orders, shops;\nDROP TYPE mood;\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_shops", "deployer")]);
    let released = released_queries(project).committed().git(&["tag", "v1.0.0"]);
    ["1", "2", "3", "4", "5", "6", "7", "8"]
        .iter()
        .fold(released, |project, label| project.without(&format!(".sqlx/query-{label}.json")))
        .pair("0003_visits", VISITS, NO_VISITS)
        .query("a", "INSERT INTO visits (shop) VALUES ($1)", &["Int8"])
        .query("b", "SELECT id, note FROM visits WHERE shop = $1", &["Int8"])
        .query("c", "SELECT entry FROM log.entries", &[])
        .query("d", "SELECT id FROM glad_shops", &[])
        .committed()
}

fn released_queries(project: Project) -> Project {
    project
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
        .query("3", "INSERT INTO shops (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", &["Text"])
        .described("4", "SELECT note FROM shops", &[("note", "Text", true)], &[])
        .described("5", "SELECT spares()", &[("spares", "Int8", true)], &[])
        .described("6", "SELECT label('a')", &[("label", "Text", true)], &[])
        .described(
            "7",
            "SELECT name, amount FROM shops JOIN orders ON orders.shop = shops.id",
            &[("name", "Text", false), ("amount", "Int4", false)],
            &[],
        )
        .described(
            "8",
            "SELECT * FROM orders",
            &[("id", "Int8", false), ("shop", "Int8", false), ("amount", "Int4", false)],
            &[],
        )
}
