//! The last release's code on the new schema, and queries on what pending migrations leave: hazards 34 to 48.

use super::{
    good::Good::{Pairs, Shop},
    row::{Row, row},
};
use crate::project::Project;

pub(super) const ROWS: &[Row] = &[
    row(34, "a column that the release reads is dropped", Shop, &[BROKEN], |good| {
        next(good, "ALTER TABLE shops DROP COLUMN note;\n", "ALTER TABLE shops ADD COLUMN note text;\n")
    }),
    row(34, "a table that the release reads is dropped", Shop, &[BROKEN], |good| {
        next(
            good,
            "DROP TABLE orders;\n",
            "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shop bigint NOT NULL REFERENCES shops, \
             amount int NOT NULL);\nCREATE INDEX orders_shop ON orders (shop);\n\
             GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO gate_app;\n",
        )
    }),
    row(35, "a column is renamed", Shop, &[BROKEN], |good| {
        next(
            good,
            "ALTER TABLE shops RENAME COLUMN note TO remark;\n",
            "ALTER TABLE shops RENAME COLUMN remark TO note;\n",
        )
    }),
    row(35, "a table is renamed", Shop, &[BROKEN], |good| {
        next(good, "ALTER TABLE orders RENAME TO sales;\n", "ALTER TABLE sales RENAME TO orders;\n")
    }),
    row(35, "an enum's label is renamed", Shop, &[TYPE], |good| {
        next(
            good,
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';\n",
            "ALTER TYPE mood RENAME VALUE 'blue' TO 'sad';\n",
        )
    }),
    row(
        36,
        "a new column that must be filled, without a default",
        Shop,
        &["error[not-null-without-default]", "error[rollback-insert-not-null]"],
        |good| {
            next(
                good,
                "ALTER TABLE shops ADD COLUMN town text NOT NULL;\n",
                "ALTER TABLE shops DROP COLUMN town;\n",
            )
        },
    ),
    row(
        36,
        "the same, seen by the release's INSERT",
        Shop,
        &[INSERT, "error[not-null-without-default]"],
        |good| {
            next(
                good,
                "ALTER TABLE shops ADD COLUMN town text NOT NULL;\n",
                "ALTER TABLE shops DROP COLUMN town;\n",
            )
        },
    ),
    row(37, "a default is dropped that the release relies on", Shop, &[INSERT], |good| {
        next(
            good,
            "ALTER TABLE shops ALTER COLUMN places DROP DEFAULT;\n",
            "ALTER TABLE shops ALTER COLUMN places SET DEFAULT 0;\n",
        )
    }),
    row(
        37,
        "NOT NULL on a column that the release leaves out",
        Shop,
        &[INSERT, "error[lock-scan]"],
        |good| {
            next(
                good,
                "ALTER TABLE shops ALTER COLUMN spare SET NOT NULL;\n",
                "ALTER TABLE shops ALTER COLUMN spare DROP NOT NULL;\n",
            )
        },
    ),
    row(38, "int becomes bigint", Shop, &[TYPE, "error[lock-rewrite]"], |good| {
        next(
            good,
            "ALTER TABLE shops ALTER COLUMN places TYPE bigint;\n",
            "ALTER TABLE shops ALTER COLUMN places TYPE int;\n",
        )
    }),
    row(39, "a column that the release reads may be null", Shop, &["error[rollback-nullable]"], |good| {
        next(
            good,
            "ALTER TABLE shops ALTER COLUMN places DROP NOT NULL;\n",
            "ALTER TABLE shops ALTER COLUMN places SET NOT NULL;\n",
        )
    }),
    row(
        40,
        "an enum has a label that the release does not know",
        Shop,
        &[TYPE, "error[down-leaves-drift]"],
        |good| next(good, "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'angry';\n", "SELECT 'a label stays';\n"),
    ),
    row(41, "a CHECK that the release's writes may break", Shop, &[RESTRICTION], |good| {
        next(
            good,
            "ALTER TABLE shops ADD CONSTRAINT note_is_short CHECK (length(note) < 100) NOT VALID;\n",
            "ALTER TABLE shops DROP CONSTRAINT note_is_short;\n",
        )
    }),
    row(41, "a trigger that the release's writes meet", Shop, &[RESTRICTION], |good| {
        next(
            good,
            "CREATE FUNCTION check_shop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n\
             CREATE TRIGGER check_shop BEFORE INSERT ON shops FOR EACH ROW EXECUTE FUNCTION check_shop();\n",
            "DROP TRIGGER check_shop ON shops;\nDROP FUNCTION check_shop();\n",
        )
    }),
    row(42, "the index of an ON CONFLICT is dropped", Shop, &[BROKEN], |good| {
        next(
            good,
            "-- no-transaction\nDROP INDEX CONCURRENTLY shops_name;\n",
            "CREATE UNIQUE INDEX shops_name ON shops (name);\n",
        )
    })
    .on(&["--release-tags", "v*", "--boot", "alone"]),
    row(43, "a function has another signature", Shop, &[BROKEN], |good| {
        next(
            good,
            "DROP FUNCTION label(text);\n\
             CREATE FUNCTION label(name text, length int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT left(name, length)';\n",
            "DROP FUNCTION label(text, int);\n\
             CREATE FUNCTION label(name text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(name)';\n",
        )
    }),
    row(44, "a function's body names a dropped column", Shop, &[BROKEN], |good| {
        next(good, NO_SPARES, "ALTER TABLE shops ADD COLUMN spare int;\n")
    }),
    row(44, "the same, in this release's code", Shop, &["error[query-broken]", BROKEN], |good| {
        next(good, NO_SPARES, "ALTER TABLE shops ADD COLUMN spare int;\n").query("e", "SELECT spares()", &[])
    }),
    row(
        45,
        "a new column makes a name ambiguous",
        Shop,
        &[BROKEN, "warning[rollback-type-change]"],
        |good| {
            next(good, "ALTER TABLE orders ADD COLUMN name text;\n", "ALTER TABLE orders DROP COLUMN name;\n")
        },
    ),
    row(46, "`SELECT *` gets longer", Shop, &["warning[rollback-type-change]"], |good| {
        next(good, "ALTER TABLE orders ADD COLUMN at date;\n", "ALTER TABLE orders DROP COLUMN at;\n")
    }),
    row(46, "`SELECT *` gets another order", Shop, &[TYPE], |good| next(good, SWAPPED, SWAPPED)),
    row(47, "a column that an earlier migration dropped", Pairs, &["error[apply-failed]"], |good| {
        good.pair(
            "0003_order_state",
            "CREATE TYPE order_state AS ENUM ('open', 'paid');\nALTER TABLE orders DROP COLUMN note;\n",
            "DROP TYPE order_state;\nALTER TABLE orders ADD COLUMN note text;\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0003_order_state", "deployer")])
        .pair("0004_tags", "UPDATE orders SET note = '' WHERE note IS NULL;\n", "SELECT 1;\n")
    }),
    row(48, "a query loses the index by which it finds its rows", Shop, &["warning[lint]"], |good| {
        good.query("e", "SELECT amount FROM orders WHERE shop = $1", &["Int8"]).pair(
            "0004_next",
            "-- no-transaction\nDROP INDEX CONCURRENTLY orders_shop;\n",
            "CREATE INDEX orders_shop ON orders (shop);\n",
        )
    })
    .on(&["--release-tags", "v*", "--boot", "alone"]),
];

const BROKEN: &str = "error[rollback-query-broken]";
const RESTRICTION: &str = "warning[rollback-query-broken]";
const TYPE: &str = "error[rollback-type-change]";
const INSERT: &str = "error[rollback-insert-not-null]";

const SWAPPED: &str = "ALTER TABLE orders RENAME COLUMN amount TO other;
ALTER TABLE orders RENAME COLUMN shop TO amount;
ALTER TABLE orders RENAME COLUMN other TO shop;
";

const NO_SPARES: &str = "ALTER TABLE shops DROP COLUMN spare;\n";

/// With one more pending migration.
fn next(good: Project, up: &str, down: &str) -> Project {
    good.pair("0004_next", up, down)
}
