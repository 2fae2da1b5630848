//! `--dry-run` and `status`.

use sqlx::Executor as _;

use crate::{World, bare, finish, with_shipped};

#[tokio::test]
async fn a_dry_run_tells_the_plan_and_changes_nothing() {
    let world = World::empty().await;

    let run = world.run(&["--dry-run"]).await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let all = with_shipped(&[]).len();
    let begins = format!(
        "would apply {all} of {all} migrations:\n  0001 `audit` as owner\n  0002 `releases` as deployer\n"
    );
    assert!(run.stdout.starts_with(&begins), "{}", run.stdout);
    insta::assert_snapshot!(run.stdout.lines().last().unwrap(), @"set OWNER_DATABASE_URL to apply what the owner must");
    assert_eq!(world.schema().await, "", "not even the ledger was created");
}

#[tokio::test]
async fn a_dry_run_of_a_migrated_database_has_nothing_to_tell() {
    let world = World::migrated().await;

    let run = world.run(&["--dry-run"]).await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let all = with_shipped(&[]).len();
    assert_eq!(run.stdout.trim(), format!("nothing to apply: all {all} migrations are"));
}

#[tokio::test]
async fn a_dry_run_does_not_wait_for_a_migrator_that_is_at_work() {
    let world = World::migrated().await;
    world.file("9005_slow.up.sql", "SELECT pg_sleep(60);");
    let _at_work = world.starts_and_reaches("SELECT pg_sleep(60);").await;

    let run = world.run(&["--dry-run"]).await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let all = with_shipped(&[9005]).len();
    assert_eq!(run.stdout.trim(), format!("would apply 1 of {all} migrations:\n  9005 `slow` as deployer"));
}

#[tokio::test]
async fn a_dry_run_waits_for_no_lock_takes_none_and_leaves_nothing() {
    let world = World::migrated().await;
    world.file("9005_labels.up.sql", "ALTER TABLE jobs ADD COLUMN label text;");
    let before = world.catalog().await;
    let mut busy = world.admin().await;
    busy.execute("BEGIN; LOCK TABLE jobs, releases, environments IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let run = world.run(&["--dry-run"]).await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let all = with_shipped(&[9005]).len();
    assert_eq!(run.stdout.trim(), format!("would apply 1 of {all} migrations:\n  9005 `labels` as deployer"));
    busy.execute("ROLLBACK").await.unwrap();
    assert_eq!(world.catalog().await, before);
}

#[tokio::test]
async fn a_ledger_that_somebody_has_locked_is_not_waited_for_for_ever() {
    let world = World::migrated().await;
    let mut busy = world.admin().await;
    busy.execute("BEGIN; LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let run = world.run(&["--dry-run"]).await;

    assert_eq!(run.code, Some(3), "{run:?}");
    insta::assert_snapshot!(run.said(), @"error: the ledger is locked: a transaction holds it exclusively; look again when that has ended");
}

#[tokio::test]
async fn status_lists_what_is_applied_and_what_is_pending() {
    let world = World::migrated().await;
    world.file("9005_index.up.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY x ON jobs (kind);");

    let run = world.run(&["status"]).await;

    assert_eq!(run.code, Some(0), "{run:?}");
    insta::with_settings!({filters => vec![(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]")]}, {
        let lines: Vec<&str> = run.stdout.lines().collect();
        let ends = [&lines[..2], &lines[lines.len() - 1..]].concat().join("\n");
        assert_eq!(lines.len(), with_shipped(&[9005]).len());
        insta::assert_snapshot!(ends, @r"
        0001 `audit`  applied [time]
        0002 `releases`  applied [time]
        9005 `index`  pending, as deployer
        ");
    });
}

#[tokio::test]
async fn the_version_and_the_settings_are_told_without_a_database() {
    let version = finish(bare(&["--version"]).spawn().unwrap()).await;
    assert_eq!(version.stdout.trim(), concat!("migrator ", env!("CARGO_PKG_VERSION")));

    let help = finish(bare(&["--help"]).spawn().unwrap()).await;
    for name in ["DATABASE_URL", "OWNER_DATABASE_URL", "MIGRATOR_WAIT_S", "MIGRATOR_LOCK_TIMEOUT_S", "LOG"] {
        assert!(help.stdout.contains(name), "`--help` does not tell of {name}");
    }
}
