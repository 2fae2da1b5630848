//! The database answers late, or not at all: who waits is told so in bounded time, and all else goes on.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::clients::Clients;
use super::stage::{Stage, code};
use super::wire::State;

/// So long a request waits for a connection, then for the database, in these tests; and a little for the machine.
const ACQUIRE: (&str, &str) = ("DATABASE_ACQUIRE_TIMEOUT_MS", "500");
const REQUEST: (&str, &str) = ("REQUEST_TIMEOUT_S", "2");
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_pool_that_a_slow_database_uses_up_is_a_503_in_time_and_all_else_goes_on() {
    let settings = [("control", ACQUIRE.0, ACQUIRE.1), ("control", "DATABASE_CONNECTIONS_MAX", "3")];
    let stage = Stage::with_a_wire_to("control", &settings).await;
    stage.wire().set(State::Lags(Duration::from_millis(200)));

    let answers = many(&stage, 24).await;
    let (ok, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
    assert!(!ok.is_empty() && refused.len() > ok.len(), "{} answered, {} refused", ok.len(), refused.len());
    let slowest = ok.iter().chain(&refused).map(|(_, took)| *took).max().unwrap();
    assert!(slowest < ANSWERED_WITHIN, "{slowest:?}");
    let timeouts = stage.control.metric("db_pool_acquire_timeouts_total{}").await.unwrap();
    assert!(timeouts >= refused.len() as f64, "{timeouts} of {}", refused.len());

    stage.wire().set(State::Flows);
    all_are_served_again(&stage).await;
    stage.ends().await;
}

#[tokio::test]
async fn a_database_that_says_nothing_any_more_holds_up_no_request_and_is_found_again() {
    let settings = [("control", ACQUIRE.0, ACQUIRE.1), ("control", REQUEST.0, REQUEST.1)];
    let stage = Stage::with_a_wire_to("control", &settings).await;
    assert_eq!(stage.gets("/v1/releases").await.status.as_u16(), 200);
    for state in [State::Holds, State::Lost] {
        // In the middle of queries.
        stage.wire().set(State::Lags(Duration::from_millis(100)));
        let caught = tokio::time::sleep(Duration::from_millis(320));
        let (mut answers, ()) = tokio::join!(many(&stage, 40), async {
            caught.await;
            stage.wire().set(state);
        });
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(3) {
            answers.extend(many(&stage, 10).await);
        }
        let slowest = answers.iter().map(|(_, took)| *took).max().unwrap();
        assert!(slowest < ANSWERED_WITHIN, "{state:?}: {slowest:?}");
        assert!(answers.iter().any(|(status, _)| *status == 503), "{state:?}: {answers:?}");
        // What it held back arrives; what it lost never does, and whoever connects anew is served.
        stage.wire().set(State::Flows);
        stage.until_ready(200).await;
        all_are_served_again(&stage).await;
    }
    // What is recorded then is done as ever.
    let clients = Clients::begin(2, &stage);
    clients.record(4).await;
    stage.has_all_of(clients.end().await.acknowledged).await;
    stage.ends().await;
}

#[tokio::test]
async fn a_worker_whose_database_says_nothing_any_more_goes_on_over_other_connections() {
    // What it had in hand when the wire died is its again once the lease is over.
    let settings = [("worker", "DATABASE_STATEMENT_TIMEOUT_MS", "500"), ("worker", "WORKER_LEASE_S", "3")];
    let stage = Stage::with_a_wire_to("worker", &settings).await;
    let clients = Clients::begin(1, &stage);
    clients.record(1).await;
    clients.end().await;
    stage.wire().set(State::Lags(Duration::from_millis(100)));
    stage.enqueues(100).await;
    // Each of its hands is in the middle of a job.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stage.wire().set(State::Lost);
    stage.wire().set(State::Flows);
    stage.until_done().await;
    let outcomes = "SELECT DISTINCT outcome FROM jobs";
    assert_eq!(stage.asks::<(String,)>(outcomes).await, [("succeeded".to_owned(),)]);
    stage.ends().await;
}

/// Also many at once, once the connections that were caught are given up.
async fn all_are_served_again(stage: &Stage) {
    let give_up = Instant::now() + service::testing::DEADLINE;
    loop {
        let answers = many(stage, 20).await;
        if answers.iter().all(|(status, _)| *status == 200) {
            return;
        }
        assert!(Instant::now() < give_up, "{answers:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asks for the releases so often at the same time; and, meanwhile, for what needs no database. Status and time of each.
async fn many(stage: &Stage, count: usize) -> Vec<(u16, Duration)> {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let list = stage.asker("/v1/releases");
        asked.spawn(async move {
            let begun = Instant::now();
            let answer = list.await;
            if answer.status.as_u16() == 503 {
                assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
                assert!(
                    ["unavailable", "request_timeout"].contains(&code(&answer).as_str().unwrap()),
                    "{answer:?}"
                );
            }
            (answer.status.as_u16(), begun.elapsed())
        });
    }
    let begun = Instant::now();
    assert_eq!(stage.control.get("/health/live").await.status.as_u16(), 200);
    assert_eq!(stage.gets("/openapi.json").await.status.as_u16(), 200);
    assert!(stage.control.metrics().await.contains("db_pool_connections"));
    assert!(begun.elapsed() < ANSWERED_WITHIN, "what needs no database waits for it");
    asked.join_all().await
}
