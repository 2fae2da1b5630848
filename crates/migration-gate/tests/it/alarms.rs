//! What production's server refuses, and what the gate says about it.

use crate::project::Project;

/// The good project with other SQL in its pending migration.
fn pending(up: &str) -> Project {
    Project::of_pairs().pair("0004_tags", up, "SELECT 1;\n")
}

#[test]
fn a_syntax_error_is_placed_at_its_line() {
    let project = pending("CREATE TABLE tags (tag text);\n\nCREATE TABEL labels (id int);\n");

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0004_tags.up.sql:3: syntax error at or near "TABEL" (SQLSTATE 42601)
      production: the deployment stops here and nothing of the file is kept
      do: correct the syntax; the file is sent as one query, so nothing that only `psql` understands may stand in it
    "#);
}

#[test]
fn a_renamed_column_is_told_with_its_new_name() {
    let project = Project::of_pairs()
        .pair(
            "0004_tags",
            "ALTER TABLE orders RENAME COLUMN note TO remark;\n",
            "ALTER TABLE orders RENAME COLUMN remark TO note;\n",
        )
        .pair("0005_notes", "CREATE INDEX ON orders (note);\n", "SELECT 1;\n");

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0005_notes.up.sql:1: column "note" does not exist (SQLSTATE 42703)
      production: `0004_tags.up.sql:1` has renamed column `note` of `orders` to `remark`; the deployment stops here and nothing of the file is kept
      do: call it `remark`: this runs on the schema that the earlier migrations leave
    "#);
}

#[test]
fn a_dropped_table_is_told_with_the_migration_that_dropped_it() {
    let project = Project::of_pairs()
        .pair(
            "0004_tags",
            "DROP TABLE orders;\n",
            "CREATE TABLE orders (id bigint PRIMARY KEY, note text, state order_state NOT NULL DEFAULT 'open');\n",
        )
        .pair("0005_notes", "ALTER TABLE orders ADD COLUMN at timestamptz;\n", "SELECT 1;\n");

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0005_notes.up.sql:1: relation "orders" does not exist (SQLSTATE 42P01)
      production: `0004_tags.up.sql:1` has dropped `orders`; the deployment stops here and nothing of the file is kept
      do: write it for the schema that the earlier migrations leave: without what was dropped
    "#);
}

