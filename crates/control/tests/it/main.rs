//! The built control over a real Postgres whose migrations were applied role by role, asked as the gateway asks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod crowd;
mod environments;
mod events;
mod faults;
mod lifecycle;
mod promotions;
mod releases;
mod table;
mod tokens;

use axum::body::Body;
use axum::extract::Request;
use scratch_store::ScratchStore;
use serde_json::{Value, json};
use service::identity::Role;
use service::testing::{Answer, Binary, Running, TestGateway};

/// Who asks, and what they may do.
#[derive(Clone, Copy)]
struct Person(&'static str, Role);

const VIC: Person = Person("vic", Role::Viewer);
const ANN: Person = Person("ann", Role::Releaser);
const BOB: Person = Person("bob", Role::Operator);
const EVE: Person = Person("eve", Role::Operator);

/// A control over a migrated database of the test's own, behind a gateway.
struct World {
    scratch: ScratchStore,
    gateway: TestGateway,
    control: Running,
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        Self::over(ScratchStore::migrated().await, settings).await
    }

    async fn over(scratch: ScratchStore, settings: &[(&str, &str)]) -> Self {
        let gateway = TestGateway::before("control");
        let binary = control(&scratch, &gateway);
        let binary = settings.iter().fold(binary, |binary, (name, value)| binary.env(name, value));
        let control = binary.start().await;
        Self { scratch, gateway, control }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(VIC, Request::get(path).body(Body::empty()).expect("it is a path")).await
    }

    async fn post(&self, who: Person, path: &str, body: &Value) -> Answer {
        self.send(who, "POST", path, &[], body).await
    }

    #[expect(clippy::too_many_arguments, reason = "these are the parts of a request")]
    async fn send(
        &self,
        who: Person,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.ask(who, request.body(body.to_string().into()).expect("it is a path")).await
    }

    async fn ask(&self, Person(subject, role): Person, request: Request) -> Answer {
        self.control.send(self.gateway.says(request, subject, role)).await
    }

    async fn records(&self, version: &str) -> Answer {
        self.post(ANN, "/v1/releases", &release(version)).await
    }

    async fn puts(&self, name: &str, body: &Value) -> Answer {
        self.send(BOB, "PUT", &format!("/v1/environments/{name}"), &[], body).await
    }
}

fn control(scratch: &ScratchStore, gateway: &TestGateway) -> Binary {
    let binary = Binary::new(env!("CARGO_BIN_EXE_control"));
    binary.env("DATABASE_URL", &scratch.app_url()).env("IDENTITY_KEY", gateway.key())
}

fn release(version: &str) -> Value {
    let images = json!({ "gateway": image("gateway", "a"), "control": image("control", "b") });
    json!({ "version": version, "commit": "c0ffee00".repeat(5), "images": images })
}

fn image(service: &str, digit: &str) -> String {
    format!("registry.example.org/slipway/{service}@sha256:{}", digit.repeat(64))
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.summary())).to_owned()
}

fn items(answer: &Answer) -> Vec<Value> {
    let items = answer.json()["items"].as_array().cloned();
    items.unwrap_or_else(|| panic!("no items: {}", answer.summary()))
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
                match &*field {
                    Value::Null | Value::Array(_) => still(field),
                    _ if name == "id" || name == "at" || name.ends_with("_id") || name.ends_with("_at") => {
                        *field = format!("[{name}]").into();
                    }
                    Value::String(subject) if name == "subject" => {
                        *field = subject.split('/').next().unwrap_or_default().into();
                    }
                    _ => still(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(still),
        Value::String(text) => {
            *text = text.replace(&"a".repeat(63), "…").replace(&"b".repeat(63), "…");
            while let Some(id) = identifier(text) {
                *text = text.replace(&id, "[id]");
            }
        }
        _ => {}
    }
}

/// The first identifier in a text.
fn identifier(text: &str) -> Option<String> {
    let candidates = (0..text.len().saturating_sub(35)).filter_map(|at| text.get(at..at + 36));
    candidates.filter(|it| uuid::Uuid::try_parse(it).is_ok()).map(str::to_owned).next()
}
