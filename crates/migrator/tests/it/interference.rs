//! Others at work at the same time, and being stopped in the middle.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::Executor;
use tokio::process::Child;

use crate::{World, finish, with_shipped};

/// How long a condition may take to come true before the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

impl World {
    /// Starts the migrator and waits until the server works on a query that begins so.
    pub(crate) async fn starts_and_reaches(&self, query: &str) -> Child {
        let child = self.command(&[]).spawn().unwrap();
        self.wait_for_queries(query, 1).await;
        child
    }

    async fn wait_for_queries(&self, query: &str, wanted: i64) {
        let mut admin = self.admin().await;
        let start = Instant::now();
        loop {
            let running: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'migrator'
                   AND state = 'active' AND starts_with(query, $1)",
            )
            .bind(query)
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if running == wanted {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{running} sessions run `{query}`, waiting for {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl World {
    /// Waits until so many migrators are logged in.
    async fn wait_for_sessions(&self, wanted: i64) {
        let mut admin = self.admin().await;
        let start = Instant::now();
        loop {
            let sessions: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'migrator'",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if sessions == wanted {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{sessions} migrators are there, waiting for {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn send(signal: Signal, child: &Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn two_at_once_apply_everything_once_and_both_end_well() {
    let world = World::empty().await;

    let (one, other) = tokio::join!(world.run_with_owner(), world.run_with_owner());

    assert_eq!((one.code, other.code), (Some(0), Some(0)), "{one:?} {other:?}");
    assert_eq!(one.applied() + other.applied(), with_shipped(&[]).len());
    assert_eq!(world.versions().await, with_shipped(&[]));
}

/// A migrator that waited for its turn inside of the server would hold back the index, which it waits for itself.
#[tokio::test]
async fn two_at_once_end_well_also_where_an_index_is_built_concurrently() {
    let world = World::migrated().await;
    world.file("9005_before.up.sql", "CREATE TABLE notes (id int, note text);");
    let index = "-- no-transaction\nCREATE INDEX CONCURRENTLY notes_note_idx ON notes (note);";
    world.file("9006_index.up.sql", index);
    world.file("9007_after.up.sql", "ALTER TABLE notes ADD COLUMN at timestamptz;");
    // An old transaction holds the index back until both migrators are there.
    let mut reader = world.admin().await;
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    reader.execute("SELECT 1").await.unwrap();
    let one = world.starts_and_reaches(index).await;
    let other = world.command(&[]).spawn().unwrap();
    world.wait_for_sessions(2).await;
    reader.execute("COMMIT").await.unwrap();

    let (one, other) = tokio::join!(finish(one), finish(other));

    assert_eq!((one.code, other.code), (Some(0), Some(0)), "{one:?} {other:?}");
    assert_eq!((one.applied(), other.applied()), (3, 0));
    assert_eq!(world.versions().await, with_shipped(&[9005, 9006, 9007]));
    let valid: bool =
        sqlx::query_scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = 'notes_note_idx'::regclass")
            .fetch_one(&mut world.admin().await)
            .await
            .unwrap();
    assert!(valid);
}

#[tokio::test]
async fn killed_in_the_middle_it_leaves_nothing_half() {
    let world = World::migrated().await;
    let slow = "CREATE TABLE half (id int); SELECT pg_sleep(600);";
    world.file("9005_half.up.sql", slow);
    let mut child = world.starts_and_reaches(slow).await;

    child.kill().await.unwrap();

    world.wait_for_queries(slow, 0).await;
    assert_eq!(world.versions().await, with_shipped(&[]));
    assert!(!world.schema().await.contains("half"));
    world.file("9005_half.up.sql", "CREATE TABLE half (id int);");
    assert_eq!(world.run(&[]).await.code, Some(0));
}

#[tokio::test]
async fn on_term_it_ends_and_leaves_nothing_half() {
    let world = World::migrated().await;
    let slow = "CREATE TABLE half (id int); SELECT pg_sleep(600);";
    world.file("9005_half.up.sql", slow);
    let child = world.starts_and_reaches(slow).await;

    send(Signal::TERM, &child);

    let run = finish(child).await;
    assert_eq!(run.code, Some(130), "{run:?}");
    world.wait_for_queries(slow, 0).await;
    assert!(!world.schema().await.contains("half"));
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_is_the_environments_fault() {
    let world = World::migrated().await;
    let slow = "CREATE TABLE half (id int); SELECT pg_sleep(600);";
    world.file("9005_half.up.sql", slow);
    let child = world.starts_and_reaches(slow).await;

    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'migrator'",
    )
    .execute(&mut world.admin().await)
    .await
    .unwrap();

    let run = finish(child).await;
    assert_eq!(run.code, Some(3), "{run:?}");
    insta::assert_snapshot!(run.said(), @"the database failed: terminating connection due to administrator command (SQLSTATE 57P01); run the migrator again once it is healthy");
    assert_eq!(world.run(&["--dry-run"]).await.code, Some(0));
}

#[tokio::test]
async fn a_migrator_that_never_ends_is_not_waited_for_for_ever() {
    let world = World::migrated().await;
    world.file("9005_slow.up.sql", "SELECT pg_sleep(600);");
    let _at_work = world.starts_and_reaches("SELECT pg_sleep(600);").await;

    let run = finish(world.command(&[]).env("MIGRATOR_WAIT_S", "0").spawn().unwrap()).await;

    assert_eq!(run.code, Some(3), "{run:?}");
    insta::assert_snapshot!(run.said(), @"another migrator still holds the lock after 0 s; see what it does with `migrator status`, or wait longer with `MIGRATOR_WAIT_S`");
}

#[tokio::test]
async fn a_table_in_use_makes_it_give_up_instead_of_queueing_everyone_behind_it() {
    let world = World::migrated().await;
    world.file("9005_busy.up.sql", "ALTER TABLE jobs ADD COLUMN note text;");
    let mut reader = world.admin().await;
    reader.execute("BEGIN").await.unwrap();
    reader.execute("SELECT FROM jobs").await.unwrap();

    let run = finish(world.command(&[]).env("MIGRATOR_LOCK_TIMEOUT_S", "1").spawn().unwrap()).await;

    assert_eq!(run.code, Some(3), "{run:?}");
    insta::assert_snapshot!(run.said(), @"migration 9005 `busy` gave up waiting for a table that is in use, and left nothing behind; run the migrator again when long transactions have ended");
    reader.execute("COMMIT").await.unwrap();
    assert_eq!(world.run(&[]).await.code, Some(0));
}
