//! The gateway: what it is told, and its routes.
//!
//! Invariant: no `x-slipway-*` header of a client reaches control. Those say who someone is, and only the gateway,
//! which verified it, may say that.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use service::Problem;
use service::forward::{ForwardError, ForwardedHeaders, Forwarder, Options, Upgrades, Upstream};
use service::settings::{Milliseconds, Seconds};

/// What starts the names of headers with which services tell each other who someone is.
const IDENTITY_PREFIX: &str = "x-slipway-";

service::settings! {
    /// What the gateway is told by its environment.
    pub struct Config {
        /// Where control is, which answers `/v1`.
        pub control_url: Upstream = "CONTROL_URL", default "http://127.0.0.1:8001";
        /// How long connecting to control may take.
        pub connect_timeout: Milliseconds = "UPSTREAM_CONNECT_TIMEOUT_MS", default "2000";
        /// How long control may take, once it has a request, until it begins to answer.
        pub first_byte_timeout: Seconds = "UPSTREAM_FIRST_BYTE_TIMEOUT_S", default "30";
    }
}

/// The way to control.
pub fn control(config: &Config) -> Forwarder {
    let options = Options {
        // The proxy stands in front and says where requests come from.
        forwarded_headers: ForwardedHeaders::Continue,
        upgrades: Upgrades::Ignore,
        connect_timeout: config.connect_timeout.0,
        first_byte_timeout: config.first_byte_timeout.0,
    };
    Forwarder::new(config.control_url.clone(), options)
}

/// Whether control answers.
///
/// # Errors
/// It does not.
pub async fn alive(control: Forwarder) -> Result<(), ForwardError> {
    control.alive().await
}

/// Every route: `/v1/…` goes to control.
pub fn router(control: Forwarder) -> Router {
    Router::new().route("/v1/{*path}", any(forward)).with_state(control)
}

async fn forward(State(control): State<Forwarder>, mut request: Request) -> Response {
    let forged: Vec<HeaderName> =
        request.headers().keys().filter(|name| name.as_str().starts_with(IDENTITY_PREFIX)).cloned().collect();
    for name in forged {
        request.headers_mut().remove(name);
    }
    match control.forward(request).await {
        Ok(response) => response,
        Err(error) => Problem::from(error).into_response(),
    }
}
