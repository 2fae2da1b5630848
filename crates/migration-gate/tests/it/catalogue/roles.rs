//! Who may do what: ownership, grants, row security, roles and extensions: hazards 17 to 33.

use super::{
    good::{
        Good::{Guarded, Lent, Pairs, Shop},
        NO_VISITS, NOTES, VISITS,
    },
    row::{Row, row},
};
use crate::project::{PRELUDE, Project};

pub(super) const ROWS: &[Row] = &[
    row(17, "ALTER of the owner's table", Pairs, &["error[not-owner]"], |good| {
        tags(good, "ALTER TABLE accounts ADD COLUMN email text;\n")
    }),
    row(17, "an index on the owner's table", Pairs, &["error[not-owner]"], |good| {
        tags(good, "CREATE INDEX ON accounts (name);\n")
    }),
    row(17, "a comment on the owner's table", Pairs, &["error[not-owner]"], |good| {
        tags(good, "COMMENT ON TABLE accounts IS 'who pays';\n")
    }),
    row(17, "a policy on the owner's table", Pairs, &["error[not-owner]"], |good| {
        tags(good, "CREATE POLICY own ON accounts USING (true);\n")
    }),
    row(17, "DROP of the owner's table", Pairs, &["error[not-owner]"], |good| {
        tags(good, "DROP TABLE accounts;\n")
    }),
    row(18, "a GRANT of what the deployer may not pass on", Shop, &["error[grant-ignored]"], |good| {
        visits(good, "GRANT SELECT ON accounts TO gate_app;\n")
    }),
    row(18, "a REVOKE of what the owner has granted", Shop, &["error[grant-ignored]"], |good| {
        visits(good, "REVOKE SELECT ON accounts FROM gate_app;\n")
    }),
    row(19, "a handler hides that the deployer is refused", Pairs, &["error[swallowed-error]"], |good| {
        tags(
            good,
            "DO $$ BEGIN\n    ALTER TABLE accounts ADD COLUMN email text;\nEXCEPTION WHEN OTHERS THEN NULL;\nEND $$;\n",
        )
    }),
    row(19, "the file asks whether it may", Pairs, &["error[owner-drift]"], |good| {
        tags(
            good,
            "DO $$ BEGIN\n    IF has_table_privilege('accounts', 'TRUNCATE') THEN COMMENT ON TABLE tags IS 'all'; END IF;\nEND $$;\n",
        )
    }),
    row(20, "SET ROLE", Pairs, &["error[role-escape]"], |good| tags(good, "SET ROLE gate_owner;\n")),
    row(20, "SET SESSION AUTHORIZATION", Pairs, &["error[role-escape]"], |good| {
        tags(good, "SET SESSION AUTHORIZATION gate_owner;\n")
    }),
    row(20, "what only a superuser may", Pairs, &["error[role-escape]"], |good| {
        tags(good, "COPY tags FROM PROGRAM 'true';\n")
    }),
    row(20, "RESET ROLE does not bring the superuser back", Pairs, &["error[not-owner]"], |good| {
        tags(good, "RESET ROLE;\nALTER TABLE accounts ADD COLUMN email text;\n")
    }),
    row(21, "a table without a grant", Shop, &["error[missing-grant]"], |good| {
        without(good, "GRANT SELECT, INSERT ON visits TO gate_app;\n")
    }),
    row(21, "a schema without a grant", Shop, &["error[missing-grant]"], |good| {
        prelude(good, "GRANT USAGE ON SCHEMA log TO gate_app;\n", "")
    }),
    row(21, "a function without a grant", Shop, &["error[missing-grant]"], |good| {
        visits_and(
            good,
            "CREATE FUNCTION size() RETURNS int LANGUAGE sql AS 'SELECT 1';\nREVOKE EXECUTE ON FUNCTION size() FROM PUBLIC;\n",
            "DROP FUNCTION size();\n",
        )
        .query("e", "SELECT size()", &[])
    }),
    row(22, "a serial column without its sequence", Shop, &["error[missing-grant]"], |good| {
        without(good, "GRANT USAGE ON SEQUENCE visits_id_seq TO gate_app;\n")
    }),
    row(23, "default privileges of another creator", Shop, &["error[missing-grant]"], |good| {
        prelude(good, "FOR ROLE gate_deployer IN SCHEMA log", "FOR ROLE gate_owner IN SCHEMA log")
    }),
    row(24, "a column without its grant", Shop, &["error[missing-grant]"], |good| {
        replaced(good, "GRANT SELECT, INSERT ON visits", "GRANT SELECT (id, shop), INSERT ON visits")
    }),
    row(25, "FOR UPDATE without UPDATE", Shop, &["error[missing-grant]"], |good| {
        good.query("e", "SELECT id FROM visits FOR UPDATE", &[])
    }),
    row(25, "UPDATE that reads, without SELECT", Shop, &["error[missing-grant]"], |good| {
        replaced(good, "GRANT SELECT, INSERT ON visits", "GRANT SELECT (id), INSERT, UPDATE ON visits")
            .without(".sqlx/query-b.json")
            .query("e", "UPDATE visits SET note = 'new' WHERE shop = $1", &["Int8"])
    }),
    row(25, "ON CONFLICT DO UPDATE without UPDATE", Shop, &["error[missing-grant]"], |good| {
        good.query(
            "e",
            "INSERT INTO visits (id, shop) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET shop = excluded.shop",
            &["Int8", "Int8"],
        )
    }),
    row(26, "what the deployer makes ends with the owner", Lent, &["error[foreign-ownership]"], |good| {
        tags(good, "ALTER TABLE tags OWNER TO gate_owner;\n")
    }),
    row(27, "CREATE OR REPLACE of the owner's function", Shop, &["error[not-owner]"], |good| {
        visits(
            good,
            "CREATE OR REPLACE FUNCTION greeting() RETURNS text LANGUAGE sql AS $$ SELECT 'hi' $$;\n",
        )
    }),
    row(27, "a view that is dropped and made again has no grants", Shop, &["error[missing-grant]"], |good| {
        visits_and(good, VIEW_AGAIN, "GRANT SELECT ON glad_shops TO gate_app;\n")
    }),
    row(
        28,
        "a function with its owner's rights and the caller's path",
        Guarded,
        &["warning[rls-gap]"],
        |good| notes(good, " SET search_path = pg_catalog, pg_temp", ""),
    ),
    row(28, "everybody may call such a function", Guarded, &["info[rls-gap]"], |good| {
        notes(good, "REVOKE EXECUTE ON FUNCTION lend(int) FROM PUBLIC;\n", "")
    }),
    row(29, "row security without a policy", Guarded, &["error[rls-gap]"], |good| {
        notes(good, "CREATE POLICY notes_own ON notes TO gate_app USING (true);\n", "")
    }),
    row(29, "row security forced on who runs migrations", Guarded, &["warning[rls-gap]"], |good| {
        notes(good, "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;", FORCED)
    }),
    row(30, "a table without the row security of its siblings", Guarded, &["warning[rls-gap]"], |good| {
        good.with("prelude.sql", format!("{PRELUDE}CREATE SCHEMA shop AUTHORIZATION gate_deployer;\n")).pair(
            "0006_shop",
            "CREATE TABLE shop.a (id bigint PRIMARY KEY);\nALTER TABLE shop.a ENABLE ROW LEVEL SECURITY;\n\
             CREATE TABLE shop.b (id bigint PRIMARY KEY);\nALTER TABLE shop.b ENABLE ROW LEVEL SECURITY;\n\
             CREATE TABLE shop.c (id bigint PRIMARY KEY);\nGRANT SELECT ON shop.c TO gate_app;\n",
            "DROP TABLE shop.a, shop.b, shop.c;\n",
        )
    }),
    row(31, "an extension that only a superuser may install", Pairs, &["error[role-escape]"], |good| {
        tags(good, "CREATE EXTENSION dblink;\n")
    }),
    row(31, "a trusted one, without CREATE on the database", Pairs, &["error[apply-failed]"], |good| {
        tags(good, "CREATE EXTENSION citext;\n")
    }),
    row(32, "whoever boots may not create in the ledger's schema", Pairs, &["error[apply-failed]"], |good| {
        ["0002_orders", "0003_order_state", "0004_tags"]
            .iter()
            .fold(good, |good, stem| {
                good.without(&format!("migrations/{stem}.up.sql"))
                    .without(&format!("migrations/{stem}.down.sql"))
            })
            .with("prelude.sql", PRELUDE.replace("TO gate_owner, gate_deployer;", "TO gate_owner;"))
            .applied(&[("0001_accounts", "owner")])
    }),
    row(32, "whoever boots may not read the ledger", Pairs, &["error[apply-failed]"], |good| {
        good.pair(
            "0001_accounts",
            "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL);\n",
            "DROP TABLE accounts;\n",
        )
        .applied(&[("0001_accounts", "owner")])
    }),
    row(33, "a role is made by a deployer who may not", Pairs, &["error[apply-failed]"], |good| {
        tags(good, "CREATE ROLE reporting;\n")
    }),
    row(33, "a role is granted something that nobody has made", Pairs, &["error[apply-failed]"], |good| {
        tags(good, "GRANT SELECT ON tags TO gate_nobody;\n")
    }),
];

