//! Somebody who is told of events by webhook, and believes only what is signed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::door::DEADLINE;

/// A server that keeps what it is told.
pub(crate) struct Receiver {
    address: SocketAddr,
    kept: Kept,
}

/// A message whose signature holds.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The event's number.
    pub(crate) number: i64,
    pub(crate) request_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) body: Value,
}

/// Messages, and the key that sender and receiver share.
#[derive(Clone)]
struct Kept {
    messages: Arc<Mutex<Vec<Message>>>,
    key: Arc<str>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into()).await
    }

    /// Listens at an address of this host that others may reach.
    pub(crate) async fn at(host: IpAddr) -> Self {
        let key = uuid::Uuid::new_v4().to_string();
        let kept = Kept { messages: Arc::default(), key: key.into() };
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/hook", post(take)).with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, kept }
    }

    /// Writes the worker's file of receivers, and the key, into a folder that the worker sees at `seen`.
    pub(crate) fn introduce(&self, folder: &Path, seen: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("webhook-key"), &*self.kept.key).unwrap();
        let (address, key) = (self.address, seen.join("webhook-key"));
        let text = format!(
            "[[receiver]]\nname = \"ops\"\nurl = \"http://{address}/hook\"\nallow-http = true\nsecret-file = \"{}\"\n",
            key.display()
        );
        std::fs::write(folder.join("webhooks.toml"), text).unwrap();
        seen.join("webhooks.toml")
    }

    /// Everything told, in the order in which it happened, once so many messages have come.
    pub(crate) async fn told(&self, count: usize) -> Vec<Message> {
        let give_up = tokio::time::Instant::now() + DEADLINE;
        loop {
            let mut messages = self.kept.messages.lock().unwrap().clone();
            // Told more than once is possible, and not in order; the number says what is the same, and what came first.
            messages.sort_by_key(|it| it.number);
            messages.dedup_by_key(|it| it.number);
            if messages.len() >= count {
                return messages;
            }
            assert!(tokio::time::Instant::now() < give_up, "not {count} messages: {messages:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, kept.key.as_bytes());
    let genuine = header("webhook-signature").split(' ').any(|signature| {
        let signature = signature.strip_prefix("v1,").and_then(|it| STANDARD.decode(it).ok());
        signature.is_some_and(|it| hmac::verify(&key, signed.as_bytes(), &it).is_ok())
    });
    let number = header("webhook-id").strip_prefix("event-").and_then(|it| it.parse().ok());
    let (true, Some(number), Ok(body)) = (genuine, number, serde_json::from_str(&body)) else {
        return StatusCode::UNAUTHORIZED;
    };
    let given = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let (request_id, traceparent) = (given("x-request-id"), given("traceparent"));
    kept.messages.lock().unwrap().push(Message { number, request_id, traceparent, body });
    StatusCode::NO_CONTENT
}
