//! Going back, doing it again, and beginning from nothing: hazards 66 to 72; then what only a code tells.

use super::{
    good::Good::{Branch, Pairs, Shop, Waived},
    row::{NO_HAZARD, Row, row},
};
use crate::project::{PRELUDE, Project};

pub(super) const ROWS: &[Row] = &[
    row(66, "a down that does not run", Pairs, &["error[down-fails]"], |good| {
        down(good, "DROP TABLE labels;\n")
    }),
    row(66, "a down that is no SQL", Pairs, &["error[down-fails]"], |good| down(good, "DROP TABEL tags;\n")),
    row(67, "a down that leaves another schema", Pairs, &["error[down-leaves-drift]"], |good| {
        down(good, "DROP TABLE tags;\nALTER TABLE orders ALTER COLUMN state DROP DEFAULT;\n")
    }),
    row(68, "an up that does not run after its down", Pairs, &["error[reup-fails]"], |good| {
        good.pair(
            "0004_tags",
            "CREATE TYPE tag_kind AS ENUM ('shop');\nCREATE TABLE tags (kind tag_kind PRIMARY KEY);\n",
            "DROP TABLE tags;\n",
        )
    }),
    row(69, "a down that drops what held rows before the up", Pairs, &["info[down-leaves-drift]"], |good| {
        good.pair(
            "0004_tags",
            "ALTER TABLE orders RENAME TO purchases;\n",
            "DROP TABLE purchases;\n\
             CREATE TABLE orders (id bigint CONSTRAINT orders_pkey PRIMARY KEY, note text, state order_state NOT NULL DEFAULT 'open');\n",
        )
    }),
    row(70, "the author's search_path", Pairs, &["error[apply-failed]"], |good| {
        good.with("prelude.sql", format!("{PRELUDE}CREATE SCHEMA shop AUTHORIZATION gate_deployer;\n")).pair(
            "0004_tags",
            "CREATE TABLE shop.tags (id bigint PRIMARY KEY);\nCOMMENT ON TABLE tags IS 'of a shop';\n",
            "DROP TABLE shop.tags;\n",
        )
    }),
    row(70, "the author's setting", Pairs, &["error[apply-failed]"], |good| {
        good.pair(
            "0004_tags",
            "CREATE TABLE tags (tenant text DEFAULT current_setting('app.tenant'));\nINSERT INTO tags DEFAULT VALUES;\n",
            "DROP TABLE tags;\n",
        )
    }),
    row(70, "a search_path that outlives the file", Pairs, &["warning[role-escape]"], |good| {
        let text = good.read("migrations/0004_tags.up.sql");
        good.with("migrations/0004_tags.up.sql", format!("{text}SET search_path = public;\n"))
    }),
    row(
        71,
        "a name that is another one each time",
        Pairs,
        &["error[down-fails]", "error[owner-drift]"],
        |good| {
            good.pair(
            "0004_tags",
            "DO $$ BEGIN EXECUTE format('CREATE TABLE %I (id int)', 'tags_' || gen_random_uuid()); END $$;\n",
            "DROP TABLE tags;\n",
        )
        },
    ),
    row(71, "the second time makes another schema", Pairs, &["error[down-leaves-drift]"], |good| {
        good.pair(
            "0004_tags",
            "CREATE TABLE tags (tag text PRIMARY KEY);\n\
             DO $$ BEGIN\n    IF NOT EXISTS (SELECT FROM orders) THEN COMMENT ON TABLE tags IS 'first'; END IF;\nEND $$;\n\
             INSERT INTO orders (id) VALUES (-1) ON CONFLICT DO NOTHING;\n",
            "DROP TABLE tags;\n",
        )
    }),
    row(72, "what the first migration builds on is nowhere", Pairs, &["error[apply-failed]"], |good| {
        good.pair(
            "0001_accounts",
            "CREATE TABLE shop.accounts (id bigint PRIMARY KEY);\n\
             GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;\n",
            "DROP TABLE shop.accounts;\n",
        )
        .applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
        ])
    }),
    row(
        NO_HAZARD,
        "an entry that was added to the ledger by hand",
        Branch,
        &["error[ledger-unproven]"],
        |good| {
            let ledger = good.read("migrations/applied.toml");
            let checksum = good.checksum("0004_tags");
            good.with(
            "migrations/applied.toml",
            format!(
                "{ledger}\n[[migration]]\nversion = 4\nname = \"tags\"\nchecksum = \"{checksum}\"\nrole = \"deployer\"\n"
            ),
        )
        },
    ),
    row(NO_HAZARD, "a query that no schema ever had", Shop, &["error[query-broken]"], |good| {
        good.query("e", "SELECT colour FROM visits", &[])
    }),
    row(
        NO_HAZARD,
        "a waiver whose last day is over",
        Waived,
        &["error[waiver-expired]", "error[no-down]"],
        |good| {
            let waivers = good.read("migrations/waivers.toml").replace("2999-12-31", "2020-02-29");
            good.with("migrations/waivers.toml", waivers)
        },
    ),
    row(NO_HAZARD, "a waiver that nothing needs", Waived, &["warning[waiver-unused]"], |good| {
        good.with("migrations/0004_tags.down.sql", "DROP TABLE tags;\n")
    }),
];

fn down(good: Project, sql: &str) -> Project {
    good.with("migrations/0004_tags.down.sql", sql)
}
