//! The proxy: what it is told, and its one route.
//!
//! `/health/live` and `/health/ready` are the proxy's own and are not forwarded. It stands at the edge: what a client
//! says in `x-forwarded-*` is replaced by what the proxy sees.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use service::Problem;
use service::forward::{ForwardError, ForwardedHeaders, Forwarder, Options, Upgrades, Upstream};
use service::settings::{Milliseconds, Seconds};
use service::shutdown::Shutdown;

service::settings! {
    /// What the proxy is told by its environment.
    pub struct Config {
        /// Where requests are forwarded to.
        pub upstream_url: Upstream = "UPSTREAM_URL";
        /// How long connecting to the upstream may take.
        pub connect_timeout: Milliseconds = "UPSTREAM_CONNECT_TIMEOUT_MS", default "2000";
        /// How long the upstream may take, once it has a request, until it begins to answer.
        pub first_byte_timeout: Seconds = "UPSTREAM_FIRST_BYTE_TIMEOUT_S", default "60";
    }
}

/// The way to the upstream; `shutdown` waits for the tunnels that it opens.
pub fn upstream(config: &Config, shutdown: &Shutdown) -> Forwarder {
    let options = Options {
        forwarded_headers: ForwardedHeaders::Replace,
        upgrades: Upgrades::Tunnel(shutdown.clone()),
        connect_timeout: config.connect_timeout.0,
        first_byte_timeout: config.first_byte_timeout.0,
    };
    Forwarder::new(config.upstream_url.clone(), options)
}

/// Whether the upstream answers.
///
/// # Errors
/// It does not.
pub async fn alive(upstream: Forwarder) -> Result<(), ForwardError> {
    upstream.alive().await
}

/// Every path goes to the upstream.
pub fn router(upstream: Forwarder) -> Router {
    Router::new().route("/", any(forward)).route("/{*path}", any(forward)).with_state(upstream)
}

async fn forward(State(upstream): State<Forwarder>, request: Request) -> Response {
    match upstream.forward(request).await {
        Ok(response) => response,
        Err(error) => Problem::from(error).into_response(),
    }
}
