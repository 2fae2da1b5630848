//! Many clients at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;

use crate::{ANN, BOB, EVE, Person, World, id, image, items, release};

/// Asks the same of many at the same time; how often each status came.
async fn many<F, Fut>(clients: usize, ask: F) -> BTreeMap<u16, usize>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = u16> + Send + 'static,
{
    let mut asked = JoinSet::new();
    for client in 0..clients {
        asked.spawn(ask(client));
    }
    let mut counted = BTreeMap::new();
    for status in asked.join_all().await {
        *counted.entry(status).or_default() += 1;
    }
    counted
}

#[tokio::test]
async fn of_many_who_send_the_same_request_one_makes_the_release() {
    let world = Arc::new(World::new().await);
    for key in [None, Some("build 17")] {
        let version = if key.is_some() { "1.1.0" } else { "1.0.0" };
        let counted = many(40, |_| {
            let world = world.clone();
            async move {
                let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
                let answer = world.send(ANN, "POST", "/v1/releases", &headers, &release(version)).await;
                answer.status.as_u16()
            }
        });
        let expected = if key.is_some() { [(201, 40)].into() } else { [(200, 39), (201, 1)].into() };
        assert_eq!(counted.await, expected, "{key:?}");
    }
    assert_eq!(items(&world.get("/v1/audit").await).len(), 2);
    let store = store::Store::connect(&world.scratch.app_url()).await.unwrap();
    assert_eq!(store.outbox().waiting(10).await.unwrap().len(), 2);
    assert_eq!(store.events().after(0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn of_many_different_contents_one_takes_the_version_and_the_others_are_told_what_differs() {
    let world = Arc::new(World::new().await);
    let counted = many(30, |client| {
        let world = world.clone();
        async move {
            let mut body = release("1.0.0");
            body["images"]["gateway"] = image(&format!("gateway{client}"), "a").into();
            let answer = world.post(ANN, "/v1/releases", &body).await;
            if answer.status.as_u16() == 409 {
                assert_eq!(answer.json()["errors"][0]["pointer"], "/images/gateway");
            }
            answer.status.as_u16()
        }
    });
    assert_eq!(counted.await, [(201, 1), (409, 29)].into());
}

#[tokio::test]
async fn of_many_promotions_one_is_open_and_of_many_decisions_one_counts() {
    let world = Arc::new(World::new().await);
    world.records("1.0.0").await;
    world.puts("production", &json!({ "services": ["gateway"], "protected": true })).await;
    let path = "/v1/environments/production/promotions";
    let counted = many(30, |_| {
        let world = world.clone();
        async move { world.post(ANN, path, &json!({ "release": "1.0.0" })).await.status.as_u16() }
    });
    assert_eq!(counted.await, [(201, 1), (409, 29)].into());
    let open = items(&world.get(path).await)[0]["id"].as_str().unwrap().to_owned();
    // Each decides for themselves, so that none is the other's repetition.
    let counted = many(30, |client| {
        let (world, open) = (world.clone(), open.clone());
        async move {
            let decision = ["approve", "reject", "withdraw"][client % 3];
            let who = Person(["bob", "eve", "zoe"][client % 3], BOB.1);
            world.post(who, &format!("/v1/promotions/{open}/{decision}"), &json!({})).await.status.as_u16()
        }
    })
    .await;
    // The ten of one person with one decision are the same; the others are late.
    assert_eq!(counted, [(200, 10), (409, 20)].into());
    let desired = items(&world.get("/v1/environments/production/desired").await).len();
    let state = world.get(&format!("/v1/promotions/{open}")).await.json()["state"].clone();
    assert_eq!(desired, usize::from(state == "approved"));
}

#[tokio::test]
async fn changes_of_an_environment_with_the_same_tag_count_once() {
    let world = Arc::new(World::new().await);
    world.puts("production", &json!({ "services": [] })).await;
    let counted = many(20, |client| {
        let world = world.clone();
        async move {
            let body = json!({ "services": [format!("service{client}")] });
            let matched = &[("if-match", "\"1\"")];
            world.send(BOB, "PUT", "/v1/environments/production", matched, &body).await.status.as_u16()
        }
    });
    assert_eq!(counted.await, [(200, 1), (412, 19)].into());
    assert_eq!(world.get("/v1/environments/production").await.json()["revision"], 2);
}

#[tokio::test]
async fn a_change_that_lost_a_deadlock_is_made_again() {
    let world = World::new().await;
    world.records("1.0.0").await;
    world.puts("production", &json!({ "services": ["gateway"], "protected": true })).await;
    let asked =
        world.post(ANN, "/v1/environments/production/promotions", &json!({ "release": "1.0.0" })).await;
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    // Holds what control needs second, and then wants what control holds first. Control has waited longer, so that
    // the server looks for its deadlock first and ends its transaction.
    admin.execute("SET deadlock_timeout = '10s'; BEGIN; SELECT * FROM promotions FOR UPDATE").await.unwrap();
    let path = format!("/v1/promotions/{}/approve", id(&asked));
    let body = json!({});
    let approve = world.post(EVE, &path, &body);
    let block = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut admin).await.unwrap() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        admin.execute("SELECT * FROM environments FOR UPDATE; COMMIT").await.unwrap();
    };
    let (approved, ()) = tokio::join!(approve, block);
    assert_eq!((approved.status.as_u16(), &approved.json()["state"]), (200, &Value::from("approved")));
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    let deadlocks = "SELECT pg_stat_clear_snapshot()::text, deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let give_up = tokio::time::Instant::now() + service::testing::DEADLINE;
    loop {
        let (_, seen): (String, i64) = sqlx::query_as(deadlocks).fetch_one(&mut admin).await.unwrap();
        if seen == 1 {
            break;
        }
        assert!(tokio::time::Instant::now() < give_up, "there was no deadlock");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
