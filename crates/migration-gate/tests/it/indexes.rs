//! Queries that pending migrations leave without the index that they need.

use crate::project::{Project, Verdict};

/// Orders have lines; the services look for both, and an index is there for each.
fn lines() -> Project {
    Project::of_pairs()
        .without("migrations/0004_tags.up.sql")
        .without("migrations/0004_tags.down.sql")
        .pair(
            "0004_lines",
            "CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, text text);\n\
             CREATE INDEX lines_order ON lines (order_id);\n\
             GRANT SELECT, DELETE ON lines, orders TO gate_app;\n",
            "REVOKE SELECT, DELETE ON orders FROM gate_app;\nDROP TABLE lines;\n",
        )
        .applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
            ("0004_lines", "deployer"),
        ])
        .query("1", "SELECT text FROM lines WHERE order_id = $1", &["Int8"])
}

/// The index of the lines' orders goes.
fn without_index(good: Project) -> Verdict {
    good.pair(
        "0006_no_index",
        "-- no-transaction\nDROP INDEX CONCURRENTLY lines_order;\n",
        "CREATE INDEX lines_order ON lines (order_id);\n",
    )
    .check_with(&["--boot", "alone"])
}

#[test]
fn a_query_that_loses_its_index_is_told() {
    let verdict = without_index(lines());

    insta::assert_snapshot!(verdict.expect(&["warning[lint]"]), @"
    warning[lint] migrations/0006_no_index.up.sql:2: `lines_order` is gone, by which a query found its rows in `lines`: `SELECT text FROM lines WHERE order_id = $1` (.sqlx/query-1.json:1)
      production: the query walks the whole table from now on: the more rows, the slower
      do: keep it until no query needs it, or make one as good: CREATE INDEX ON lines USING btree (order_id);
    ");
}

#[test]
fn an_index_that_another_one_replaces_is_not_missed() {
    let project = lines().pair(
        "0005_index",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY lines_by_order ON lines (order_id, id);\n",
        "DROP INDEX lines_by_order;\n",
    );

    without_index(project).expect_clean();
}

#[test]
fn an_index_by_which_nobody_looks_is_not_missed() {
    let nobody = lines().query("1", "SELECT text FROM lines WHERE id = $1", &["Int8"]);

    without_index(nobody).expect_clean();
}

#[test]
fn a_delete_that_a_foreign_key_makes_slow_is_told() {
    let deletes = |good: Project| good.query("2", "DELETE FROM orders WHERE id = $1", &["Int8"]);
    let tags = |sql: &str| deletes(lines()).pair("0005_tags", sql, "DROP TABLE tags;\n");
    let table =
        "CREATE TABLE tags (order_id bigint REFERENCES orders, tag text, PRIMARY KEY (tag, order_id));\n";
    tags(&table.replace("tag, order_id", "order_id, tag")).check().expect_clean();
    tags(table).check_with(&["--small-table", "tags"]).expect_clean();
    lines().pair("0005_tags", table, "DROP TABLE tags;\n").check().expect_clean();

    insta::assert_snapshot!(tags(table).check().expect(&["warning[lint]"]), @"
    warning[lint] migrations/0005_tags.up.sql:1: no index of `tags` begins with `order_id`, which refers to `orders`, and a query deletes there: `DELETE FROM orders WHERE id = $1` (.sqlx/query-2.json:1)
      production: each row that goes from `orders` walks the whole of `tags`
      do: CREATE INDEX ON tags (order_id); with CONCURRENTLY, in a file of its own, where `tags` is in use; or name it in `small-tables` if it stays small
    ");
}
