//! The figures of every HTTP server: OpenTelemetry's names for requests, with Prometheus' short labels.
//!
//! Labels come from the program, never from a client: methods outside of HTTP's own are `OTHER`, and paths appear as the
//! route that they matched (`/v1/releases/{version}`), or as `unmatched`.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use metrics::{Counter, Gauge, Histogram, Metrics, buckets};

/// The route of a request that matched none.
const UNMATCHED: &str = "unmatched";

/// The status of a request whose client did not wait for an answer, as other servers note it.
pub(crate) const CLIENT_GONE: u16 = 499;

/// Requests, as figures.
#[derive(Clone)]
pub(crate) struct Requests {
    answered: Counter<3>,
    duration: Histogram<3>,
    active: Gauge<0>,
    received: Counter<2>,
    sent: Counter<2>,
    panics: Counter<1>,
}

/// Connections, as figures.
#[derive(Clone)]
pub(crate) struct Connections {
    open: Gauge<0>,
    accepted: Counter<0>,
    refused: Counter<1>,
}

/// What a request is counted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) method: &'static str,
    pub(crate) route: String,
}

impl Kind {
    pub(crate) fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str);
        Self { method: method(request.method()), route: route.to_owned() }
    }
}

impl Requests {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let labels = ["method", "route", "status"];
        let requests = Self {
            answered: metrics.counter("http_server_requests", "Requests that came to their end.", labels),
            duration: metrics.histogram(
                "http_server_request_duration_seconds",
                "From a request's head to the head of its answer.",
                labels,
                buckets::LATENCY_S,
            ),
            active: metrics.gauge("http_server_active_requests", "Requests that are being answered.", []),
            received: metrics.counter(
                "http_server_request_body_bytes",
                "Bytes of requests' bodies.",
                ["method", "route"],
            ),
            sent: metrics.counter(
                "http_server_response_body_bytes",
                "Bytes of answers' bodies.",
                ["method", "route"],
            ),
            panics: metrics.counter("http_server_panics", "Requests whose handler panicked.", ["route"]),
        };
        requests.active.set([], 0.0);
        requests.panics.add([UNMATCHED], 0);
        requests
    }

    pub(crate) fn began(&self) {
        self.active.add([], 1.0);
    }

    /// The head of its answer is known.
    pub(crate) fn answered(&self, kind: &Kind, status: u16, took: Duration) {
        self.duration.observe([kind.method, &kind.route, &status.to_string()], took);
    }

    pub(crate) fn panicked(&self, kind: &Kind) {
        self.panics.inc([&kind.route]);
    }

    pub(crate) fn ended(&self, kind: &Kind, status: u16, received_bytes: u64, sent_bytes: u64) {
        let Kind { method, route } = kind;
        self.active.add([], -1.0);
        self.answered.inc([method, route, &status.to_string()]);
        self.received.add([method, route], received_bytes);
        self.sent.add([method, route], sent_bytes);
    }
}

impl Connections {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let refused = "Connections and requests that were turned away before any handler saw them.";
        let connections = Self {
            open: metrics.gauge("http_server_connections", "Open connections.", []),
            accepted: metrics.counter("http_server_connections_accepted", "Connections accepted.", []),
            refused: metrics.counter("http_server_refused", refused, ["reason"]),
        };
        connections.open.set([], 0.0);
        connections.accepted.add([], 0);
        for reason in ["connections_max", "head_timeout", "malformed", "too_large", "send_timeout"] {
            connections.refused.add([reason], 0);
        }
        connections
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc([]);
        self.open.add([], 1.0);
    }

    pub(crate) fn closed(&self) {
        self.open.add([], -1.0);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.inc([reason]);
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "OTHER",
    }
}
