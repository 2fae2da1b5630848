//! What a run refuses or fails at, and that it says why.

use crate::{World, bare, finish, with_shipped};

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let world = World::migrated().await;
    let text = std::fs::read_to_string(world.path("0003_jobs.up.sql")).unwrap();
    world.file("0003_jobs.up.sql", &format!("{text}\n-- one more thought"));

    for arguments in [&[][..], &["--dry-run"], &["status"]] {
        let run = world.run(arguments).await;
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.said().contains("migration 0003 `jobs` was edited after it was applied"), "{run:?}");
    }
    insta::assert_snapshot!(world.run(&[]).await.said(), @"migration 0003 `jobs` was edited after it was applied: restore the file, and put the change into a new migration");
}

#[tokio::test]
async fn a_slot_that_another_branch_has_taken_is_refused() {
    let world = World::migrated().await;
    std::fs::remove_file(world.path("0004_webhook_outbox.up.sql")).unwrap();
    std::fs::remove_file(world.path("0004_webhook_outbox.down.sql")).unwrap();
    world.file("0004_notes.up.sql", "CREATE TABLE notes (id int);");

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(run.said(), @"slot 0004 is applied as `webhook_outbox`, here it is `notes`: renumber the new migration to the next free slot");
}

#[tokio::test]
async fn an_applied_migration_that_is_gone_is_refused() {
    let world = World::migrated().await;
    std::fs::remove_file(world.path("0004_webhook_outbox.up.sql")).unwrap();

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(run.said(), @"migration 0004 `webhook_outbox` is applied but is not among the files: use a build that has it");
}

#[tokio::test]
async fn two_migrations_in_one_slot_are_refused() {
    let world = World::migrated().await;
    world.file("9005_a.up.sql", "CREATE TABLE a (id int);");
    world.file("9005_b.up.sql", "CREATE TABLE b (id int);");

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(1));
    assert_eq!(world.versions().await, with_shipped(&[]));
    insta::assert_snapshot!(run.said(), @"slot 9005 is taken by two migrations, `a` and `b`: give the one that is not applied yet the next free number");
}

#[tokio::test]
async fn a_migration_of_what_the_owner_owns_fails_and_leaves_nothing() {
    let world = World::migrated().await;
    world.file(
        "9005_reason.up.sql",
        "CREATE TABLE reasons (id int);\n\nALTER TABLE audit_entries ADD COLUMN reason text;",
    );

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(run.said(), @"migration 9005 `reason` failed: must be owner of table audit_entries (SQLSTATE 42501); nothing of it was applied");
    assert_eq!(world.versions().await, with_shipped(&[]));
    assert!(!world.schema().await.contains("reasons"));
}

#[tokio::test]
async fn a_migration_that_is_not_sql_fails_with_its_line() {
    let world = World::migrated().await;
    world.file("9005_typo.up.sql", "CREATE TABLE a (id int);\nCREATE TABEL b (id int);");

    let run = world.run(&[]).await;

    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(run.said().replace('\\', ""), @r#"migration 9005 `typo` failed at line 2: syntax error at or near "TABEL" (SQLSTATE 42601); nothing of it was applied"#);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_the_environments_fault_and_its_password_stays_secret() {
    let mut command = bare(&[]);
    command.env("DATABASE_URL", "postgres://slipway_deployer:hush@127.0.0.1:1/slipway");

    let run = finish(command.spawn().unwrap()).await;

    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(!run.stderr.contains("hush"));
    insta::assert_snapshot!(run.said(), @"cannot reach the database that `DATABASE_URL` names: error communicating with database: Connection refused (os error 111); check that it runs and the login is right");
}

#[tokio::test]
async fn a_malformed_url_is_wrong_configuration_and_is_not_repeated() {
    let mut command = bare(&[]);
    command.env("DATABASE_URL", "postgres://app:hush@:port/slipway");

    let run = finish(command.spawn().unwrap()).await;

    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(!run.stderr.contains("hush"));
    insta::assert_snapshot!(run.said(), @"`DATABASE_URL` is malformed: write it as `postgres://USER@HOST:PORT/DATABASE`");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_wrong_usage() {
    let mut command = bare(&["--migrations", "/no/such/folder"]);
    command.env("DATABASE_URL", "postgres://slipway_deployer@127.0.0.1:1/slipway");

    let run = finish(command.spawn().unwrap()).await;

    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.said().contains("`--migrations /no/such/folder` cannot be used"), "{run:?}");
}