#[test]
fn a_column_that_never_was_has_no_culprit() {
    insta::assert_snapshot!(pending("UPDATE orders SET colour = 'red';\n").check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0004_tags.up.sql:1: column "colour" of relation "orders" does not exist (SQLSTATE 42703)
      production: the deployment stops here and nothing of the file is kept
      do: correct the name, or add the column in a migration before this one
    "#);
}

#[test]
fn concurrently_in_a_transaction_is_refused_as_sqlx_sends_it() {
    let index = "CREATE INDEX CONCURRENTLY orders_note_idx ON orders (note);\n";

    insta::assert_snapshot!(pending(index).check().expect(&["error[framing]"]), @r"
    error[framing] migrations/0004_tags.up.sql:1: CREATE INDEX CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001)
      production: the deployment stops here and nothing of the file is kept
      do: put it into a file of its own, with `-- no-transaction` as its very first bytes, and nothing but this one statement
    ");
    insta::assert_snapshot!(pending(&format!("-- An index.\n-- no-transaction\n{index}")).check().expect(&["error[framing]"]), @r"
    error[framing] migrations/0004_tags.up.sql:3: CREATE INDEX CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001)
      production: the deployment stops here and nothing of the file is kept
      do: sqlx looks for the marker at the very start of the file: give it `-- no-transaction` as its very first bytes, and nothing but this one statement
    ");
    insta::assert_snapshot!(pending(&format!("-- no-transaction\n{index}SELECT 1;\n")).check().expect(&["error[framing]"]), @r"
    error[framing] migrations/0004_tags.up.sql:2: CREATE INDEX CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001)
      production: the deployment stops here and what ran before the refused statement stays, and nothing records it
      do: keep one statement in the file: several in one query are one transaction, whatever the marker says
    ");
}

#[test]
fn an_enum_value_cannot_be_used_in_the_transaction_that_adds_it() {
    let project = pending("ALTER TYPE order_state ADD VALUE 'sent';\nUPDATE orders SET state = 'sent';\n");

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0004_tags.up.sql:2: unsafe use of new value "sent" of enum type order_state (SQLSTATE 55P04)
      production: the deployment stops here and nothing of the file is kept
      do: add the enum's value in a migration of its own, before the one that uses it
    "#);
}

#[test]
fn what_only_an_administrator_may_do_is_refused() {
    insta::assert_snapshot!(pending("CREATE ROLE reporting;\n").check().expect(&["error[apply-failed]"]), @"
    error[apply-failed] migrations/0004_tags.up.sql:1: permission denied to create role (SQLSTATE 42501)
      production: the deployment stops here and nothing of the file is kept
      do: roles are made once for the whole server: let an administrator make it, the prelude here (`--prelude`), and leave `CREATE ROLE` out; or let the prelude make `gate_deployer` with `CREATEROLE`, where production's has it
    ");
    insta::assert_snapshot!(pending("SELECT count(*) FROM accounts;\n").check().expect(&["error[apply-failed]"]), @r"
    error[apply-failed] migrations/0004_tags.up.sql:1: permission denied for table accounts (SQLSTATE 42501)
      production: the deployment stops here and nothing of the file is kept
      do: let the owner of table accounts grant `gate_deployer` what the statement needs, in an earlier migration
    ");
}

#[test]
fn a_migration_that_ends_its_own_connection_is_at_fault_not_the_server() {
    let project = pending("SELECT pg_terminate_backend(pg_backend_pid());\n");

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]"]), @r"
    error[apply-failed] migrations/0004_tags.up.sql:1: the connection was ended while the file ran (SQLSTATE 57P01)
      production: the deployment stops here and nothing of the file is kept
      do: let the migration leave its own connection alone
    ");
}

#[test]
fn a_deployer_who_cannot_open_the_ledger_is_found_although_nothing_is_pending() {
    let project = Project::of_pairs()
        .without("migrations/0004_tags.up.sql")
        .without("migrations/0004_tags.down.sql")
        .with("migrations/0001_accounts.up.sql", "CREATE TABLE accounts (id bigint PRIMARY KEY);\n")
        .without("migrations/0002_orders.up.sql")
        .without("migrations/0002_orders.down.sql")
        .without("migrations/0003_order_state.up.sql")
        .without("migrations/0003_order_state.down.sql")
        .applied(&[("0001_accounts", "owner")]);

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]"]), @r"
    error[apply-failed] migrations/0001_accounts.up.sql:1: `gate_deployer` cannot open `_sqlx_migrations`: permission denied for table _sqlx_migrations (SQLSTATE 42501)
      production: every deployment stops before its first migration, also when there is none to apply
      do: let the owner of the ledger run `GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;`, in its first migration
    ");
}

#[test]
fn a_ledger_that_names_the_wrong_role_is_found_by_replaying_it() {
    let project = Project::of_pairs()
        .with("migrations/0003_order_state.up.sql", "ALTER TABLE orders ADD COLUMN state text;\n")
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0003_order_state", "owner")]);

    insta::assert_snapshot!(project.check().expect(&["error[not-owner]", "info[not-judged]"]), @r"
    error[not-owner] migrations/0003_order_state.up.sql:1: production applied this as `gate_owner`, but here it is refused: must be owner of table orders (SQLSTATE 42501)
      production: what production is cannot be rebuilt, so nobody knows what it would say to the rest
      do: let the prelude make what production had before its first migration, or correct the role in migrations/applied.toml:15
    info[not-judged] not run because `0003_order_state.up.sql` was refused: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn a_schema_that_the_prelude_should_have_made_is_missed_in_the_replay() {
    let project = Project::of_pairs()
        .with(
            "migrations/0002_orders.up.sql",
            "CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text);\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")]);

    insta::assert_snapshot!(project.check().expect(&["error[apply-failed]", "info[not-judged]"]), @r#"
    error[apply-failed] migrations/0002_orders.up.sql:1: production applied this as `gate_deployer`, but here it is refused: schema "shop" does not exist (SQLSTATE 3F000)
      production: what production is cannot be rebuilt, so nobody knows what it would say to the rest
      do: let the prelude make what production had before its first migration, or correct the role in migrations/applied.toml:9
    info[not-judged] not run because `0002_orders.up.sql` was refused: 0003_order_state.up.sql, 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    "#);
}
