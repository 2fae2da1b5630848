//! Clients who record releases one after the other, each until it is acknowledged, as `cargo xtask release` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stage::{Stage, http_client};

/// Between two attempts: less than what `retry-after` says, so that many fall into the time of a fault.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients at work.
pub(crate) struct Clients {
    working: JoinSet<Told>,
    over: Arc<AtomicBool>,
    recorded: Arc<AtomicUsize>,
}

/// What clients were told.
#[derive(Default, Debug)]
pub(crate) struct Told {
    /// The versions whose record was acknowledged.
    pub(crate) acknowledged: Vec<String>,
    /// How often they were told to come back.
    pub(crate) refused: usize,
    /// How often what is acknowledged had been recorded by an earlier request, whose answer was lost or refused.
    pub(crate) replayed: usize,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
    /// What they should never have been told.
    pub(crate) faults: Vec<Value>,
}

impl Clients {
    /// So many begin.
    pub(crate) fn begin(count: usize, stage: &Stage) -> Self {
        let (over, recorded) = (Arc::<AtomicBool>::default(), Arc::default());
        let mut working = JoinSet::new();
        for client in 0..count {
            let one = One {
                http: http_client(),
                target: format!("{}/v1/releases", stage.gateway.url()),
                token: stage.token.clone(),
                recorded: Arc::clone(&recorded),
            };
            let over = Arc::clone(&over);
            working.spawn(async move {
                let mut told = Told::default();
                for number in 0.. {
                    if over.load(Ordering::Relaxed) || !told.faults.is_empty() {
                        break;
                    }
                    one.records(&format!("{client}.0.{number}"), &mut told).await;
                }
                told
            });
        }
        Self { working, over, recorded }
    }

    /// Waits until so many more releases are acknowledged; false when they are not in time.
    pub(crate) async fn record(&self, more: usize) -> bool {
        let wanted = self.recorded.load(Ordering::Relaxed) + more;
        let give_up = Instant::now() + service::testing::DEADLINE;
        while self.recorded.load(Ordering::Relaxed) < wanted {
            if Instant::now() > give_up {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// Each ends what it has begun.
    pub(crate) async fn end(self) -> Told {
        self.over.store(true, Ordering::Relaxed);
        self.working.join_all().await.into_iter().fold(Told::default(), |mut all, one| {
            all.acknowledged.extend(one.acknowledged);
            all.refused += one.refused;
            all.replayed += one.replayed;
            all.slowest = all.slowest.max(one.slowest);
            all.faults.extend(one.faults);
            all
        })
    }
}

/// One of them.
struct One {
    http: Client<HttpConnector, Body>,
    target: String,
    token: String,
    recorded: Arc<AtomicUsize>,
}

impl One {
    /// Asks with the same key until the release is acknowledged.
    async fn records(&self, version: &str, told: &mut Told) {
        loop {
            let asked = Instant::now();
            let answer = self.http.request(self.request(version)).await.expect("the gateway answers");
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("the answer is whole").to_bytes();
            told.slowest = told.slowest.max(asked.elapsed());
            match head.status.as_u16() {
                201 => {
                    told.replayed += usize::from(head.headers.contains_key("idempotent-replayed"));
                    told.acknowledged.push(version.to_owned());
                    self.recorded.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                503 => {
                    assert!(head.headers.contains_key("retry-after"), "{head:?}");
                    told.refused += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                _ => {
                    let fault = serde_json::from_slice(&body);
                    told.faults.push(fault.unwrap_or_else(|_| String::from_utf8_lossy(&body).into()));
                    return;
                }
            }
        }
    }

    fn request(&self, version: &str) -> Request<Body> {
        let image = format!("registry.example.org/slipway/edge@sha256:{}", "a".repeat(64));
        let release =
            json!({ "version": version, "commit": "c0ffee00".repeat(5), "images": { "edge": image } });
        Request::post(&self.target)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("idempotency-key", format!("release-{version}"))
            .body(release.to_string().into())
            .unwrap()
    }
}
