//! How a pending migration behaves in its session: transactions, roles, grants, handlers, locks.

use crate::project::{PRELUDE, Project};

/// The good project with other SQL in its pending migration.
fn pending(up: &str) -> Project {
    Project::of_pairs().pair("0004_tags", up, "DROP TABLE tags;\n")
}

#[test]
fn a_commit_inside_the_file_is_found() {
    let project = pending("CREATE TABLE tags (tag text);\nCOMMIT;\n");

    insta::assert_snapshot!(project.check().expect(&["error[nested-transaction]"]), @"
    error[nested-transaction] migrations/0004_tags.up.sql:2: the file ends the transaction that sqlx has put around it
      production: what it did so far is kept although the rest, or the line in the ledger, may fail: then the next deployment runs it again on what it left
      do: take the statements that begin and end transactions out of the file; what must not run in one needs a file of its own with `-- no-transaction`
    ");
}

#[test]
fn a_commit_that_begins_anew_is_found_by_the_transaction_itself() {
    let project = pending("CREATE TABLE tags (tag text);\n\nCOMMIT; BEGIN;\n-- And no COMMIT here.\n");

    let verdict = project.check();

    assert!(verdict.expect(&["error[nested-transaction]"]).contains("0004_tags.up.sql:3:"));
}

#[test]
fn a_begin_that_the_server_ignores_is_a_warning() {
    let project = pending("BEGIN;\nCREATE TABLE tags (tag text);\n");

    insta::assert_snapshot!(project.check().expect(&["warning[nested-transaction]"]), @"
    warning[nested-transaction] migrations/0004_tags.up.sql:1: the server ignores a statement: there is already a transaction in progress
      production: the file runs in sqlx's transaction all the same, and not as it says
      do: take the statements that begin and end transactions out of the file; what must not run in one needs a file of its own with `-- no-transaction`
    ");
}

#[test]
fn what_a_nested_transaction_keeps_is_told_when_the_rest_is_refused() {
    let project = pending("BEGIN;\nCREATE TABLE tags (tag text);\nCOMMIT;\nSELECT colour FROM tags;\n");

    let verdict = project.check();

    let said = verdict.expect(&["error[nested-transaction]", "error[apply-failed]"]);
    assert!(said.contains("what ran before its own `COMMIT` stays, and nothing records it"), "{said}");
}

#[test]
fn savepoints_and_a_transaction_block_by_name_are_nobodys_fault() {
    pending(
        "SAVEPOINT before;\nCREATE TABLE tags (tag text);\nROLLBACK TO SAVEPOINT before;\n\
         CREATE TABLE tags (tag text);\nRELEASE SAVEPOINT before;\n",
    )
    .check()
    .expect_clean();
    pending("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE tags (tag text);\n")
        .check()
        .expect_clean();
}

#[test]
fn a_transaction_that_a_block_ends_is_refused() {
    let project = pending("CREATE TABLE tags (tag text);\nDO $$\nBEGIN\n    COMMIT;\nEND $$;\n");

    insta::assert_snapshot!(project.check().expect(&["error[nested-transaction]"]), @"
    error[nested-transaction] migrations/0004_tags.up.sql:2: invalid transaction termination (SQLSTATE 2D000)
      production: the deployment stops here and nothing of the file is kept
      do: take `COMMIT` and `ROLLBACK` out of the block: the whole file is one transaction
    ");
}

#[test]
fn several_statements_under_the_marker_are_one_transaction_all_the_same() {
    let project = pending("-- no-transaction\nCREATE TABLE tags (tag text);\nCREATE INDEX ON tags (tag);\n");

    insta::assert_snapshot!(project.check().expect(&["warning[framing]"]), @"
    warning[framing] migrations/0004_tags.up.sql:1: `-- no-transaction`, but 2 statements: in one query they are one transaction all the same
      production: the marker only takes the ledger out of the transaction: killed in between, the file is applied and nothing records it
      do: take the marker away, or put what needs it into a file of its own, one statement in each
    ");
    pending("-- no-transaction\nCREATE TABLE tags (tag text);\n").check().expect_clean();
}

#[test]
fn what_reaches_beyond_the_database_is_found_also_where_it_is_allowed() {
    let project = Project::of_pairs()
        .with("prelude.sql", format!("{PRELUDE}\nDO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO gate_deployer', current_database()); END $$;"))
        .pair("0004_tags", "-- no-transaction\nDROP DATABASE IF EXISTS nobody_has_this_one;\n", "SELECT 1;\n");

    insta::assert_snapshot!(project.check().expect(&["error[framing]"]), @"
    error[framing] migrations/0004_tags.up.sql:2: `DROP DATABASE` reaches beyond this database
      production: no rollback takes it back, and a second database on that server is refused or changed with it
      do: let a database administrator do it, and the prelude here
    ");
    assert!(
        pending("ALTER SYSTEM SET work_mem = '1GB';\n")
            .check()
            .expect(&["error[framing]"])
            .contains("ALTER SYSTEM")
    );
}

#[test]
fn a_grant_that_the_server_only_warns_about_is_found() {
    let granted = |grant: &str| {
        Project::of_pairs()
            .with(
                "migrations/0001_accounts.up.sql",
                "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL);\n\
                 GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;\n\
                 GRANT SELECT ON accounts TO gate_deployer;\n",
            )
            .applied(&[
                ("0001_accounts", "owner"),
                ("0002_orders", "deployer"),
                ("0003_order_state", "deployer"),
            ])
            .pair("0004_tags", grant, "SELECT 1;\n")
    };

    insta::assert_snapshot!(granted("CREATE TABLE tags (tag text);\nGRANT SELECT ON accounts TO gate_app;\n").pair("0004_tags", "CREATE TABLE tags (tag text);\nGRANT SELECT ON accounts TO gate_app;\n", "DROP TABLE tags;\n").check().expect(&["error[grant-ignored]"]), @r#"
    error[grant-ignored] migrations/0004_tags.up.sql:2: `gate_deployer` may not GRANT this, and is only warned: no privileges were granted for "accounts"
      production: the deployment is green and nobody has got the right: the services meet SQLSTATE 42501
      do: let the owner of `accounts` do it, or give `gate_deployer` the right WITH GRANT OPTION in a migration of the owner's
    "#);
    let hidden = "DO $$\nBEGIN\n    EXECUTE 'GRANT SELECT ON accounts TO gate_app';\nEND $$;\n";
    assert!(granted(hidden).check().expect(&["error[grant-ignored]"]).contains("only warned"));
    let revoked = "REVOKE SELECT ON accounts FROM gate_app;\n";
    assert!(granted(revoked).check().expect(&["error[grant-ignored]"]).contains("REVOKE"));
    let own = "GRANT SELECT ON orders TO gate_app;\n";
    granted(own).pair("0004_tags", own, "REVOKE SELECT ON orders FROM gate_app;\n").check().expect_clean();
}

#[test]
fn a_refusal_that_a_handler_hides_is_found() {
    let project = pending(
        "CREATE TABLE tags (tag text);\n\nDO $$\nBEGIN\n    ALTER TABLE accounts ADD COLUMN email text;\n\
         EXCEPTION WHEN OTHERS THEN\n    RAISE NOTICE 'skipped';\nEND $$;\n",
    );

    insta::assert_snapshot!(project.check().expect(&["error[swallowed-error]"]), @"
    error[swallowed-error] migrations/0004_tags.up.sql:6: a handler hides that the server said: must be owner of table accounts (SQLSTATE 42501)
      production: the deployment is green, and what `gate_deployer` may not do has not happened: the next release builds on it
      do: let the owner do it, in a migration of its own, or do it with what `gate_deployer` owns; and let the handler name the errors that it expects
    ");
}

#[test]
fn a_refused_update_that_a_handler_hides_is_found_too() {
    let project = pending(
        "CREATE TABLE tags (tag text);\nDO $$\nBEGIN\n    UPDATE accounts SET name = '';\nEXCEPTION WHEN OTHERS THEN NULL;\nEND $$;\n",
    );

    assert!(
        project.check().expect(&["error[swallowed-error]"]).contains("permission denied for table accounts")
    );
}

#[test]
fn a_handler_in_a_function_of_an_earlier_migration_is_seen_as_well() {
    let project = Project::of_pairs()
        .pair(
            "0003_order_state",
            "CREATE TYPE order_state AS ENUM ('open', 'paid');\n\
             CREATE FUNCTION quietly(statement text) RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n    EXECUTE statement;\n\
             EXCEPTION WHEN OTHERS THEN NULL;\nEND $$;\n",
            "DROP FUNCTION quietly(text);\nDROP TYPE order_state;\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0003_order_state", "deployer")])
        .pair("0004_tags", "SELECT quietly('ALTER TABLE accounts ADD COLUMN email text');\n", "SELECT 1;\n");

    insta::assert_snapshot!(project.check().expect(&["warning[swallowed-error]"]), @"
    warning[swallowed-error] migrations/0004_tags.up.sql:1: a handler in a function that the file calls caught an error
      production: the deployment is green, and what was refused has not happened
      do: let the handler name the errors that it expects, and raise all others
    ");
}

#[test]
fn a_handler_that_passes_over_what_is_there_is_nobodys_fault() {
    pending(
        "CREATE TABLE tags (tag text);\n\
         DO $$ BEGIN\n    CREATE TYPE order_state AS ENUM ('open');\nEXCEPTION WHEN duplicate_object THEN NULL;\nEND $$;\n\
         DO $$ BEGIN\n    CREATE TABLE orders (id int);\nEXCEPTION WHEN OTHERS THEN NULL;\nEND $$;\n\
         SAVEPOINT a;\nROLLBACK TO a;\n",
    )
    .check()
    .expect_clean();
}

#[test]
fn an_error_of_the_statement_itself_that_a_handler_hides_is_a_warning() {
    let project = pending(
        "CREATE TABLE tags (tag text);\nDO $$\nBEGIN\n    ALTER TABLE orders DROP COLUMN colour;\nEXCEPTION WHEN OTHERS THEN NULL;\nEND $$;\n",
    );

    assert!(project.check().expect(&["warning[swallowed-error]"]).contains("SQLSTATE 42703"));
}

#[test]
fn a_table_of_another_shape_is_not_passed_over_in_silence() {
    let project = pending(
        "CREATE TABLE tags (tag text);\nCREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, colour text);\n",
    );

    insta::assert_snapshot!(project.check().expect(&["warning[swallowed-error]"]), @"
    warning[swallowed-error] migrations/0004_tags.up.sql:2: `IF NOT EXISTS` passes over `orders`, which is not what the file would make: there is column note text, column state order_state NOT NULL instead of column colour text
      production: the deployment is green on the shape that is there; a new database gets the other one
      do: leave the statement out, and alter what exists to what is wanted
    ");
    pending(
        "CREATE TABLE tags (tag text);\nCREATE TABLE IF NOT EXISTS public.orders (id bigint PRIMARY KEY, note text, state order_state NOT NULL);\n\
         ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text;\n",
    )
    .check()
    .expect_clean();
    let column =
        "CREATE TABLE tags (tag text);\nALTER TABLE orders ADD COLUMN IF NOT EXISTS note varchar(9);\n";
    assert!(pending(column).check().expect(&["warning[swallowed-error]"]).contains("character varying(9)"));
}

#[test]
fn a_name_that_the_server_cuts_is_told() {
    let long = "t".repeat(64);
    let project = Project::of_pairs().pair(
        "0004_tags",
        &format!("CREATE TABLE {long} (tag text);\n"),
        &format!("DROP TABLE {long};\n"),
    );

    assert!(project.check().expect(&["warning[swallowed-error]"]).contains("will be truncated"));
}

#[test]
fn whoever_wants_to_run_as_another_role_is_told() {
    let refused = pending("CREATE TABLE tags (tag text);\nSET ROLE gate_owner;\n");
    insta::assert_snapshot!(refused.check().expect(&["error[role-escape]"]), @r#"
    error[role-escape] migrations/0004_tags.up.sql:2: permission denied to set role "gate_owner" (SQLSTATE 42501)
      production: the deployment stops here and nothing of the file is kept
      do: take the statement away: everything in the file runs as `gate_deployer`, who is no member of that role
    "#);
    let session = pending("CREATE TABLE tags (tag text);\nSET SESSION AUTHORIZATION gate_owner;\n");
    assert!(session.check().expect(&["error[role-escape]"]).contains("0004_tags.up.sql:2:"));
    let superuser = pending("CREATE TABLE tags (tag text);\nCOPY tags FROM PROGRAM 'true';\n");
    superuser.check().expect(&["error[role-escape]"]);

    pending("RESET ROLE;\nCREATE TABLE tags (tag text);\nSET ROLE NONE;\nRESET SESSION AUTHORIZATION;\n")
        .check()
        .expect_clean();
}

/// The deployer may become `gate_app`, as a member.
const MEMBER: &str = "\nDO $$ BEGIN LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE; \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gate_other') THEN CREATE ROLE gate_other; END IF; \
    GRANT gate_other TO gate_deployer; END $$;";

#[test]
fn a_session_left_in_another_role_or_looking_elsewhere_is_found() {
    let with_member = |up: &str| {
        pending(up).with(
            "prelude.sql",
            format!("{PRELUDE}{MEMBER}\nGRANT SELECT ON ALL TABLES IN SCHEMA public TO gate_other;"),
        )
    };

    let undone =
        with_member("CREATE TABLE tags (tag text);\nSET LOCAL ROLE gate_other;\nSELECT 1;\nRESET ROLE;\n");
    insta::assert_snapshot!(undone.check().expect(&["error[role-escape]"]), @"
    error[role-escape] migrations/0004_tags.up.sql:2: from here on the file runs as `gate_other`, not as `gate_deployer`
      production: what it makes is owned by a role that the policy does not name, and a deployer without that membership is refused
      do: run everything as `gate_deployer`: take the statement away
    ");
    let path = pending("CREATE TABLE tags (tag text);\nSET search_path = public;\n");
    insta::assert_snapshot!(path.check().expect(&["warning[role-escape]"]), @r#"
    warning[role-escape] migrations/0004_tags.up.sql:2: the file leaves `search_path` at `public`, it was `"$user", public`
      production: a later migration that is deployed together with this one looks for names in other schemas than one deployed alone
      do: write `SET LOCAL search_path`, which ends with the transaction
    "#);
    pending("SET LOCAL search_path = public;\nCREATE TABLE tags (tag text);\n").check().expect_clean();
}

#[test]
fn a_strong_lock_without_a_limit_is_told_once() {
    let unlimited = PRELUDE.replace("'5s'", "'0'");
    let project = pending("CREATE TABLE tags (tag text);\nALTER TABLE orders ADD COLUMN a int;\n")
        .with("migrations/0004_tags.down.sql", "DROP TABLE tags;\nALTER TABLE orders DROP COLUMN a;\n")
        .pair("0005_more", "ALTER TABLE orders ADD COLUMN b int;\n", "ALTER TABLE orders DROP COLUMN b;\n")
        .with("prelude.sql", &unlimited);

    insta::assert_snapshot!(project.check().expect(&["warning[no-lock-timeout]"]), @"
    warning[no-lock-timeout] migrations/0004_tags.up.sql:1: locks `orders` without a `lock_timeout`; so do 1 more pending files
      production: behind one long transaction the migration waits for ever, and every query of that table waits behind it
      do: let an administrator run `ALTER ROLE gate_deployer SET lock_timeout = '5s';` (and the prelude here), or begin the file with `SET LOCAL lock_timeout = '5s';`; a migrator that sets it itself is declared by `--lock-timeout`
    ");
    pending("SET LOCAL lock_timeout = '1s';\nCREATE TABLE tags (order_id bigint REFERENCES orders);\n")
        .with("prelude.sql", &unlimited)
        .check()
        .expect_clean();
    // What is new in this deployment nobody uses yet.
    pending("CREATE TABLE tags (tag text);\nALTER TABLE tags ADD COLUMN a int;\n")
        .with("prelude.sql", unlimited)
        .check()
        .expect_clean();
}
