//! A database that is what production is, for whoever needs one.

use scratch_postgres::{Options, Server};
use sqlx::{Connection as _, PgConnection};

use crate::project::{PRELUDE, Project, Verdict};

#[tokio::test]
async fn a_provisioned_database_is_what_production_is_and_then_what_is_pending() {
    let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
    let project = Project::of_pairs();
    let name = format!("provisioned_{}", std::process::id());

    let ledger = provision(&server, &project, &name, &["--ledger-only"]);
    assert_eq!((ledger.exit_code, ledger.stderr.as_str()), (0, "migrations hold: 3 applied and 0 pending\n"));
    assert_eq!(
        tables(&server, &name).await,
        ["_sqlx_migrations gate_owner", "accounts gate_owner", "orders gate_deployer"]
    );

    // Again, and further: what is there is passed over.
    let pending = provision(&server, &project, &name, &[]);
    assert_eq!(
        (pending.exit_code, pending.stderr.as_str()),
        (0, "migrations hold: 3 applied and 1 pending\n")
    );
    assert_eq!(
        tables(&server, &name).await,
        ["_sqlx_migrations gate_owner", "accounts gate_owner", "orders gate_deployer", "tags gate_deployer"]
    );

    let edited = project.pair("0004_tags", "CREATE TABLE tags (id int);\n", "DROP TABLE tags;\n");
    let refused = provision(&server, &edited, &name, &[]);
    assert_eq!(refused.exit_code, 2);
    assert!(refused.stderr.contains("has applied another migration 4"), "{}", refused.stderr);

    drop_database(&server, &name).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_ledger_outside_of_public_is_found_again() {
    let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
    let name = format!("elsewhere_{}", std::process::id());
    let search_path = "ALTER ROLE gate_deployer IN DATABASE %I SET search_path = shop";
    let prelude = format!(
        "{PRELUDE}\nCREATE SCHEMA IF NOT EXISTS shop AUTHORIZATION gate_deployer;\n\
         DO $$ BEGIN EXECUTE format('{search_path}', current_database()); END $$;\n"
    );
    let project = Project::empty()
        .with("prelude.sql", prelude)
        .with("migrations/1_users.sql", "CREATE TABLE users (id int);\n");

    provision(&server, &project, &name, &[]).expect_clean();
    provision(&server, &project, &name, &[]).expect_clean();

    drop_database(&server, &name).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_project_at_fault_is_not_provisioned_but_a_missing_down_hinders_nobody() {
    let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
    let name = format!("refused_{}", std::process::id());

    let edited = Project::of_pairs().with("migrations/0002_orders.up.sql", "SELECT 1;\n");
    provision(&server, &edited, &name, &[]).expect(&["error[edited-after-apply]", "info[not-judged]"]);

    let broken =
        Project::of_pairs().with("migrations/0004_tags.up.sql", "CREATE TABLE tags (id nonsense);\n");
    provision(&server, &broken, &name, &[]).expect(&["error[apply-failed]"]);

    let without_down = Project::of_pairs().without("migrations/0004_tags.down.sql");
    provision(&server, &without_down, &name, &[]).expect_clean();

    drop_database(&server, &name).await;
    server.stop().await.unwrap();
}

#[test]
fn an_address_that_is_none_is_refused_without_repeating_it() {
    let project = Project::of_pairs();
    let mut command = project.command("provision");
    command.args(["--server-url", "mysql//root:s3cret@db", "--database", "x"]);
    let verdict = Verdict::of(command);

    assert_eq!(verdict.exit_code, 2);
    assert!(!verdict.stderr.contains("s3cret"), "{}", verdict.stderr);
}

pub(crate) fn provision(server: &Server, project: &Project, name: &str, flags: &[&str]) -> Verdict {
    let mut command = project.command("provision");
    command.args(["--server-url", server.admin_url(), "--database", name]).args(flags);
    Verdict::of(command)
}

async fn tables(server: &Server, name: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(&server.url(name, "postgres")).await.unwrap();
    let tables = sqlx::query_scalar(
        "SELECT tablename || ' ' || tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    tables
}

pub(crate) async fn drop_database(server: &Server, name: &str) {
    let mut admin = PgConnection::connect(server.admin_url()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}")))
        .execute(&mut admin)
        .await
        .unwrap();
    admin.close().await.unwrap();
}