const FORCED: &str = "-- squawk-ignore ban-disable-trigger
ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;";

const VIEW_AGAIN: &str =
    "DROP VIEW glad_shops;\nCREATE VIEW glad_shops AS SELECT id, name FROM shops WHERE mood = 'glad';\n";

/// With another statement behind the pending table.
fn tags(good: Project, sql: &str) -> Project {
    let text = good.read("migrations/0004_tags.up.sql");
    good.with("migrations/0004_tags.up.sql", text + sql)
}

/// With another statement behind the pending tables of the shop.
fn visits(good: Project, sql: &str) -> Project {
    visits_and(good, sql, "")
}

fn visits_and(good: Project, up: &str, down: &str) -> Project {
    good.pair("0003_visits", &format!("{VISITS}{up}"), &format!("{down}{NO_VISITS}"))
}

fn replaced(good: Project, old: &str, new: &str) -> Project {
    assert!(VISITS.contains(old), "`{old}`");
    good.with("migrations/0003_visits.up.sql", VISITS.replacen(old, new, 1))
}

fn without(good: Project, statement: &str) -> Project {
    replaced(good, statement, "")
}

fn prelude(good: Project, old: &str, new: &str) -> Project {
    let text = good.read("prelude.sql");
    assert!(text.contains(old), "`{old}`");
    good.with("prelude.sql", text.replacen(old, new, 1))
}

fn notes(good: Project, old: &str, new: &str) -> Project {
    assert!(NOTES.contains(old), "`{old}`");
    good.with("migrations/0005_more.up.sql", NOTES.replacen(old, new, 1))
}
