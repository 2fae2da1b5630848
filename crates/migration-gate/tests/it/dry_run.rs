//! What a deployment would do, before it does it.

use crate::{
    locks::{Then as _, pending},
    project::{Project, Verdict},
};

fn dry_run(project: &Project) -> Verdict {
    Verdict::of(project.command("dry-run"))
}

#[test]
fn it_shows_statement_by_statement_what_is_locked_read_rewritten_made_and_dropped() {
    let project = pending(
        "ALTER TABLE orders ADD COLUMN kind text;\n\n-- For the list.\nCREATE INDEX orders_kind\n    ON orders (kind);\n",
    )
    .then("0004_wide", "ALTER TABLE orders ALTER COLUMN id TYPE numeric;\nALTER TABLE orders DROP COLUMN note;\n")
    .then("0005_late", "-- no-transaction\nCREATE INDEX CONCURRENTLY orders_late ON orders (kind, id);\n");

    let verdict = dry_run(&project);

    assert_eq!(verdict.exit_code, 0);
    insta::assert_snapshot!(verdict.stdout, @"
    production has 2 migrations, as the ledger says
    3 migrations would be applied by `gate_deployer`, in this order:

    migrations/0003_tags.sql
      in one transaction, as `gate_deployer`
         1  ALTER TABLE orders ADD COLUMN kind text
              locks     orders: ACCESS EXCLUSIVE, every query waits
         4  CREATE INDEX orders_kind ON orders (kind)
              reads all orders
              makes     index orders_kind

    migrations/0004_wide.sql
      in one transaction, as `gate_deployer`
         1  ALTER TABLE orders ALTER COLUMN id TYPE numeric
              locks     orders: ACCESS EXCLUSIVE, every query waits
              reads all orders
              rewrites  orders
         2  ALTER TABLE orders DROP COLUMN note
              drops     table column `orders.note`

    migrations/0005_late.sql
      outside a transaction, as `gate_deployer`
         2  CREATE INDEX CONCURRENTLY orders_late ON orders (kind, id)
              makes     index orders_late
    ");
    insta::assert_snapshot!(verdict.stderr, @"nothing was changed: this ran on a scratch server, which is gone");
    assert!(verdict.stdout.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn programs_read_it_as_json() {
    let project = pending("ALTER TABLE orders ADD COLUMN kind text;\nUPDATE orders SET kind = 'plain';\n");
    let mut command = project.command("dry-run");
    command.args(["--message-format", "json"]);

    insta::assert_snapshot!(Verdict::of(command).stdout, @r#"
    {"applied":2,"pending":1,"ledger":"agrees"}
    {"migration":"migrations/0003_tags.sql","version":3,"role":"gate_deployer","in_transaction":true,"watched":true,"statements":[{"line":1,"text":"ALTER TABLE orders ADD COLUMN kind text","locks":[{"table":"orders","mode":"ACCESS EXCLUSIVE","waits":"every query waits"}],"reads":[],"rewrites":[],"makes":[],"drops":[]},{"line":2,"text":"UPDATE orders SET kind = 'plain'","locks":[],"reads":["orders"],"rewrites":[],"makes":[],"drops":[]}]}
    "#);
}

#[test]
fn what_would_be_refused_is_told_and_the_rest_is_shown_as_not_run() {
    let project = pending("ALTER TABLE accounts ADD COLUMN kind text;\n")
        .then("0004_more", "CREATE TABLE tags (id int);\n");

    let verdict = dry_run(&project);

    assert_eq!(verdict.exit_code, 1);
    insta::assert_snapshot!(verdict.stdout, @r#"
    production has 2 migrations, as the ledger says
    2 migrations would be applied by `gate_deployer`, in this order:

    migrations/0003_tags.sql
      in one transaction, as `gate_deployer`
      not run here: what it locks is not known
         1  ALTER TABLE accounts ADD COLUMN kind text

    migrations/0004_more.sql
      in one transaction, as `gate_deployer`
      not run here: what it locks is not known
         1  CREATE TABLE tags (id int)

    error[not-owner] migrations/0003_tags.sql:1: `gate_deployer` alters table `accounts`, which `gate_owner` owns: must be owner of table accounts (SQLSTATE 42501)
      production: the deployment stops here and nothing of the file is kept
      do: leave `accounts` alone and put the change into something that `gate_deployer` makes and owns; or let `gate_owner` apply `0003_tags.sql` in production and have the ledger say so (`role = "owner"`); grants do not help

    info[not-judged] not run because `0003_tags.sql` was refused: 0004_more.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    "#);
}

#[test]
fn a_ledger_that_contradicts_the_files_is_told_first() {
    let project = pending("CREATE TABLE tags (id int);\n")
        .with("migrations/0002_orders.sql", "CREATE TABLE other (id int);\n");

    let verdict = dry_run(&project);

    assert_eq!(verdict.exit_code, 1);
    assert!(
        verdict.stdout.starts_with("ledger and files contradict each other, see below\n"),
        "{}",
        verdict.stdout
    );
    assert!(
        verdict.stdout.contains("error[edited-after-apply] migrations/0002_orders.sql:1"),
        "{}",
        verdict.stdout
    );
}

#[test]
fn with_nothing_pending_no_server_is_asked_for() {
    let project = pending("SELECT 1;\n").without("migrations/0003_tags.sql");
    let mut command = project.command("dry-run");
    command.env("XTASK_POSTGRES", "url").env("XTASK_POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none");

    let verdict = Verdict::of(command);

    assert_eq!(
        (verdict.exit_code, verdict.stdout.as_str()),
        (0, "production has 2 migrations, as the ledger says\nnothing is pending\n")
    );
}
