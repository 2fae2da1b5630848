//! Slipway from outside: people who ask through its one door.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::events::Follower;

/// No answer, and nothing that is waited for, takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Where the proxy listens, and how somebody gets a token.
pub(crate) struct Door {
    pub(crate) url: String,
    pub(crate) mint: Mint,
}

/// Makes a token for a subject with a role.
pub(crate) type Mint = Box<dyn Fn(&str, &str) -> String>;

/// Somebody with a token.
pub(crate) struct Person {
    url: String,
    token: Option<String>,
    client: Client<HttpConnector, Body>,
}

/// What somebody was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) request_id: String,
    pub(crate) body: Value,
}

impl Door {
    /// Somebody who shows a token that says so.
    pub(crate) fn person(&self, subject: &str, role: &str) -> Person {
        self.shows(&(self.mint)(subject, role))
    }

    /// Somebody who shows this, whatever it is.
    pub(crate) fn shows(&self, token: &str) -> Person {
        Person { token: Some(token.to_owned()), ..self.nobody() }
    }

    /// Somebody who shows nothing.
    pub(crate) fn nobody(&self) -> Person {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Person { url: self.url.clone(), token: None, client }
    }
}

impl Person {
    pub(crate) async fn gets(&self, path: &str) -> Answer {
        self.asks("GET", path, None).await
    }

    pub(crate) async fn posts(&self, path: &str, body: &Value) -> Answer {
        self.asks("POST", path, Some(body)).await
    }

    pub(crate) async fn puts(&self, path: &str, body: &Value) -> Answer {
        self.asks("PUT", path, Some(body)).await
    }

    /// Hears of changes from now on.
    pub(crate) async fn follows(&self) -> Follower {
        let answer = self.client.request(self.request("GET", "/v1/events", None)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Follower::begin(Body::new(answer.into_body())).await
    }

    async fn asks(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let asked = self.client.request(self.request(method, path, body));
        let answer = tokio::time::timeout(DEADLINE, asked).await.expect("an answer comes in time").unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let request_id = parts.headers["x-request-id"].to_str().unwrap().to_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer { status: parts.status, request_id, body }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        request.body(body.map_or_else(Body::empty, |it| it.to_string().into())).unwrap()
    }
}

impl Answer {
    /// The text of a field.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no `{field}`: {self:?}")).to_owned()
    }

    /// The items of a page.
    #[track_caller]
    pub(crate) fn items(&self) -> Vec<Value> {
        self.body["items"].as_array().unwrap_or_else(|| panic!("no items: {self:?}")).clone()
    }

    /// Status and body on one line, without what differs each time.
    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.status.as_u16(), still(self.body.clone()))
    }
}

/// JSON without what differs each time: identifiers, times, digests, and where the registry is.
pub(crate) fn still(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let differs = ["id", "at", "commit", "evidence", "secret"].contains(&name.as_str())
                    || name.ends_with("_id")
                    || name.ends_with("_at");
                *field = if differs && field.is_string() {
                    format!("[{name}]").into()
                } else {
                    still(field.take())
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| *it = still(it.take())),
        Value::String(text) => {
            if let Some((repository, _)) = text.split_once("@sha256:") {
                let path = repository.split_once('/').map_or("", |(_, path)| path);
                *text = format!("[registry]/{path}@[digest]");
            }
        }
        _ => {}
    }
    value
}
