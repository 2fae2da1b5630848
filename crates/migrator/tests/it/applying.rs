//! What a run does to a database.

use crate::{World, bare, finish, with_shipped};

#[tokio::test]
async fn an_empty_database_gets_the_whole_schema_each_part_from_its_role() {
    let world = World::empty().await;

    let run = world.run_with_owner().await;

    assert_eq!(run.code, Some(0), "{run:?}");
    let schema = world.schema().await;
    let (owners, deployers): (Vec<&str>, Vec<&str>) =
        schema.lines().partition(|line| line.ends_with(" of slipway_owner"));
    assert_eq!(owners, ["_sqlx_migrations of slipway_owner", "audit_entries of slipway_owner"]);
    assert!(deployers.contains(&"releases of slipway_deployer"), "{schema}");
    assert!(deployers.iter().all(|line| line.ends_with(" of slipway_deployer")), "{schema}");
    assert_eq!(world.versions().await, with_shipped(&[]));
    assert_eq!(run.applied(), with_shipped(&[]).len());
}

#[tokio::test]
async fn an_empty_database_without_the_owners_login_is_left_as_it_was() {
    let world = World::empty().await;

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!(run.said(), @"this database lacks what production's owner made (0001 `audit`): set `OWNER_DATABASE_URL`, or `OWNER_DATABASE_URL_FILE`, to the owner's login");
    assert_eq!(world.schema().await, "");
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_needs_no_owner() {
    let world = World::empty().await;
    world.run_with_owner().await;

    let again = world.run(&[]).await;

    assert_eq!((again.code, again.applied()), (Some(0), 0), "{again:?}");
    insta::assert_snapshot!(again.said(), @"the schema is up to date");
}

#[tokio::test]
async fn a_run_goes_on_after_the_owner_got_no_further_than_the_ledger() {
    let world = World::empty().await;
    let mut owner =
        <sqlx::PgConnection as sqlx::Connection>::connect(&world.scratch.owner_url()).await.unwrap();
    sqlx::migrate::Migrate::ensure_migrations_table(&mut owner, "_sqlx_migrations").await.unwrap();

    let without = world.run(&[]).await;
    assert_eq!(without.code, Some(2));
    insta::assert_snapshot!(without.said(), @"the deployer may not read the ledger `_sqlx_migrations`: set `OWNER_DATABASE_URL`, or `OWNER_DATABASE_URL_FILE`, to the owner's login");

    let with = world.run_with_owner().await;
    assert_eq!((with.code, with.applied()), (Some(0), with_shipped(&[]).len()), "{with:?}");
}

#[tokio::test]
async fn a_pending_migration_is_applied_by_the_deployer_alone() {
    let world = World::migrated().await;
    world.file("9005_notes.up.sql", "CREATE TABLE notes (id int);");

    let run = world.run(&[]).await;

    assert_eq!((run.code, run.applied()), (Some(0), 1), "{run:?}");
    assert!(world.schema().await.contains("notes of slipway_deployer"));
}

#[tokio::test]
async fn a_migration_marked_so_runs_outside_a_transaction() {
    let world = World::migrated().await;
    world.file(
        "9005_index.up.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY jobs_kind_idx ON jobs (kind);",
    );

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.versions().await, with_shipped(&[9005]));
}

#[tokio::test]
async fn the_login_may_come_from_a_file() {
    let world = World::migrated().await;
    world.file("login", &format!("{}\n", world.scratch.deployer_url()));

    let run = finish(bare(&[]).env("DATABASE_URL_FILE", world.path("login")).spawn().unwrap()).await;

    assert_eq!(run.code, Some(0), "{run:?}");
}
