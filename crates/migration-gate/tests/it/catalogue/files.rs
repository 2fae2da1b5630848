//! Ledger, names and bytes of files, and the way in which sqlx sends them: hazards 1 to 16.

use super::{
    good::Good::{Branch, Indexed, Pairs, Timed},
    row::{Row, row},
};
use crate::project::Project;

pub(super) const ROWS: &[Row] = &[
    row(1, "two files in one slot", Pairs, &["error[slot-duplicate]"], |good| {
        good.pair("0004_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n")
    }),
    row(1, "one slot is written in two ways", Pairs, &["error[slot-duplicate]"], |good| {
        good.pair("4_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n")
    }),
    row(2, "production has applied something else in the slot", Pairs, &["error[slot-applied]"], |good| {
        good.renumbered("0003_order_state", "0003_order_stage")
            .with("migrations/0003_order_stage.up.sql", "ALTER TABLE orders ADD COLUMN stage text;\n")
    }),
    row(3, "another branch took the slot and was merged first", Branch, &["error[slot-duplicate]"], |good| {
        good.git(&["switch", "--quiet", "main"])
            .pair("0005_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n")
            .committed()
            .git(&["switch", "--quiet", "topic"])
            .pair("0005_shops", "CREATE TABLE shops (id int);\n", "DROP TABLE shops;\n")
    }),
    row(4, "an applied file is edited", Pairs, &["error[edited-after-apply]"], |good| {
        good.with(
            "migrations/0002_orders.up.sql",
            "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n",
        )
    }),
    row(5, "an applied file is deleted", Pairs, &["error[missing-applied]"], |good| {
        good.without("migrations/0003_order_state.up.sql").without("migrations/0003_order_state.down.sql")
    }),
    row(5, "an applied file is renumbered", Pairs, &["error[missing-applied]"], |good| {
        good.renumbered("0003_order_state", "0005_order_state")
    }),
    row(6, "a byte order mark", Pairs, &["error[bad-bytes]"], |good| {
        good.with("migrations/0004_tags.up.sql", "\u{feff}CREATE TABLE tags (tag text);\n")
    }),
    row(6, "CR line ends", Pairs, &["warning[bad-bytes]"], |good| {
        good.with("migrations/0004_tags.up.sql", "CREATE TABLE tags (\r\n    tag text\r\n);\r\n")
    }),
    row(6, "an applied file with other line ends", Pairs, &["error[edited-after-apply]"], |good| {
        let text = good.read("migrations/0002_orders.up.sql").replace('\n', "\r\n");
        good.with("migrations/0002_orders.up.sql", text)
    }),
    row(7, "a lower number is merged late", Pairs, &["warning[late-version]"], |good| {
        good.renumbered("0003_order_state", "0005_order_state").applied(&APPLIED_5)
    }),
    row(
        7,
        "the late file makes another schema in the other order",
        Pairs,
        &["error[order-drift]", "warning[late-version]", "error[down-leaves-drift]"],
        |good| {
            good.pair("0006_sent", "ALTER TYPE order_state ADD VALUE 'sent';\n", "SELECT 1;\n")
                .applied(&APPLIED_6)
                .pair("0005_lost", "ALTER TYPE order_state ADD VALUE IF NOT EXISTS 'lost';\n", "SELECT 1;\n")
        },
    ),
    row(8, "a month 18 in a number that is a time", Timed, &["error[bad-version]"], |good| {
        good.with("migrations/20241801120000_tags.sql", "CREATE TABLE tags (id int);\n")
    }),
    row(8, "a number with a digit too many", Timed, &["error[bad-version]"], |good| {
        good.with("migrations/202405011200000_tags.sql", "CREATE TABLE tags (id int);\n")
    }),
    row(8, "a number that is none", Pairs, &["error[bad-version]"], |good| {
        good.with("migrations/v5_labels.up.sql", "CREATE TABLE labels (id int);\n")
    }),
    row(9, "a dash instead of `_`", Pairs, &["error[ignored-file]"], |good| {
        good.with("migrations/0005-labels.up.sql", "CREATE TABLE labels (id int);\n")
    }),
    row(9, "upper case", Pairs, &["error[ignored-file]"], |good| {
        good.with("migrations/0005_labels.SQL", "CREATE TABLE labels (id int);\n")
    }),
    row(9, "in a folder", Pairs, &["error[ignored-file]"], |good| {
        good.with("migrations/new/0005_labels.sql", "CREATE TABLE labels (id int);\n")
    }),
    row(10, "an up without a down", Pairs, &["error[no-down]"], |good| {
        good.without("migrations/0004_tags.down.sql")
    }),
    row(10, "a single file among pairs", Pairs, &["error[no-down]"], |good| {
        good.with("migrations/0005_labels.sql", "CREATE TABLE labels (id int);\n")
    }),
    row(11, "an applied file has another name", Pairs, &["warning[renamed-after-apply]"], |good| {
        good.renumbered("0002_orders", "0002_purchases")
    }),
    row(12, "the marker is not at the first byte", Indexed, &["error[framing]"], |good| {
        let text = good.read("migrations/0005_note_index.up.sql");
        good.with("migrations/0005_note_index.up.sql", format!("-- For the list.\n{text}"))
    }),
    row(13, "a second statement under the marker", Indexed, &["error[framing]"], |good| {
        let text = good.read("migrations/0005_note_index.up.sql");
        good.with("migrations/0005_note_index.up.sql", format!("{text}SELECT 1;\n"))
    }),
    row(14, "COMMIT in the file", Pairs, &["error[nested-transaction]"], |good| tags(good, "COMMIT;\n")),
    row(14, "COMMIT and BEGIN", Pairs, &["error[nested-transaction]"], |good| tags(good, "COMMIT; BEGIN;\n")),
    row(14, "BEGIN, which the server ignores", Pairs, &["warning[nested-transaction]"], |good| {
        tags(good, "BEGIN;\n")
    }),
    row(15, "what a rollback does not take back", Pairs, &["error[framing]"], |good| {
        tags(good, "ALTER SYSTEM SET work_mem = '1GB';\n")
    }),
    row(15, "a database is made", Pairs, &["error[framing]"], |good| tags(good, "CREATE DATABASE other;\n")),
    row(
        16,
        "two migrators that wait in the server start together",
        Indexed,
        &["warning[concurrent-boot]"],
        |good| good,
    )
    .on(&["--boot", "waits"]),
];

/// With another statement behind the pending table.
fn tags(good: Project, sql: &str) -> Project {
    let text = good.read("migrations/0004_tags.up.sql");
    good.with("migrations/0004_tags.up.sql", text + sql)
}

const APPLIED_5: [(&str, &str); 3] =
    [("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0005_order_state", "deployer")];

const APPLIED_6: [(&str, &str); 4] = [
    ("0001_accounts", "owner"),
    ("0002_orders", "deployer"),
    ("0003_order_state", "deployer"),
    ("0006_sent", "deployer"),
];
