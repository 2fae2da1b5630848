//! The API as its document describes it: the real gateway before the real control, on a real Postgres.

use std::collections::BTreeSet;
use std::path::Path;

use api::{Exposure, Found, Role};
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use jsonschema::Validator;
use scratch_store::ScratchStore;
use serde_json::{Value, json};
use service::testing::{Answer, Binary, Running, TestGateway};

use crate::gateway;
use crate::tokens::{Key, KeysFile, claims, text};

/// The stack, and which ways of answering were seen.
struct Stack {
    _scratch: ScratchStore,
    _control: Running,
    _keys: KeysFile,
    gateway: Running,
    key: Key,
    document: Value,
    /// Operation and status of each answer that was compared with the document.
    seen: BTreeSet<(&'static str, u16)>,
}

impl Stack {
    async fn start() -> Self {
        let scratch = ScratchStore::migrated().await;
        let identity = TestGateway::before("control");
        let control = control()
            .env("DATABASE_URL", &scratch.app_url())
            .env("IDENTITY_KEY", identity.key())
            .start()
            .await;
        let key = Key::ed25519("main");
        let keys = KeysFile::of(&[&key]);
        let gateway = gateway()
            .env("CONTROL_URL", &control.url())
            .env("IDENTITY_KEY", identity.key())
            .env("TOKEN_KEYS_FILE", text(&keys.path()))
            .env("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "1000")
            .start()
            .await;
        let document = gateway.get("/openapi.json").await.json();
        let seen = BTreeSet::new();
        Self { _scratch: scratch, _control: control, _keys: keys, gateway, key, document, seen }
    }

    /// Asks as a person with a role, and compares the answer with the document.
    async fn asks(&mut self, who: &str, role: Role, line: &str, body: Option<Value>) -> Answer {
        let token = self.key.signs(&claims(who, role.name()));
        self.shows(&token, line, body).await
    }

    /// The same with a token, or with none where it is empty.
    async fn shows(&mut self, token: &str, line: &str, body: Option<Value>) -> Answer {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).expect("it is a path");
        if !token.is_empty() {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is ASCII");
            request.headers_mut().insert("authorization", value);
        }
        let answer = self.gateway.send(request).await;
        self.compare(line, &answer);
        answer
    }

    fn compare(&mut self, line: &str, answer: &Answer) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let path = path.split('?').next().unwrap_or_default();
        let Found::Route(route) = api::find(method, path) else { panic!("`{line}` is not in the table") };
        let described = &self.document["paths"][route.path][method.to_lowercase()];
        let status = answer.status.as_u16();
        let response = &described["responses"][status.to_string()];
        assert!(response.is_object(), "`{line}` may not answer {}", answer.summary());
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            assert!(answer.headers.contains_key(name), "`{line}` {status} lacks `{name}`");
        }
        let media_type = answer.headers["content-type"].to_str().unwrap_or_default();
        let schema = &response["content"][media_type]["schema"];
        assert!(schema.is_object(), "`{line}` {status} is no `{media_type}`");
        let faults = self.faults(schema, &answer.json());
        assert!(faults.is_empty(), "`{line}` {}: {faults:#?}", answer.summary());
        self.seen.insert((route.operation, status));
    }

    /// What of a value is not as its schema says.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        let validator = Validator::new(&whole).expect("the schema is one");
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }
}

fn control() -> Binary {
    let path = Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name("control");
    assert!(
        path.exists(),
        "`{}` is not there: run the tests of the whole workspace, or build it",
        path.display()
    );
    Binary::new(text(&path))
}

fn release(version: &str) -> Option<Value> {
    let image = format!("registry.example.org/slipway/gateway@sha256:{}", "a".repeat(64));
    Some(json!({ "version": version, "commit": "c0ffee00".repeat(5), "images": { "gateway": image } }))
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.summary())).to_owned()
}

