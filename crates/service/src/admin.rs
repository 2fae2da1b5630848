//! The admin port: what operators and Prometheus ask, apart from what clients do.
//!
//! It is open from the start to the last moment of the drain, so that a stopping service can still be watched.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::Metrics;
use tokio::net::TcpListener;

use crate::health::{self, Readiness};
use crate::server;
use crate::shutdown::Shutdown;

/// Where Prometheus asks.
const METRICS: &str = "/metrics";

/// How long an idle connection is kept, and how long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves metrics and health at `listen` until the process ends; returns where that is.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn open(
    listen: SocketAddr,
    metrics: Metrics,
    readiness: Readiness,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on `{listen}`; set `ADMIN_LISTEN` to an address that is free")
    })?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    let router = router(metrics, readiness);
    // Nobody drains it: it ends with the process.
    let (never, _drained) = Shutdown::new();
    tokio::spawn(server::accept(listener, router, HEAD_TIMEOUT, never));
    Ok(address)
}

fn router(metrics: Metrics, readiness: Readiness) -> Router {
    let figures = async move |readiness: Readiness, metrics: Metrics| {
        // Asked for its gauges: `ready` is as fresh as what stands beside it.
        readiness.ask().await;
        ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode()).into_response()
    };
    let asked = readiness.clone();
    Router::new()
        .route(METRICS, get(move || figures(asked.clone(), metrics.clone())))
        .merge(health::routes(readiness))
}
