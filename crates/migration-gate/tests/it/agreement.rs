//! What the gate says of production is what sqlx's own migrator says there.

use scratch_postgres::{Options, Server};
use sqlx::{Connection as _, PgConnection, migrate::Migrator};

use crate::project::{Project, Verdict};

#[tokio::test]
async fn the_gate_foretells_what_sqlx_says_in_production() {
    let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
    let good = Project::of_pairs();
    assert_eq!(sqlx_says(&server, &good).await, "nothing");
    good.check().expect_clean();
    let goods = [
        (
            "-- no-transaction\nCREATE INDEX CONCURRENTLY orders_note ON orders (note);\n",
            "DROP INDEX orders_note;\n",
        ),
        ("DROP TABLE IF EXISTS nowhere;\nDROP VIEW IF EXISTS nothing;\n", "SELECT 1;\n"),
        (
            "CREATE TABLE a (id int);\nDO $$ BEGIN RAISE NOTICE 'a;b'; END $$;\nCREATE TABLE b (id int)",
            "DROP TABLE a, b;\n",
        ),
        ("", ""),
    ];
    for (up, down) in goods {
        let good = Project::of_pairs().pair("0005_more", up, down);
        assert_eq!(sqlx_says(&server, &good).await, "nothing", "{up}");
        good.check_with(&["--boot", "alone"]).expect_clean();
    }

    let labels = ("0003_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n");
    let faults = [
        Project::of_pairs().pair(labels.0, labels.1, labels.2),
        Project::of_pairs().with("migrations/0002_orders.up.sql", "SELECT 1;\n"),
        Project::of_pairs()
            .without("migrations/0002_orders.up.sql")
            .without("migrations/0002_orders.down.sql"),
        Project::of_pairs().pair("0004_labels", labels.1, labels.2),
        Project::of_pairs().with("migrations/v5_labels.up.sql", labels.1),
        Project::of_pairs().pair("0004_tags", "ALTER TABLE accounts ADD COLUMN email text;\n", "SELECT 1;\n"),
        Project::of_pairs().pair("0004_tags", "UPDATE orders SET colour = 'red';\n", "SELECT 1;\n"),
        more("-- no-transaction\nCREATE INDEX CONCURRENTLY orders_note ON orders (note);\nSELECT 1;\n"),
        more("CREATE INDEX CONCURRENTLY orders_note ON orders (note);\n"),
        more("CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\nINSERT INTO nowhere VALUES (1);\n"),
        more("VACUUM orders;\n"),
        more(
            "CREATE TABLE a (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);\n",
        ),
        more("\\set x 1\n"),
        more("DROP TABLE _sqlx_migrations;\n"),
    ];
    for fault in faults {
        let said = sqlx_says(&server, &fault).await;
        assert_ne!(said, "nothing");
        let verdict = fault.check();
        assert_eq!(verdict.exit_code, 1, "sqlx: {said}");
        assert!(verdict.stdout.contains(&said), "sqlx: {said}\ngate: {}", verdict.stdout);
    }
    server.stop().await.unwrap();
}

/// The good project with one more pending migration.
fn more(up: &str) -> Project {
    Project::of_pairs().pair("0005_more", up, "SELECT 1;\n")
}

/// What a deployment of `project` ends with, on a database that is what production is.
async fn sqlx_says(server: &Server, project: &Project) -> String {
    let database = server.create_database("agreement").await.unwrap();
    let production = Project::of_pairs();
    let mut provision = production.command("provision");
    provision.args(["--ledger-only", "--server-url", server.admin_url(), "--database", database.name()]);
    assert_eq!(Verdict::of(provision).exit_code, 0);
    let mut deployer = PgConnection::connect(&database.url("gate_deployer")).await.unwrap();

    let deployed = match Migrator::new(project.root().join("migrations")).await {
        Ok(migrator) => migrator.run(&mut deployer).await,
        Err(error) => Err(error),
    };

    deployer.close().await.unwrap();
    database.drop().await.unwrap();
    match deployed {
        Ok(()) => "nothing".into(),
        Err(error) => core_of(&error),
    }
}

/// The innermost cause, without what differs from one directory to the next.
fn core_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    text.split(" at line ").next().unwrap().split(" \"v5_").next().unwrap().into()
}
