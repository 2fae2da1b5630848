//! The built control, as its container runs it.

use scratch_store::ScratchStore;
use serde_json::Value;
use service::testing::{Binary, figures, until_status};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::{World, told};

fn control() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_control"))
}

/// The database's door for services, which the test opens and closes.
pub(crate) struct Door {
    administrator: PgConnection,
    database: String,
}

impl Door {
    pub(crate) async fn of(scratch: &ScratchStore) -> Self {
        let mut administrator = PgConnection::connect(&scratch.admin_url()).await.expect("it listens");
        let name = sqlx::query_scalar("SELECT current_database()::text");
        let database = name.fetch_one(&mut administrator).await.expect("it has a name");
        Self { administrator, database }
    }

    /// Throws everyone out and lets nobody in but superusers.
    pub(crate) async fn close(&mut self) {
        self.lets_in(0).await;
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(others).execute(&mut self.administrator).await.expect("others can be thrown out");
    }

    pub(crate) async fn open(&mut self) {
        self.lets_in(-1).await;
    }

    async fn lets_in(&mut self, connections_max: i32) {
        let statement = format!(r#"ALTER DATABASE "{}" CONNECTION LIMIT {connections_max}"#, self.database);
        self.administrator.execute(AssertSqlSafe(statement)).await.expect("the limit can be set");
    }
}

#[tokio::test]
async fn it_is_ready_while_the_database_is_there_and_only_then() {
    let scratch = ScratchStore::migrated().await;
    let mut door = Door::of(&scratch).await;
    door.close().await;
    // It starts without its database, and waits.
    let settings = [("READY_TIMEOUT_MS", "500"), ("DATABASE_ACQUIRE_TIMEOUT_MS", "1000")];
    let world = World::over(scratch, &settings).await;
    let control = &world.control;
    assert_eq!(control.get("/health/ready").await.status.as_u16(), 503);

    door.open().await;
    insta::assert_snapshot!(until_status(200, || control.get("/health/ready")).await.summary(), @r#"200 {"checks":{"database":"ok"},"status":"ready"}"#);
    assert_eq!(world.records("1.4.0").await.status.as_u16(), 201);

    door.close().await;
    let unready = until_status(503, || control.get("/health/ready")).await.json();
    assert_ne!(unready["checks"]["database"], "ok");
    let check = Binary::new(env!("CARGO_BIN_EXE_control")).env("LISTEN", &control.address().to_string());
    assert_eq!(check.run(&["healthcheck"]).await.status.code(), Some(1));
    insta::assert_snapshot!(told(&world.get("/v1/releases").await), @r#"503 {"code":"unavailable","detail":"the service is unavailable for now, try again later"}"#);
    assert_eq!(control.get("/health/live").await.status.as_u16(), 200);

    door.open().await;
    until_status(200, || control.get("/health/ready")).await;
    let listed: Value = world.get("/v1/releases").await.json();
    assert_eq!(listed["items"][0]["version"], "1.4.0");

    let finished = world.control.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

#[tokio::test]
async fn a_wrong_or_missing_database_url_is_refused_without_repeating_it() {
    insta::assert_snapshot!(control().run(&[]).await.refusal(), @"
    exit 2
    control: `DATABASE_URL` is not set, expected a `postgres://` URL; or name a file that holds it in `DATABASE_URL_FILE`
    control: `IDENTITY_KEY` is not set, expected one key, or two for a rotation, each on a line of its own and at least 32 characters long; or name a file that holds it in `IDENTITY_KEY_FILE`
    control: `control --help` lists every setting
    ");
    let wrong =
        control().env("DATABASE_URL", "slipway:hunter2@db").env("IDENTITY_KEY", "too short").run(&[]).await;
    insta::assert_snapshot!(wrong.refusal(), @"
    exit 2
    control: `DATABASE_URL` holds something else than a `postgres://` URL (its value is secret and not shown)
    control: `IDENTITY_KEY` holds something else than one key, or two for a rotation, each on a line of its own and at least 32 characters long (its value is secret and not shown)
    control: `control --help` lists every setting
    ");
}

#[tokio::test]
async fn a_database_that_does_not_come_in_time_is_told_with_where_it_should_be_and_the_last_error() {
    let scratch = ScratchStore::empty().await;
    let unknown = scratch.app_url().replace("slipway_app", "slipway_nobody");
    for (url, reason) in [
        ("postgres://slipway_app:hunter2@127.0.0.1:1/slipway", "Connection refused"),
        (unknown.as_str(), "role \"slipway_nobody\" does not exist"),
    ] {
        let waits = control().env("DATABASE_URL", url).env("IDENTITY_KEY", &"k".repeat(40));
        let finished = waits.env("DATABASE_WAIT_S", "1").run(&[]).await;
        assert_eq!(finished.status.code(), Some(1));
        let last = finished.stderr.lines().find(|line| line.contains("stopped by an error")).unwrap();
        let line: Value = serde_json::from_str(last).unwrap();
        let told = line["error"].as_str().unwrap();
        let place = if url == unknown { "" } else { "the database `127.0.0.1:1/slipway` " };
        let wanted = format!("{place}(`DATABASE_URL`) could not be reached within 1 s (`DATABASE_WAIT_S`): ");
        assert!(told.contains(&wanted) && told.contains(reason), "{told}");
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn healthcheck_against_a_dead_port_fails_and_help_names_the_port_of_the_manifest() {
    let dead = control().env("LISTEN", "127.0.0.1:1").run(&["healthcheck"]).await;
    insta::assert_snapshot!(dead.refusal(), @"
    exit 1
    control: no answer from `127.0.0.1:1`: Connection refused (os error 111)
    ");
    let port = service::testing::manifest_port(env!("CARGO_MANIFEST_DIR"));
    let help = control().run(&["--help"]).await.stdout;
    assert!(help.contains(&format!("default `0.0.0.0:{port}`")), "{help}");
}

#[tokio::test]
async fn every_figure_is_in_the_table_of_figures() {
    let world = World::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]).await;
    world.records("1.0.0").await;
    let table = include_str!("../../../../.config/prometheus/README.md");
    let listed = figures::listed(table, &["Of every service", "Of services with a database"]);
    assert_eq!(figures::told(&world.control.metrics().await), listed);
}
