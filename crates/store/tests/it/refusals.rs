//! What nobody may do, and what is said when the database is not there.

use sqlx::{Connection, Executor, PgConnection};
use store::{Error, Store};

use crate::World;

#[tokio::test]
async fn nobody_can_change_an_audit_entry() {
    let world = World::new().await;
    let mut refused = Vec::new();
    for (role, url) in [
        ("app", world.scratch.app_url()),
        ("deployer", world.scratch.deployer_url()),
        ("owner", world.scratch.owner_url()),
    ] {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        for sql in
            ["UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries", "TRUNCATE audit_entries"]
        {
            let error = connection.execute(sql).await.unwrap_err();
            let message = error.as_database_error().unwrap().message().to_owned();
            refused.push(format!("{role}: {message}"));
        }
    }
    insta::assert_snapshot!(refused.join("\n"), @r"
    app: permission denied for table audit_entries
    app: permission denied for table audit_entries
    app: permission denied for table audit_entries
    deployer: permission denied for table audit_entries
    deployer: permission denied for table audit_entries
    deployer: permission denied for table audit_entries
    owner: audit entries are append-only: UPDATE is refused
    owner: audit entries are append-only: DELETE is refused
    owner: audit entries are append-only: TRUNCATE is refused
    ");
}

#[tokio::test]
async fn the_deployer_cannot_alter_the_audit_record_and_owns_the_rest() {
    let world = World::new().await;
    let mut deployer = PgConnection::connect(&world.scratch.deployer_url()).await.unwrap();

    let error = deployer.execute("ALTER TABLE audit_entries ADD COLUMN x int").await.unwrap_err();

    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"));
    deployer.execute("ALTER TABLE jobs ADD COLUMN x int").await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable() {
    let error = Store::connect("postgres://slipway_app:hush@127.0.0.1:1/slipway").await.unwrap_err();

    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    insta::assert_snapshot!(error, @"the database does not answer");
}

#[tokio::test]
async fn a_malformed_url_is_not_repeated() {
    let error = Store::connect("postgres://app:hush@:port/slipway").await.unwrap_err();

    insta::assert_snapshot!(error, @"the database URL is malformed: write it as `postgres://USER@HOST:PORT/DATABASE`");
    assert!(!format!("{error:?}").contains("hush"));
}
