//! The admin port: what operators and Prometheus ask, apart from what clients do.
//!
//! It is open from the start to the last moment of the drain, so that a stopping service can still be watched.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::Metrics;
use tokio::net::TcpListener;

use crate::figures::Connections;
use crate::health::{self, Readiness};
use crate::server::{ConnectionLimits, Server};
use crate::shutdown::Shutdown;

/// Where Prometheus asks.
const METRICS: &str = "/metrics";

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
    // Nobody drains it: it ends with the process. What happens on it is no figure of the service's.
    let (shutdown, _drained) = Shutdown::new();
    let (limits, figures) = (ConnectionLimits::ADMIN, Connections::new(&Metrics::new()));
    tokio::spawn(Server { router, limits, figures, shutdown }.accept(listener));
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
