//! API tokens, of which only control knows whether they hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use service::identity::{self, ApiToken, Identity, Verifier};
use service::testing::{DEADLINE, FakeUpstream, TestGateway};
use tokio::time::Instant;

use crate::tokens::{Key, KeysFile, text};
use crate::{World, gateway};

/// What control knows: each token's SHA-256 with its name and role, and how often it was asked.
#[derive(Clone, Default)]
struct Record {
    tokens: Arc<Mutex<BTreeMap<String, (&'static str, &'static str)>>>,
    asked: Arc<AtomicUsize>,
}

impl Record {
    /// A new token.
    fn has(&self, name: &'static str, role: &'static str) -> ApiToken {
        let token = ApiToken::generate().expect("the system has randomness");
        self.tokens.lock().expect("nobody panics").insert(hash(&token), (name, role));
        token
    }

    fn revokes(&self, token: &ApiToken) {
        self.tokens.lock().expect("nobody panics").remove(&hash(token));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn hash(token: &ApiToken) -> String {
    token.sha256().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Control's own answer: for the gateway alone, by the hash.
async fn resolve(State(record): State<Record>, who: Identity, body: axum::Json<Value>) -> Response {
    assert_eq!((who.subject.as_str(), who.role), ("gateway", identity::Role::Operator));
    record.asked.fetch_add(1, Ordering::Relaxed);
    let hash = body["sha256"].as_str().expect("it says which token");
    match record.tokens.lock().expect("nobody panics").get(hash) {
        Some((name, role)) => axum::Json(json!({
            "id": "0190f1c6-7b3e-7c3e-a3f0-5d6f0a3c9b11", "subject": format!("token/{name}"), "role": role,
            "expires_at": "2999-01-01T00:00:00Z",
        }))
        .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn who(who: Identity) -> String {
    format!("{} {}", who.subject, who.role)
}

/// A gateway in front of a control that verifies who asks.
async fn world(record: &Record, settings: &[(&str, &str)]) -> World {
    let identity = TestGateway::before("control");
    let routes = Router::new()
        .route("/v1/releases", get(who))
        .route("/internal/v1/tokens/resolve", post(resolve))
        .with_state(record.clone());
    let control =
        FakeUpstream::start(identity::guard(routes, Verifier::new(identity.keys(), "control"))).await;
    let key = Key::hs256("main");
    let keys = KeysFile::of(&[&key]);
    let binary = gateway()
        .env("CONTROL_URL", &control.url())
        .env("IDENTITY_KEY", identity.key())
        .env("TOKEN_KEYS_FILE", text(&keys.path()));
    let binary = settings.iter().fold(binary, |binary, (name, value)| binary.env(name, value));
    World { gateway: binary.start().await, control, key, identity, _keys: keys }
}

#[tokio::test]
async fn a_token_that_holds_is_its_owner_and_control_is_asked_once_for_many_requests() {
    let record = Record::default();
    let token = record.has("ci", "releaser");
    let world = world(&record, &[]).await;
    let asks = async || world.get_with(token.expose(), "/v1/releases").await.body;
    let (one, two, three) = tokio::join!(asks(), asks(), asks());
    assert_eq!([one, two, three], ["token/ci releaser"; 3]);
    assert_eq!(asks().await, "token/ci releaser");
    assert_eq!(record.asked(), 1);

    // No log has seen the token.
    let log = format!("{:?}", world.gateway.log());
    assert!(!log.contains(&token.expose()[8..40]), "{log}");
}

#[tokio::test]
async fn an_unknown_token_is_asked_about_once_and_a_mistyped_one_never() {
    let record = Record::default();
    let world = world(&record, &[]).await;
    let stranger = ApiToken::generate().unwrap();
    let asks = async || world.get_with(stranger.expose(), "/v1/releases").await;
    insta::assert_snapshot!(asks().await.summary(), @r#"401 {"code":"unauthenticated","detail":"the token is not known, has expired or was revoked"}"#);
    assert_eq!((asks().await.status.as_u16(), asks().await.status.as_u16()), (401, 401));
    assert_eq!(record.asked(), 1);
    let typo =
        format!("{}{}", &stranger.expose()[..75], if stranger.expose().ends_with('0') { "1" } else { "0" });
    insta::assert_snapshot!(world.get_with(&typo, "/v1/releases").await.summary(), @r#"401 {"code":"unauthenticated","detail":"the token is mistyped: its checksum does not fit"}"#);
    assert_eq!(record.asked(), 1);
}

#[tokio::test]
async fn a_revoked_token_ends_within_five_seconds() {
    let record = Record::default();
    let token = record.has("ci", "viewer");
    let world = world(&record, &[]).await;
    assert_eq!(world.get_with(token.expose(), "/v1/releases").await.status, 200);
    record.revokes(&token);
    let revoked = Instant::now();
    while world.get_with(token.expose(), "/v1/releases").await.status == 200 {
        // The test's own requests and a busy machine take a little, too.
        assert!(revoked.elapsed() < Duration::from_secs(7), "it still holds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.get_with(token.expose(), "/v1/releases").await.status, 401);
}

#[tokio::test]
async fn while_control_is_away_a_token_is_not_refused_but_cannot_be_judged() {
    let record = Record::default();
    let token = record.has("ci", "viewer");
    let mut world = world(&record, &[]).await;
    world.control.vanish().await;
    let answer = world.get_with(token.expose(), "/v1/releases").await;
    insta::assert_snapshot!(answer.summary(), @r#"503 {"code":"unavailable","detail":"the service is unavailable for now, try again later"}"#);
    assert_eq!(answer.headers["retry-after"], "1");

    // What could not be asked is not remembered.
    world.control.come_back().await;
    let give_up = Instant::now() + DEADLINE;
    while world.get_with(token.expose(), "/v1/releases").await.status != 200 {
        assert!(Instant::now() < give_up, "it is still not believed");
    }
}

#[tokio::test]
async fn who_guesses_tokens_soon_no_longer_gets_control_asked() {
    let record = Record::default();
    let known = record.has("ci", "viewer");
    let world = world(&record, &[("RATE_LIMIT_FAILED_PER_MINUTE", "3")]).await;
    assert_eq!(world.get_with(known.expose(), "/v1/releases").await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let guess = ApiToken::generate().unwrap();
        statuses.push(world.get_with(guess.expose(), "/v1/releases").await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    assert_eq!(record.asked(), 4);
    // A token that was just believed still is, from the same address.
    assert_eq!(world.get_with(known.expose(), "/v1/releases").await.status, 200);
}
