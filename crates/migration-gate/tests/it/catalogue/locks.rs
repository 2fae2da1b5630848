//! What pending migrations do to tables in use and to the rows in them: hazards 49 to 65.

use super::{
    good::{
        Good::{InUse, Indexed, Pairs, Shop},
        VISITS,
    },
    row::{Row, row},
};
use crate::{
    locks::Then as _,
    project::{PRELUDE, Project},
};

pub(super) const ROWS: &[Row] = &[
    row(49, "an index without CONCURRENTLY", InUse, SCAN, |good| up(good, "CREATE INDEX ON orders (note);\n")),
    row(50, "a foreign key that is validated at once", InUse, SCAN, |good| {
        up(good, "ALTER TABLE orders ADD COLUMN parent bigint;\nALTER TABLE orders ADD FOREIGN KEY (parent) REFERENCES orders;\n")
    }),
    row(50, "a CHECK that is validated at once", InUse, SCAN, |good| {
        up(good, "ALTER TABLE orders ADD CONSTRAINT note_is_there CHECK (note <> 'x');\n")
    }),
    row(51, "SET NOT NULL without a validated CHECK", InUse, SCAN, |good| {
        up(good, "ALTER TABLE orders ALTER COLUMN note SET NOT NULL;\n")
    }),
    row(52, "another type", InUse, REWRITE, |good| {
        up(good, "ALTER TABLE orders ALTER COLUMN id TYPE numeric;\n")
    }),
    row(52, "a volatile default", InUse, REWRITE, |good| {
        up(good, "ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();\n")
    }),
    row(52, "a stored column", InUse, REWRITE, |good| {
        up(good, "ALTER TABLE orders ADD COLUMN long int GENERATED ALWAYS AS (length(note)) STORED;\n")
    }),
    row(52, "a bigserial", InUse, REWRITE, |good| up(good, "ALTER TABLE orders ADD COLUMN n bigserial;\n")),
    row(52, "SET UNLOGGED", InUse, &["error[lock-rewrite]", "info[lint]"], |good| up(good, "ALTER TABLE orders SET UNLOGGED;\n")),
    row(53, "timestamp becomes timestamptz where production's zone is another", InUse, REWRITE, |good| {
        good.with(
            "migrations/0002_orders.sql",
            "CREATE TABLE orders (id bigint PRIMARY KEY, note text, at timestamp);\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")])
        .then("0004_zone", "ALTER TABLE orders ALTER COLUMN at TYPE timestamptz;\n")
    })
    .on(&["--time-zone", "Europe/Berlin"]),
    row(54, "rows are filled while the lock is held", InUse, &["error[backfill-under-lock]"], |good| {
        up(good, "ALTER TABLE orders ADD COLUMN kind text;\nUPDATE orders SET kind = 'plain' WHERE kind IS NULL;\n")
    }),
    row(55, "no limit on waiting for a lock", InUse, &["warning[no-lock-timeout]"], |good| {
        good.with("prelude.sql", PRELUDE.replace("'5s'", "'0'"))
    }),
    row(56, "strong locks on two tables in one file", InUse, &["info[lock-scan]"], |good| {
        good.with("migrations/0002_orders.sql", TWO_TABLES)
            .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")])
            .then("0003_tags", "ALTER TABLE orders ADD COLUMN kind text;\nALTER TABLE lines ADD COLUMN kind text;\n")
    }),
    row(57, "CASCADE takes a view along", Shop, &["warning[lint]", "error[query-broken]"], |good| {
        good.pair(
            "0004_next",
            "ALTER TABLE shops DROP COLUMN mood CASCADE;\n",
            "ALTER TABLE shops ADD COLUMN mood mood NOT NULL DEFAULT 'glad';\n\
             CREATE VIEW glad_shops AS SELECT id, name FROM shops WHERE mood = 'glad';\nGRANT SELECT ON glad_shops TO gate_app;\n",
        )
    })
    .on(&[]),
    row(58, "DROP INDEX without CONCURRENTLY", Indexed, &["warning[lint]"], |good| {
        good.pair("0006_no_index", "DROP INDEX orders_note_idx;\n", "CREATE INDEX orders_note_idx ON orders (note);\n")
    }),
    row(58, "REINDEX", InUse, SCAN, |good| up(good, "REINDEX TABLE orders;\n")),
    row(58, "CLUSTER", InUse, REWRITE, |good| up(good, "CLUSTER orders USING orders_pkey;\n")),
    row(58, "VACUUM FULL", InUse, REWRITE, |good| up(good, "-- no-transaction\nVACUUM FULL orders;\n")),
    row(58, "a materialized view is filled again", InUse, REWRITE, |good| {
        good.with(
            "migrations/0002_orders.sql",
            "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n\
             CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS orders FROM orders;\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")])
        .then("0003_tags", "REFRESH MATERIALIZED VIEW totals;\n")
    }),
    row(59, "IF NOT EXISTS passes over an index that a failure left", Indexed, &["error[invalid-index]"], |good| {
        let text = good.read("migrations/0005_note_index.up.sql");
        good.with("migrations/0005_note_index.up.sql", text.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"))
    }),
    row(60, "an enum's label is used where it is added", Pairs, &["error[apply-failed]"], |good| {
        good.pair(
            "0004_tags",
            "ALTER TYPE order_state ADD VALUE 'sent';\nUPDATE orders SET state = 'sent';\n",
            "SELECT 1;\n",
        )
    }),
    row(61, "a cast that some rows do not stand", InUse, &["warning[apply-failed]"], |good| {
        up(good, "ALTER TABLE orders ADD COLUMN number int;\n")
            .then("0004_numbers", "UPDATE orders SET number = note::int;\n")
    }),
    row(61, "a cast that the project's own rows do not stand", InUse, &["error[apply-failed]"], |good| {
        up(good, "ALTER TABLE orders ADD COLUMN number int;\n")
            .then("0004_numbers", "UPDATE orders SET number = note::int;\n")
            .with("migrations/sample-rows.sql", "INSERT INTO orders (id, note) VALUES (7, 'twelve');\n")
    }),
    row(62, "a name of more than 63 bytes", InUse, SWALLOWED, |good| {
        up(good, &format!("CREATE TABLE {} (tag text PRIMARY KEY);\n", "t".repeat(64)))
    }),
    row(63, "IF NOT EXISTS passes over a table of another shape", InUse, SWALLOWED, |good| {
        up(good, "CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, colour text);\n")
    }),
    row(64, "rows are deleted to which a foreign key without an index refers", Shop, &["warning[lint]"], |good| {
        let visits = VISITS.replace("CREATE INDEX visits_shop ON visits (shop);\n", "");
        good.with("migrations/0003_visits.up.sql", visits).query(
            "e",
            "DELETE FROM shops WHERE id = $1",
            &["Int8"],
        )
    }),
    row(65, "a table that a crash empties", InUse, &["info[lint]"], |good| {
        up(good, "CREATE UNLOGGED TABLE tags (tag text PRIMARY KEY);\n")
    }),
    row(65, "a published table without a key", InUse, &["warning[lint]"], |good| {
        up(good, "CREATE TABLE tags (tag text);\n")
            .with("prelude.sql", format!("{PRELUDE}CREATE PUBLICATION everything FOR ALL TABLES;\n"))
    }),
    row(65, "a query that changes its rows", Shop, &["error[query-broken]", "warning[lint]"], |good| {
        let visits = VISITS.replace("id bigserial PRIMARY KEY", "id bigserial").replace("INSERT ON", "INSERT, UPDATE ON");
        let prelude = good.read("prelude.sql");
        good.with("prelude.sql", format!("{prelude}CREATE PUBLICATION everything FOR ALL TABLES;\n"))
            .with("migrations/0003_visits.up.sql", visits)
            .query("e", "UPDATE visits SET note = $1", &["Text"])
    }),
];

const SCAN: &[&str] = &["error[lock-scan]"];
const REWRITE: &[&str] = &["error[lock-rewrite]"];
const SWALLOWED: &[&str] = &["warning[swallowed-error]"];

const TWO_TABLES: &str =
    "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\nCREATE TABLE lines (id bigint PRIMARY KEY);\n";

/// With another pending migration in the place of the good one.
fn up(good: Project, sql: &str) -> Project {
    good.then("0003_tags", sql)
}
