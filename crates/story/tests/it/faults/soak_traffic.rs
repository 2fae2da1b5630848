//! Everything that clients do beside recording releases: read, ask for what is not there, follow, and hang up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tokio::task::JoinSet;

use super::stage::{Stage, http_client};

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(25);
/// How long one follows before it hangs up.
const FOLLOWS: Duration = Duration::from_secs(3);

/// What is asked for, and by whom: with the token, or without.
const READS: [(&str, bool); 7] = [
    ("/v1/releases?limit=50", true),
    ("/v1/releases/0.0.0", true),
    ("/v1/releases/9.9.9", true),
    ("/v1/audit?limit=20", true),
    ("/v1/releases?limit=many", true),
    ("/openapi.json", false),
    ("/v1/releases", false),
];

/// Clients at work.
pub(crate) struct Traffic {
    working: JoinSet<()>,
    over: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    faults: Arc<Mutex<Vec<Value>>>,
}

/// One of them.
#[derive(Clone)]
struct One {
    http: Client<HttpConnector, Body>,
    gateway: String,
    token: String,
    over: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    faults: Arc<Mutex<Vec<Value>>>,
}

impl Traffic {
    pub(crate) fn begin(stage: &Stage) -> Self {
        let (over, requests) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let faults = Arc::<Mutex<Vec<Value>>>::default();
        let one = One {
            http: http_client(),
            gateway: stage.gateway.url(),
            token: stage.token.clone(),
            over: Arc::clone(&over),
            requests: Arc::clone(&requests),
            faults: Arc::clone(&faults),
        };
        let mut working = JoinSet::new();
        working.spawn(one.clone().reads());
        working.spawn(one.clone().hangs_up());
        for _ in 0..2 {
            working.spawn(one.clone().follows());
        }
        Self { working, over, requests, faults }
    }

    /// Ends, and tells how often was asked, and what should never have been answered.
    pub(crate) async fn end(self) -> (u64, Vec<Value>) {
        self.over.store(true, Ordering::Relaxed);
        self.working.join_all().await;
        let faults = self.faults.lock().unwrap().clone();
        (self.requests.load(Ordering::Relaxed), faults)
    }
}

impl One {
    async fn reads(self) {
        for (path, with_token) in READS.iter().cycle() {
            if self.is_over() {
                return;
            }
            let answer = self
                .http
                .request(if *with_token { self.as_somebody(path) } else { self.request(path) })
                .await
                .expect("it answers");
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.expect("the answer is whole").to_bytes();
            if ![200, 401, 404, 422, 429, 503].contains(&status) {
                let fault = serde_json::from_slice(&body);
                self.faults.lock().unwrap().push(fault.unwrap_or_else(|_| status.into()));
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks and does not wait for the answer.
    async fn hangs_up(self) {
        for wait_ms in (0..20).cycle() {
            if self.is_over() {
                return;
            }
            let asked = self.http.request(self.as_somebody("/v1/audit?limit=100"));
            drop(tokio::time::timeout(Duration::from_millis(wait_ms), asked).await);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follows(self) {
        while !self.is_over() {
            let follows = async {
                if let Ok(mut answer) = self.http.request(self.as_somebody("/v1/events")).await {
                    while answer.frame().await.is_some() {}
                }
                tokio::time::sleep(PAUSE).await;
            };
            drop(tokio::time::timeout(FOLLOWS, follows).await);
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn as_somebody(&self, path: &str) -> Request<Body> {
        let mut request = self.request(path);
        let token = format!("Bearer {}", self.token).parse().unwrap();
        request.headers_mut().insert("authorization", token);
        request
    }

    fn request(&self, path: &str) -> Request<Body> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Request::get(format!("{}{path}", self.gateway)).body(Body::empty()).unwrap()
    }
}
