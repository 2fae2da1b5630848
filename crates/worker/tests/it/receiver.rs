//! Someone who is told of events: keeps what it got, and answers as the test says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::DEADLINE;

/// The key that both sides know.
const KEY: &str = "a key for tests and nothing else";

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<Inner>>,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct Inner {
    got: Vec<Got>,
    /// Answers before it only says yes, the next one last.
    answers: Vec<Answer>,
}

/// What it answers.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    RetryAfter(u64),
    Hang,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) request_id: Option<String>,
    pub(crate) body: Value,
    pub(crate) is_genuine: bool,
    pub(crate) at: Instant,
}

impl Receiver {
    pub(crate) async fn new() -> Self {
        let state = Arc::<Mutex<Inner>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/{name}", post(take)).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state, folder: tempfile::tempdir().unwrap() }
    }

    /// Writes the file of receivers: what stands in `entries` for each, with `{at}` for the address.
    pub(crate) fn file(&self, entries: &str) -> String {
        let path = |name: &str| -> PathBuf { self.folder.path().join(name) };
        std::fs::write(path("key"), KEY).unwrap();
        let text = entries
            .replace("{at}", &format!("http://{}", self.address))
            .replace("{key}", path("key").to_str().unwrap());
        std::fs::write(path("receivers.toml"), text).unwrap();
        path("receivers.toml").to_str().unwrap().to_owned()
    }

    /// A file with one receiver that hears of everything but verdicts.
    pub(crate) fn one(&self) -> String {
        self.file(
            r#"
            [[receiver]]
            name = "ops"
            url = "{at}/ops"
            events = ["release.recorded", "promotion.*"]
            secret-file = "{key}"
            timeout-s = 1
            "#,
        )
    }

    /// Answers that come before it says yes.
    pub(crate) fn will_answer(&self, answers: &[Answer]) {
        self.state.lock().unwrap().answers = answers.iter().rev().copied().collect();
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.state.lock().unwrap().got.clone()
    }

    /// Waits until so many messages arrived.
    pub(crate) async fn gets(&self, count: usize) -> Vec<Got> {
        let start = Instant::now();
        while self.got().len() < count {
            assert!(start.elapsed() < DEADLINE, "{count} messages do not arrive: {:?}", self.got());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.got()
    }
}

async fn take(
    State(state): State<Arc<Mutex<Inner>>>,
    axum::extract::Path(path): axum::extract::Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let id = header("webhook-id").unwrap();
    let answer = {
        let mut inner = state.lock().unwrap();
        inner.got.push(Got {
            path,
            request_id: header("x-request-id"),
            body: serde_json::from_str(&body).unwrap(),
            is_genuine: is_genuine(&headers, &id, &body),
            id,
            at: Instant::now(),
        });
        inner.answers.pop()
    };
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Answer::Status(code)) => StatusCode::from_u16(code).unwrap().into_response(),
        Some(Answer::RetryAfter(seconds)) => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", seconds.to_string())]).into_response()
        }
        Some(Answer::Hang) => std::future::pending().await,
    }
}

/// Checks the signature as a receiver does.
fn is_genuine(headers: &HeaderMap, id: &str, body: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let signed = format!("{id}.{}.{body}", text("webhook-timestamp"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    text("webhook-signature").split(' ').any(|signature| {
        let bytes = signature.strip_prefix("v1,").and_then(|it| STANDARD.decode(it).ok()).unwrap_or_default();
        hmac::verify(&key, signed.as_bytes(), &bytes).is_ok()
    })
}