#[tokio::test]
async fn every_route_answers_through_the_gateway_as_the_document_says() {
    let mut stack = Stack::start().await;
    let (viewer, releaser, operator) = (Role::Viewer, Role::Releaser, Role::Operator);
    let nothing = Some(json!({}));

    stack.asks("ann", releaser, "POST /v1/releases", release("1.4.0")).await;
    stack.asks("ann", releaser, "POST /v1/releases", release("1.5.0")).await;
    stack.asks("ann", releaser, "POST /v1/releases", Some(json!({ "version": "one" }))).await;
    stack.asks("ann", viewer, "GET /v1/releases?limit=1", None).await;
    stack.asks("ann", viewer, "GET /v1/releases?limit=none", None).await;
    stack.asks("ann", viewer, "GET /v1/releases/1.4.0", None).await;
    stack.asks("ann", viewer, "GET /v1/releases/9.9.9", None).await;

    let environment = |protected| Some(json!({ "services": ["gateway"], "protected": protected }));
    stack.asks("bob", operator, "PUT /v1/environments/staging", environment(false)).await;
    stack.asks("bob", operator, "PUT /v1/environments/production", environment(true)).await;
    stack.asks("bob", operator, "PUT /v1/environments/production", environment(true)).await;
    stack.asks("bob", operator, "PUT /v1/environments/production", environment(false)).await;
    stack.asks("ann", viewer, "GET /v1/environments", None).await;
    stack.asks("ann", viewer, "GET /v1/environments/production", None).await;

    let asked = Some(json!({ "release": "1.4.0" }));
    let ask_for = "POST /v1/environments/production/promotions";
    stack.asks("ann", releaser, "POST /v1/environments/staging/promotions", asked.clone()).await;
    let promotion = id(&stack.asks("ann", releaser, ask_for, asked.clone()).await);
    stack.asks("ann", operator, &format!("POST /v1/promotions/{promotion}/approve"), nothing.clone()).await;
    stack.asks("bob", operator, &format!("POST /v1/promotions/{promotion}/approve"), nothing.clone()).await;
    let promotion = id(&stack.asks("ann", releaser, ask_for, Some(json!({ "release": "1.5.0" }))).await);
    stack.asks("bob", operator, &format!("POST /v1/promotions/{promotion}/reject"), nothing.clone()).await;
    stack.asks("bob", operator, &format!("POST /v1/promotions/{promotion}/reject"), nothing.clone()).await;
    let promotion = id(&stack.asks("ann", releaser, ask_for, Some(json!({ "release": "1.5.0" }))).await);
    stack.asks("ann", releaser, &format!("POST /v1/promotions/{promotion}/withdraw"), nothing).await;
    stack.asks("ann", viewer, &format!("GET /v1/promotions/{promotion}"), None).await;
    stack.asks("ann", viewer, "GET /v1/environments/production/promotions", None).await;
    stack.asks("ann", viewer, "GET /v1/environments/production/desired", None).await;

    let healthy = Some(json!({ "release": "1.4.0", "health": "healthy" }));
    stack.asks("bob", operator, "POST /v1/environments/staging/observations", healthy).await;
    stack.asks("ann", viewer, "GET /v1/environments/staging/observations", None).await;
    stack.asks("ann", viewer, "GET /v1/audit?limit=2", None).await;

    let made =
        stack.asks("bob", operator, "POST /v1/tokens", Some(json!({ "name": "ci", "role": "viewer" }))).await;
    let secret = made.json()["secret"].as_str().expect("it is shown once").to_owned();
    stack.asks("bob", operator, "GET /v1/tokens", None).await;
    let seen = stack.shows(&secret, "GET /v1/audit", None).await;
    assert_eq!(seen.status, 200, "an API token is a client like any other");
    stack.asks("bob", operator, &format!("DELETE /v1/tokens/{}", id(&made)), None).await;

    // Each route answered well at least once, but the stream of events, which has a test of its own.
    let well: BTreeSet<&str> =
        stack.seen.iter().filter(|(_, status)| *status < 300).map(|(operation, _)| *operation).collect();
    let all =
        api::ROUTES.iter().filter(|route| route.exposure == Exposure::Public).map(|route| route.operation);
    let missing: Vec<&str> = all.filter(|operation| !well.contains(operation)).collect();
    assert_eq!(missing, ["followEvents"]);
}

#[tokio::test]
async fn no_route_is_open_to_nobody_or_to_a_role_that_is_too_small() {
    let mut stack = Stack::start().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for route in api::ROUTES.iter().filter(|route| route.exposure == Exposure::Public) {
        let path = route.path.replace("{id}", nil).replace("{name}", "nowhere").replace("{version}", "9.9.9");
        let line = format!("{} {path}", route.method.as_str());
        let answer = stack.shows("", &line, Some(json!({}))).await;
        assert_eq!(answer.status, 401, "{line}");
        if let Some(smaller) = Role::ALL.into_iter().rev().find(|role| !role.covers(route.role)) {
            let answer = stack.asks("ann", smaller, &line, Some(json!({}))).await;
            assert_eq!(answer.status, 403, "{line}");
            assert!(answer.json()["detail"].as_str().is_some_and(|text| text.contains(route.role.name())));
        }
    }
    // What is for the gateway alone is not there for anybody.
    let inner = Request::post("/internal/v1/tokens/resolve").body(Body::empty()).expect("it is a path");
    assert_eq!(stack.gateway.send(inner).await.status, 404);
}

#[tokio::test]
async fn changes_are_followed_through_the_gateway_as_they_happen() {
    let stack = Stack::start().await;
    let mut stream = tokio::net::TcpStream::connect(stack.gateway.address()).await.expect("it listens");
    let token = stack.key.signs(&claims("ann", "viewer"));
    let head = format!("GET /v1/events HTTP/1.1\r\nhost: slipway\r\nauthorization: Bearer {token}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("it reads");
    until(&mut stream, "content-type: text/event-stream").await;

    let token = stack.key.signs(&claims("ann", "releaser"));
    let request = Request::post("/v1/releases")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(release("1.4.0").unwrap_or_default().to_string().into())
        .expect("it is a path");
    assert_eq!(stack.gateway.send(request).await.status, 201);
    until(&mut stream, "event: release.recorded").await;
}

/// Reads until this text has come.
async fn until(stream: &mut tokio::net::TcpStream, wanted: &str) {
    let mut bytes = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&bytes).contains(wanted) {
            let more = tokio::io::AsyncReadExt::read_buf(stream, &mut bytes).await.expect("it sends");
            assert!(more > 0, "it ended after {}", String::from_utf8_lossy(&bytes));
        }
    };
    tokio::time::timeout(service::testing::DEADLINE, read).await.expect("it comes in time");
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_its_schemas_are_json_schemas() {
    let stack = Stack::start().await;
    let document = &stack.document;
    assert_eq!(document["openapi"], "3.1.0");
    let form: Value = serde_json::from_str(include_str!("openapi-3.1.json")).expect("it is JSON");
    let validator = Validator::new(&form).expect("it is a schema");
    let faults: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
    }
    let scheme = &document["components"]["securitySchemes"]["token"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
}
