//! Queues that are long, and places that are all taken: bounded, told in figures, and nothing that was promised is lost.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use service::testing::until_status;

use super::clients::Clients;
use super::stage::{Stage, code};

/// Jobs that wait, in thousands of what a busy day makes.
const JOBS: i64 = 3000;
/// By how much the worker may grow meanwhile: what waits lies in the database.
const MEMORY_MORE_MAX: f64 = 16.0 * 1024.0 * 1024.0;

#[tokio::test]
async fn long_thousands_of_jobs_cost_clients_nothing_and_the_worker_no_memory_and_each_is_done_once() {
    let stage = Stage::set(&[("worker", "LOG", "warn,service::chassis=info")]).await;
    let clients = Clients::begin(1, &stage);
    clients.record(1).await;
    let first = clients.end().await;
    stage.until_done().await;
    let memory = async || stage.worker.metric("process_resident_memory_bytes{}").await.unwrap();
    let before = memory().await;
    stage.enqueues(JOBS).await;

    // People go on, and are not told later than before.
    let clients = Clients::begin(2, &stage);
    clients.record(20).await;
    let queued = r#"slipway_jobs_queued{kind="verify_release"}"#;
    let give_up = Instant::now() + Duration::from_secs(20);
    while stage.worker.metric(queued).await.unwrap_or_default() < 100.0 {
        assert!(Instant::now() < give_up, "{}", stage.worker.metrics().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = clients.end().await;
    assert!(told.faults.is_empty() && told.refused == 0 && told.slowest < Duration::from_secs(5), "{told:?}");

    stage.until_done_within(Duration::from_secs(600)).await;
    let ended: Vec<(String, i64)> =
        stage.asks("SELECT outcome, count(*) FROM jobs WHERE kind = 'verify_release' GROUP BY outcome").await;
    let recorded = i64::try_from(first.acknowledged.len() + told.acknowledged.len()).unwrap();
    assert_eq!(ended, [("succeeded".to_owned(), JOBS + recorded)]);
    let verified = "SELECT count(*) FROM audit_entries WHERE action = 'release.not_verified'";
    assert_eq!(stage.asks::<(i64,)>(verified).await, [(JOBS + recorded,)]);
    let more = memory().await - before;
    assert!(more < MEMORY_MORE_MAX, "{more} bytes more");
    stage.ends().await;
}

#[tokio::test]
async fn when_every_place_of_a_follower_is_taken_others_are_told_so_and_requests_go_on() {
    let stage = Stage::set(&[("control", "EVENT_FOLLOWERS_MAX", "3")]).await;
    let mut following = Vec::new();
    for _ in 0..3 {
        let (head, body) = stage.follow().await;
        assert_eq!(head.status.as_u16(), 200);
        following.push(body);
    }
    let refused = stage.gets("/v1/events").await;
    assert_eq!((refused.status.as_u16(), code(&refused)), (503, "too_many_followers".into()));
    assert!(refused.headers.contains_key("retry-after"));
    let clients = Clients::begin(2, &stage);
    assert!(clients.record(10).await);
    let told = clients.end().await;
    // Each of them heard of all.
    for body in &mut following {
        let mut heard = String::new();
        while heard.matches("event: release.recorded").count() < told.acknowledged.len() {
            let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await;
            let frame = frame.expect("it goes on in time").expect("it goes on").unwrap();
            heard += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }
    following.pop();
    let (head, _again) = loop {
        let (head, body) = stage.follow().await;
        if head.status.as_u16() == 200 {
            break (head, body);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(head.status.as_u16(), 200);
    until_status(200, || stage.control.get("/health/ready")).await;
    stage.has_all_of(told.acknowledged).await;
}
