//! The database is away, slow, or thrown away in the middle: nothing hangs, and what was acknowledged is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::lifecycle::Door;
use crate::{ANN, World, release, told};

#[tokio::test]
async fn a_database_that_goes_and_comes_back_loses_nothing_that_was_acknowledged() {
    let world = Arc::new(World::with(&[("DATABASE_ACQUIRE_TIMEOUT_MS", "500")]).await);
    let mut door = Door::of(&world.scratch).await;
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|client| {
            let (world, over) = (world.clone(), over.clone());
            tokio::spawn(async move {
                let (mut acknowledged, mut refused) = (Vec::new(), 0);
                for patch in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let version = format!("{client}.0.{patch}");
                    let asked = Instant::now();
                    let answer = world.post(ANN, "/v1/releases", &release(&version)).await;
                    assert!(asked.elapsed() < Duration::from_secs(8), "a request hung");
                    match answer.status.as_u16() {
                        201 => acknowledged.push(version),
                        503 => {
                            assert_eq!(answer.headers["retry-after"], "2");
                            refused += 1;
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        other => panic!("{other}: {}", answer.summary()),
                    }
                }
                (acknowledged, refused)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        door.close().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        door.open().await;
    }
    service::testing::until_status(201, || async {
        world.post(ANN, "/v1/releases", &release("9.9.9")).await
    })
    .await;
    over.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for client in clients {
        let (versions, times) = client.await.unwrap();
        acknowledged.extend(versions);
        refused += times;
    }
    assert!(refused > 0 && acknowledged.len() > 6, "{refused} refused, {} kept", acknowledged.len());
    for version in &acknowledged {
        let found = world.get(&format!("/v1/releases/{version}")).await;
        assert_eq!(found.status.as_u16(), 200, "{version} was acknowledged and is gone");
    }
    // Each has its entry and its event, and nothing else has one.
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    let same = "SELECT (SELECT count(*) FROM releases), (SELECT count(*) FROM audit_entries),
                       (SELECT count(*) FROM events), (SELECT count(*) FROM jobs)";
    let (releases, entries, events, jobs): (i64, i64, i64, i64) =
        sqlx::query_as(same).fetch_one(&mut admin).await.unwrap();
    assert_eq!((releases, releases, releases), (entries, events, jobs));
}

#[tokio::test]
async fn what_waits_too_long_for_another_transaction_is_told_to_come_back() {
    let world = World::with(&[("DATABASE_LOCK_TIMEOUT_MS", "200")]).await;
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    admin.execute("BEGIN; LOCK TABLE releases IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let asked = Instant::now();
    let refused = world.records("1.0.0").await;
    insta::assert_snapshot!(told(&refused), @r#"503 {"code":"unavailable","detail":"the service is unavailable for now, try again later"}"#);
    assert_eq!(refused.headers["retry-after"], "2");
    assert!(asked.elapsed() < Duration::from_secs(5));
    admin.execute("ROLLBACK").await.unwrap();
    assert_eq!(world.records("1.0.0").await.status.as_u16(), 201);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let settings = [("DATABASE_LOCK_TIMEOUT_MS", "0"), ("DATABASE_STATEMENT_TIMEOUT_MS", "200")];
    let world = World::with(&settings).await;
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    admin.execute("BEGIN; LOCK TABLE environments IN ACCESS EXCLUSIVE MODE").await.unwrap();
    assert_eq!(world.puts("staging", &json!({ "services": [] })).await.status.as_u16(), 503);
    assert_eq!(world.get("/v1/environments").await.status.as_u16(), 503);
}

#[tokio::test]
async fn a_pool_that_is_used_up_says_so_in_time_and_in_its_figures() {
    let settings = [("DATABASE_CONNECTIONS_MAX", "2"), ("DATABASE_ACQUIRE_TIMEOUT_MS", "200")];
    let world = Arc::new(World::with(&settings).await);
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    admin.execute("BEGIN; LOCK TABLE releases IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let asked: Vec<_> = (0..4)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.get("/v1/releases").await.status.as_u16() })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), 503);
    }
    admin.execute("ROLLBACK").await.unwrap();
    assert_eq!(world.get("/v1/releases").await.status.as_u16(), 200);
    assert!(world.control.metric("db_pool_acquire_timeouts_total{}").await.unwrap() >= 1.0);
    assert!(world.control.metric("db_pool_acquire_seconds_count{}").await.unwrap() >= 4.0);
    assert_eq!(world.control.metric("db_pool_connections_max{}").await, Some(2.0));
    assert!(world.control.metric(r#"db_pool_connections{state="in_use"}"#).await.unwrap() <= 2.0);
}
