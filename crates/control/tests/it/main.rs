//! Control over a real Postgres whose migrations were applied role by role.

mod audit;
mod environments;
mod lifecycle;
mod releases;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use scratch_store::ScratchStore;
use serde_json::{Value, json};
use service::testing::{Answer, ask, dressed};
use store::Store;

/// The routes over a migrated database of the test's own, asked in the name of `ann`.
struct World {
    _scratch: ScratchStore,
    router: Router,
}

impl World {
    async fn new() -> Self {
        let scratch = ScratchStore::migrated().await;
        let store = Store::connect(&scratch.app_url()).await.expect("the scratch database answers");
        Self { _scratch: scratch, router: dressed(control::router(store)) }
    }

    async fn get(&self, path: &str) -> Answer {
        ask(&self.router, Request::get(path).body(Body::empty()).expect("it is a path")).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("x-request-id", "req-1").header("x-slipway-actor", "ann");
        ask(&self.router, request.body(body.to_string().into()).expect("it is a path")).await
    }

    async fn records(&self, version: &str) -> Answer {
        self.send("POST", "/v1/releases", &release(version)).await
    }
}

fn release(version: &str) -> Value {
    let images = json!({ "gateway": image("gateway", "a"), "control": image("control", "b") });
    json!({ "version": version, "commit": "c0ffee00".repeat(5), "images": images })
}

fn image(service: &str, digit: &str) -> String {
    format!("registry.example.org/slipway/{service}@sha256:{}", digit.repeat(64))
}

/// An answer on one line, without what differs each time: identifiers, times, and most of the digests' digits.
fn told(answer: &Answer) -> String {
    let mut value: Value = serde_json::from_str(&answer.summary()[4..]).expect("the body is JSON");
    still(&mut value);
    format!("{} {value}", answer.status.as_u16())
}

fn still(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match (name.as_str(), &*field) {
                    ("id" | "release_id" | "recorded_at" | "created_at" | "at", _) => {
                        *field = format!("[{name}]").into()
                    }
                    ("subject", Value::String(subject)) => {
                        *field = subject.split('/').next().unwrap_or_default().into();
                    }
                    _ => still(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(still),
        Value::String(text) => *text = text.replace(&"a".repeat(63), "…").replace(&"b".repeat(63), "…"),
        _ => {}
    }
}
