//! Driving a built service in tests: start it on a free port, ask it, take away what it needs, stop it.
//!
//! Nothing in a service knows about this: it listens on port 0 and says in its log where that is.

mod binary;
mod fake;
pub mod figures;
mod identity;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use metrics::Metrics;
use serde_json::Value;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::body::Limits;
use crate::figures::Connections;
use crate::health::Readiness;
use crate::layers::{self, Around};
use crate::problem::MEDIA_TYPE;
use crate::server::{ConnectionLimits, Server};
use crate::shutdown::Shutdown;

pub use binary::{Binary, Finished, Running};
pub use fake::FakeUpstream;
pub use identity::TestGateway;

/// No condition in a test takes longer than this to become true.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none: the test fails with the body shown.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }

    /// Status and body on one line; of a problem only what is its own: code, detail and the fields at fault.
    ///
    /// # Panics
    /// When a problem is not told as RFC 9457 wants it, or under another request id than the answer's.
    #[track_caller]
    pub fn summary(&self) -> String {
        let body = serde_json::from_str::<Value>(&self.body).unwrap_or_else(|_| self.body.as_str().into());
        let media_type = self.headers.get("content-type").map(|it| it.as_bytes());
        let body = if media_type == Some(MEDIA_TYPE.as_bytes()) { self.problem(body) } else { body };
        format!("{} {body}", self.status.as_u16())
    }

    #[track_caller]
    fn problem(&self, mut body: Value) -> Value {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(text(&body["type"]), format!("urn:slipway:problem:{}", text(&body["code"])), "{body}");
        assert_eq!(Some(text(&body["title"]).as_str()), self.status.canonical_reason(), "{body}");
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(text(&body["request_id"]).as_bytes(), self.headers["x-request-id"].as_bytes(), "{body}");
        let problem = body.as_object_mut().expect("a problem is an object");
        for name in ["type", "title", "status", "request_id"] {
            problem.remove(name);
        }
        let errors = problem.remove("errors").unwrap_or_default();
        let errors = errors.as_array().cloned().unwrap_or_default();
        if !errors.is_empty() {
            // What is wrong is told in full where it is not what the problem's own detail says.
            let same = errors.iter().all(|error| error["detail"] == problem["detail"]);
            let fields = if same {
                errors.iter().map(|error| error["pointer"].clone()).collect()
            } else {
                errors.into()
            };
            problem.insert("fields".to_owned(), fields);
        }
        body
    }
}

/// A router with everything around it that a served one has, for asking without a socket.
pub fn dressed(router: Router) -> Router {
    let (shutdown, _drained) = Shutdown::new();
    let limits = Limits { max_bytes: 1 << 20, patience: DEADLINE };
    let metrics = Metrics::new();
    let around = Around::new(limits, DEADLINE, &metrics);
    layers::dress(router, Readiness::new(DEADLINE, shutdown, &metrics), around)
}

/// Serves a router on a port of its own, with everything around it that a served one has, until the runtime ends; where it
/// listens, and its figures.
///
/// # Panics
/// When no port can be had.
pub async fn served(router: Router) -> (SocketAddr, Metrics) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let (shutdown, _drained) = Shutdown::new();
    let metrics = Metrics::new();
    let limits = Limits { max_bytes: 1 << 20, patience: DEADLINE };
    let readiness = Readiness::new(DEADLINE, shutdown.clone(), &metrics);
    let server = Server {
        router: layers::dress(router, readiness, Around::new(limits, DEADLINE, &metrics)),
        limits: ConnectionLimits { connections_max: 1024, ..ConnectionLimits::ADMIN },
        figures: Connections::new(&metrics),
        shutdown,
    };
    tokio::spawn(server.accept(listener));
    (address, metrics)
}

/// Asks a router without a socket.
///
/// # Panics
/// When the answer cannot be read.
pub async fn ask(router: &Router, request: axum::extract::Request) -> Answer {
    use tower::ServiceExt as _;
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    read(response).await
}

/// The port that the manifest in `directory` (`env!("CARGO_MANIFEST_DIR")`) names under `[package.metadata.service]`.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn manifest_port(directory: &str) -> u16 {
    let text = std::fs::read_to_string(format!("{directory}/Cargo.toml")).expect("the manifest can be read");
    let manifest: toml::Value = toml::from_str(&text).expect("the manifest is TOML");
    let port = &manifest["package"]["metadata"]["service"]["port"];
    port.as_integer().and_then(|port| port.try_into().ok()).expect("the port is a port")
}

/// Asks until the answer has this status.
///
/// # Panics
/// When it does not within [`DEADLINE`]; the last answer is shown.
pub async fn until_status<Fut: Future<Output = Answer>>(status: u16, mut ask: impl FnMut() -> Fut) -> Answer {
    let give_up = tokio::time::Instant::now() + DEADLINE;
    loop {
        let answer = ask().await;
        if answer.status.as_u16() == status {
            return answer;
        }
        assert!(tokio::time::Instant::now() < give_up, "still not {status}: {}", answer.summary());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn read(response: axum::response::Response) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("the body can be read");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    }
}
