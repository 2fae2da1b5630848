//! `/health/live` and `/health/ready`: whether the process runs, and whether it can do its work.
//!
//! Live is always 200. Ready is 503 while a check fails, naming it, and from the moment the service is told to stop.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{Gauge, Metrics};
use tokio::task::JoinSet;

use crate::shutdown::{Shutdown, Stage};

/// Where liveness is asked.
pub const LIVE: &str = "/health/live";
/// Where readiness is asked.
pub const READY: &str = "/health/ready";

type CheckFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// What must hold for the service to be ready: named checks, asked anew each time. Clones share them.
#[derive(Clone)]
pub struct Readiness {
    checks: Arc<Mutex<Vec<(&'static str, Check)>>>,
    timeout: Duration,
    shutdown: Shutdown,
    figures: Figures,
}

/// Readiness as figures, as of the last time that someone asked.
#[derive(Clone)]
struct Figures {
    ready: Gauge<0>,
    check: Gauge<1>,
}

impl Readiness {
    pub(crate) fn new(timeout: Duration, shutdown: Shutdown, metrics: &Metrics) -> Self {
        let figures = Figures {
            ready: metrics.gauge("ready", "1 while the service can do its work.", []),
            check: metrics.gauge("ready_check", "1 while what the service needs is there.", ["check"]),
        };
        Self { checks: Arc::default(), timeout, shutdown, figures }
    }

    /// Adds a check. It fails when it returns an error or takes longer than `READY_TIMEOUT_MS`.
    pub fn check<F, Fut, E>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        let check: Check = Arc::new(move || {
            let asked = check();
            Box::pin(async move { asked.await.map_err(Into::into) })
        });
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// Asks every check at the same time: name and, for those that fail, why.
    pub(crate) async fn ask(&self) -> BTreeMap<&'static str, Option<String>> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut asked = JoinSet::new();
        // A check that panics never reports: it is listed as failed from the start.
        let mut results: BTreeMap<_, _> =
            checks.iter().map(|(name, _)| (*name, Some("the check itself failed".to_owned()))).collect();
        for (name, check) in checks {
            let timeout = self.timeout;
            asked.spawn(async move { (name, ask_one(check, timeout).await) });
        }
        while let Some(joined) = asked.join_next().await {
            if let Ok((name, result)) = joined {
                results.insert(name, result);
            }
        }
        self.note(&results);
        results
    }

    fn note(&self, results: &BTreeMap<&'static str, Option<String>>) {
        let one_if = |holds: bool| if holds { 1.0 } else { 0.0 };
        let serving = self.shutdown.stage() == Stage::Serving;
        self.figures.ready.set([], one_if(serving && results.values().all(Option::is_none)));
        for (name, result) in results {
            self.figures.check.set([name], one_if(result.is_none()));
        }
    }
}

/// The two routes.
pub(crate) fn routes(readiness: Readiness) -> Router {
    Router::new().route(LIVE, get(live)).route(READY, get(ready)).with_state(readiness)
}

async fn live() -> Response {
    axum::Json(serde_json::json!({ "status": "live" })).into_response()
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    if readiness.shutdown.stage() != Stage::Serving {
        return (StatusCode::SERVICE_UNAVAILABLE, axum::Json(serde_json::json!({ "status": "stopping" })))
            .into_response();
    }
    let results = readiness.ask().await;
    let failed = results.values().any(Option::is_some);
    let checks: BTreeMap<_, _> =
        results.iter().map(|(name, result)| (*name, result.as_deref().unwrap_or("ok"))).collect();
    let (status, word) =
        if failed { (StatusCode::SERVICE_UNAVAILABLE, "unready") } else { (StatusCode::OK, "ready") };
    (status, axum::Json(serde_json::json!({ "status": word, "checks": checks }))).into_response()
}

async fn ask_one(check: Check, timeout: Duration) -> Option<String> {
    match tokio::time::timeout(timeout, check()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some(format!("no answer within {} ms", timeout.as_millis())),
    }
}
