//! What pending migrations do to tables that production has.

use crate::project::{PRELUDE, Project};

pub(crate) trait Then {
    /// With one more pending migration.
    fn then(self, name: &str, up: &str) -> Self;
}

impl Then for Project {
    fn then(self, name: &str, up: &str) -> Self {
        self.with(&format!("migrations/{name}.sql"), up)
    }
}

/// Accounts are the owner's, orders the deployer's; both are in production, and nothing has a down.
pub(crate) fn pending(up: &str) -> Project {
    Project::empty()
        .with("prelude.sql", PRELUDE)
        .with(
            "migrations/0001_accounts.sql",
            "CREATE TABLE accounts (id bigint PRIMARY KEY);\n\
             GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;\n",
        )
        .with("migrations/0002_orders.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\n")
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")])
        .then("0003_tags", up)
}

#[test]
fn an_index_on_a_table_in_use_is_made_concurrently() {
    pending("-- no-transaction\nCREATE INDEX CONCURRENTLY orders_note_idx ON orders (note);\n")
        .check_with(&["--boot", "alone"])
        .expect_clean();

    let plain = pending("-- For the list.\nCREATE INDEX orders_note_idx\n    ON orders (note);\n");

    insta::assert_snapshot!(plain.check().expect(&["error[lock-scan]"]), @"
    error[lock-scan] migrations/0003_tags.sql:2: reads `orders` from end to end under SHARE
      production: every write to `orders` waits until the last row is read
      do: `CREATE INDEX CONCURRENTLY`, alone in a file whose first bytes are `-- no-transaction`; or name a table that is and stays small in `small-tables`
    ");
}

#[test]
fn a_foreign_key_is_validated_in_a_later_file() {
    let project = pending("ALTER TABLE orders ADD COLUMN parent_id bigint;\n");
    let good = project
        .then("0005_parent", "ALTER TABLE orders ADD CONSTRAINT orders_parent FOREIGN KEY (parent_id) REFERENCES orders NOT VALID;\n")
        .then("0006_parent_valid", "ALTER TABLE orders VALIDATE CONSTRAINT orders_parent;\n");
    good.check().expect_clean();

    let one_step = good.then(
        "0005_parent",
        "ALTER TABLE orders\n    ADD CONSTRAINT orders_parent FOREIGN KEY (parent_id) REFERENCES orders;\n",
    );
    insta::assert_snapshot!(one_step.check().expect(&["error[lock-scan]"]), @"
    error[lock-scan] migrations/0005_parent.sql:1: reads `orders` from end to end under SHARE ROW EXCLUSIVE
      production: every write to `orders` waits until the last row is read
      do: add the constraint `NOT VALID`, and `VALIDATE CONSTRAINT` in a later file, which lets everybody work; or name a table that is and stays small in `small-tables`
    ");

    let one_file = one_step.then("0005_parent", "ALTER TABLE orders ADD CONSTRAINT orders_parent FOREIGN KEY (parent_id) REFERENCES orders NOT VALID;\n\n\
         ALTER TABLE orders VALIDATE CONSTRAINT orders_parent;\n");
    insta::assert_snapshot!(one_file.check().expect(&["error[lock-scan]"]), @"
    error[lock-scan] migrations/0005_parent.sql:3: reads `orders` from end to end under SHARE ROW EXCLUSIVE
      production: every write to `orders` waits until the last row is read
      do: put `VALIDATE CONSTRAINT` into a later file: here it runs under the lock of what came before it; or name a table that is and stays small in `small-tables`
    ");
}

#[test]
fn not_null_after_a_validated_check_reads_nothing() {
    let check = "ALTER TABLE orders ADD CONSTRAINT note_is_there CHECK (note IS NOT NULL)";
    pending(&format!("{check} NOT VALID;\n"))
        .then("0005_valid", "ALTER TABLE orders VALIDATE CONSTRAINT note_is_there;\n")
        .then("0006_not_null", "ALTER TABLE orders ALTER COLUMN note SET NOT NULL;\nALTER TABLE orders DROP CONSTRAINT note_is_there;\n")
        .check()
        .expect_clean();

    insta::assert_snapshot!(pending(&format!("{check};\n")).check().expect(&["error[lock-scan]"]), @"
    error[lock-scan] migrations/0003_tags.sql:1: reads `orders` from end to end under ACCESS EXCLUSIVE
      production: every query on `orders`, also a mere read, waits until the last row is read
      do: add the constraint `NOT VALID`, and `VALIDATE CONSTRAINT` in a later file, which lets everybody work; or name a table that is and stays small in `small-tables`
    ");
    insta::assert_snapshot!(
        pending("ALTER TABLE orders ALTER COLUMN note SET NOT NULL;\n").check().expect(&["error[lock-scan]"]),
        @"
    error[lock-scan] migrations/0003_tags.sql:1: reads `orders` from end to end under ACCESS EXCLUSIVE
      production: every query on `orders`, also a mere read, waits until the last row is read
      do: `ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID`, in a later file `VALIDATE CONSTRAINT`, then `SET NOT NULL`, which reads nothing any more; or name a table that is and stays small in `small-tables`
    "
    );
    insta::assert_snapshot!(
        pending("ALTER TABLE orders ADD CONSTRAINT orders_note UNIQUE (note);\n").check().expect(&["error[lock-scan]"]),
        @"
    error[lock-scan] migrations/0003_tags.sql:1: reads `orders` from end to end under ACCESS EXCLUSIVE
      production: every query on `orders`, also a mere read, waits until the last row is read
      do: `CREATE UNIQUE INDEX CONCURRENTLY` in a file of its own (`-- no-transaction`), then `ADD CONSTRAINT … USING INDEX`; or name a table that is and stays small in `small-tables`
    "
    );
}

#[test]
fn a_default_that_is_constant_costs_nothing_one_for_each_row_rewrites_the_table() {
    pending("ALTER TABLE orders ADD COLUMN kind text NOT NULL DEFAULT 'plain';\n").check().expect_clean();

    let each = pending(
        "CREATE TABLE tags (tag text);\nALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();\n",
    );
    insta::assert_snapshot!(each.check().expect(&["error[lock-rewrite]"]), @"
    error[lock-rewrite] migrations/0003_tags.sql:2: writes `orders` anew under ACCESS EXCLUSIVE: each row gets a value of its own
      production: every query on `orders`, also a mere read, waits until all its rows are copied and its indexes built
      do: add the column without the default, then `SET DEFAULT`, fill the old rows in batches in a later file; a constant default costs nothing; or name a table that is and stays small in `small-tables`
    ");
    for up in [
        "ALTER TABLE orders ADD COLUMN n bigserial;\n",
        "ALTER TABLE orders ADD COLUMN long int GENERATED ALWAYS AS (length(note)) STORED;\n",
        "ALTER TABLE orders ALTER COLUMN note TYPE varchar(200);\n",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE orders ALTER COLUMN id TYPE numeric'; END $$;\n",
    ] {
        pending(up).check().expect(&["error[lock-rewrite]"]);
    }
}

#[test]
fn what_no_trigger_sees_is_seen_by_the_locks_and_files_it_leaves() {
    insta::assert_snapshot!(pending("REINDEX TABLE orders;\n").check().expect(&["error[lock-scan]"]), @"
    error[lock-scan] migrations/0003_tags.sql:1: reads `orders` from end to end under SHARE
      production: every write to `orders` waits until the last row is read
      do: `REINDEX … CONCURRENTLY`, alone in a file whose first bytes are `-- no-transaction`; or name a table that is and stays small in `small-tables`
    ");
    insta::assert_snapshot!(
        pending("CLUSTER orders USING orders_pkey;\n").check().expect(&["error[lock-rewrite]"]),
        @"
    error[lock-rewrite] migrations/0003_tags.sql:1: writes `orders` anew under ACCESS EXCLUSIVE: every row is copied
      production: every query on `orders`, also a mere read, waits until all its rows are copied and its indexes built
      do: leave it out of the deployment: an online tool, such as `pg_repack`, does it while everybody works; or name a table that is and stays small in `small-tables`
    "
    );
    pending("-- no-transaction\nVACUUM FULL orders;\n").check().expect(&["error[lock-rewrite]"]);
    pending("TRUNCATE orders;\nINSERT INTO orders VALUES (1, 'one');\n").check().expect_clean();
}

#[test]
fn rows_are_not_rewritten_under_a_lock() {
    pending("ALTER TABLE orders ADD COLUMN kind text;\n")
        .then("0005_kinds", "UPDATE orders SET kind = 'plain' WHERE kind IS NULL;\n")
        .check()
        .expect_clean();
    pending("ALTER TABLE orders ADD COLUMN kind text;\nUPDATE orders SET kind = 'plain' WHERE id = 7;\n")
        .check()
        .expect_clean();

    let at_once = pending(
        "ALTER TABLE orders ADD COLUMN kind text;\n\nUPDATE orders SET kind = 'plain' WHERE kind IS NULL;\n",
    );
    insta::assert_snapshot!(at_once.check().expect(&["error[backfill-under-lock]"]), @"
    error[backfill-under-lock] migrations/0003_tags.sql:3: goes over the rows of `orders` while the transaction holds ACCESS EXCLUSIVE on `orders`
      production: every query on `orders`, also a mere read, waits until the last row is written
      do: put the rows into a file of their own, after this one, in batches where the table is large; or name a table that is and stays small in `small-tables`
    ");

    let copied = pending(
        "ALTER TABLE orders ADD COLUMN kind text;\nCREATE TABLE tags (order_id bigint);\nINSERT INTO tags SELECT id FROM orders;\n",
    );
    insta::assert_snapshot!(copied.check().expect(&["error[backfill-under-lock]"]), @"
    error[backfill-under-lock] migrations/0003_tags.sql:3: goes over the rows of `orders` while the transaction holds ACCESS EXCLUSIVE on `orders`
      production: every query on `orders`, also a mere read, waits until the last row is written
      do: put the rows into a file of their own, after this one, in batches where the table is large; or name a table that is and stays small in `small-tables`
    ");

    let block = pending(
        "DO $$ BEGIN\n    ALTER TABLE orders ADD COLUMN kind text;\n    UPDATE orders SET kind = 'plain';\nEND $$;\n",
    );
    insta::assert_snapshot!(block.check().expect(&["error[backfill-under-lock]"]), @"
    error[backfill-under-lock] migrations/0003_tags.sql:1: goes over the rows of `orders` while the transaction holds ACCESS EXCLUSIVE on `orders`
      production: every query on `orders`, also a mere read, waits until the last row is written
      do: put the rows into a file of their own, after this one, in batches where the table is large; or name a table that is and stays small in `small-tables`
    ");

    let before = pending(
        "UPDATE orders SET note = '' WHERE note IS NULL;\nALTER TABLE orders ALTER COLUMN note SET DEFAULT '';\n",
    );
    insta::assert_snapshot!(before.check().expect(&["warning[backfill-under-lock]"]), @"
    warning[backfill-under-lock] migrations/0003_tags.sql:1: goes over many rows, and line 2 of the same transaction then takes ACCESS EXCLUSIVE on `orders`
      production: who writes the same rows of `orders` waits until that lock is granted and the file ends
      do: put the rows into a file of their own, before this one; or name a table that is and stays small in `small-tables`
    ");
}

#[test]
fn tables_of_the_same_deployment_are_nobodys_yet() {
    pending("CREATE TABLE tags (id bigint PRIMARY KEY, order_id bigint, tag text);\n")
        .then(
            "0005_more",
            "ALTER TABLE tags ADD FOREIGN KEY (order_id) REFERENCES orders;\n\
             CREATE INDEX ON tags (tag);\n\
             ALTER TABLE tags ALTER COLUMN id TYPE numeric;\n\
             UPDATE tags SET tag = '';\n\
             ALTER TABLE tags ALTER COLUMN tag SET NOT NULL;\n",
        )
        .check()
        .expect_clean();
}

#[test]
fn a_table_that_stays_small_may_be_walked_and_rewritten() {
    let project = pending("CREATE INDEX ON orders (note);\n")
        .then("0004_wide", "ALTER TABLE orders ALTER COLUMN id TYPE numeric;\n");

    project.check().expect(&["error[lock-scan]", "error[lock-rewrite]"]);
    project.check_with(&["--small-table", "orders"]).expect_clean();
}

#[test]
fn a_change_of_type_that_depends_on_the_time_zone_is_tried_in_production_s() {
    let project = pending("ALTER TABLE orders ALTER COLUMN at TYPE timestamptz;\n")
        .with("migrations/0002_orders.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, at timestamp);\n")
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")]);

    project.check_with(&["--time-zone", "UTC"]).expect_clean();
    project.check_with(&["--time-zone", "America/New_York"]).expect(&["error[lock-rewrite]"]);
}
