//! Which signed tokens are believed, and what is said of those that are not.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use serde_json::{Value, json};
use service::testing::{Answer, DEADLINE, Running};

use crate::tokens::{Key, KeysFile, claims, encoded, mac, now, set, text};
use crate::{World, gateway};

fn routes() -> Router {
    Router::new().route("/v1/releases", get(async || "released").post(async || "recorded"))
}

/// Status, challenge and what is said, on one line.
fn told(answer: &Answer) -> String {
    let challenge = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap_or_default());
    format!("{} {}", answer.status.as_u16(), challenge.unwrap_or("-"))
}

/// A gateway that knows these keys.
struct Keyed {
    world: World,
    file: KeysFile,
}

impl Keyed {
    async fn with(keys: &[&Key]) -> Self {
        let file = KeysFile::of(keys);
        let world = World::with(
            routes(),
            &[("TOKEN_KEYS_FILE", text(&file.path())), ("RATE_LIMIT_FAILED_PER_MINUTE", "1000")],
        )
        .await;
        Self { world, file }
    }

    async fn asks(&self, token: &str) -> String {
        told(&self.world.get_with(token, "/v1/releases").await)
    }

    /// Waits until a figure has this value.
    async fn until_figure(&self, name: &str, wanted: f64) {
        let give_up = tokio::time::Instant::now() + DEADLINE;
        while self.world.gateway.metric(name).await != Some(wanted) {
            assert!(tokio::time::Instant::now() < give_up, "{name} is still not {wanted}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits until a token is answered so.
    async fn until(&self, token: &str, status: u16) {
        let give_up = tokio::time::Instant::now() + DEADLINE;
        while self.world.get_with(token, "/v1/releases").await.status != status {
            assert!(tokio::time::Instant::now() < give_up, "still not {status}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

fn with(claims: &Value, changes: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => claims.as_object_mut().and_then(|claims| claims.remove(name)),
            value => claims.as_object_mut().and_then(|claims| claims.insert(name.clone(), value.clone())),
        };
    }
    claims
}

#[tokio::test]
async fn both_kinds_of_keys_are_believed_and_a_token_must_say_which_one_signed_it() {
    let (one, two) = (Key::hs256("one"), Key::ed25519("two"));
    let gateway = Keyed::with(&[&one, &two]).await;
    let good = claims("ann", "viewer");
    assert_eq!(gateway.asks(&one.signs(&good)).await, "200 -");
    assert_eq!(gateway.asks(&two.signs(&good)).await, "200 -");

    let nameless = two.signs_under(&json!({ "alg": "EdDSA" }), &good);
    insta::assert_snapshot!(gateway.asks(&nameless).await, @r#"401 Bearer realm="slipway", error="invalid_token", error_description="the token names no key that is known here""#);
    let other = Key::ed25519("three").signs(&good);
    insta::assert_snapshot!(gateway.asks(&other).await, @r#"401 Bearer realm="slipway", error="invalid_token", error_description="the token names no key that is known here""#);
    // Another key under a name that is known.
    insta::assert_snapshot!(gateway.asks(&Key::ed25519("two").signs(&good)).await, @r#"401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid""#);

    // With a single key there is nothing to choose.
    let single = Keyed::with(&[&two]).await;
    assert_eq!(single.asks(&nameless).await, "200 -");
}

#[tokio::test]
async fn no_token_chooses_how_a_key_is_used() {
    let (shared, pair) = (Key::hs256("shared"), Key::ed25519("pair"));
    let gateway = Keyed::with(&[&shared, &pair]).await;
    let good = claims("mallory", "operator");
    let body = encoded(good.to_string());
    let under = |header: &Value| format!("{}.{body}", encoded(header.to_string()));

    // The public key is public: whoever takes it for an HMAC's secret can sign.
    let public = pair.public()["x"].as_str().expect("it has a public part").to_owned();
    let confused = under(&json!({ "alg": "HS256", "kid": "pair" }));
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &public).unwrap();
    for secret in [bytes, public.into_bytes(), pair.public().to_string().into_bytes()] {
        assert!(gateway.asks(&format!("{confused}.{}", mac(&secret, &confused))).await.starts_with("401 "));
    }
    for header in [
        json!({ "alg": "none", "kid": "shared" }),
        json!({ "alg": "None", "kid": "shared" }),
        json!({ "kid": "shared" }),
        json!({ "alg": "EdDSA", "kid": "shared" }),
        json!({ "alg": "HS512", "kid": "shared" }),
        json!({ "alg": "RS256", "kid": "shared" }),
        json!({ "alg": "hs256", "kid": "shared" }),
        json!({ "alg": "HS256", "kid": "shared", "crit": ["b64"], "b64": false }),
        // A key that the token brings itself is nobody's.
        json!({ "alg": "EdDSA", "jwk": Key::ed25519("mine").public() }),
        json!({ "alg": "HS256", "kid": ["shared"] }),
    ] {
        let message = under(&header);
        assert!(gateway.asks(&format!("{message}.")).await.starts_with("401 "), "unsigned: {header}");
        let signed = shared.signs_under(&header, &good);
        assert!(gateway.asks(&signed).await.starts_with("401 "), "signed: {header}");
    }
    let right = shared.signs(&good);
    let (message, signature) = right.rsplit_once('.').expect("it has three parts");
    for wrong in [
        format!("{message}."),
        message.to_owned(),
        format!("{message}.{signature}."),
        format!("{message}.{}", &signature[1..]),
        "..".to_owned(),
        "a".repeat(9000),
    ] {
        assert!(gateway.asks(&wrong).await.starts_with("401 "), "{wrong}");
    }
    assert_eq!(gateway.asks(&right).await, "200 -");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told_in_general_terms() {
    let world = World::with(routes(), &[("RATE_LIMIT_FAILED_PER_MINUTE", "100")]).await;
    let good = claims("ann", "viewer");
    let mut lines = Vec::new();
    for (what, changes) in [
        ("nothing", json!({})),
        ("expired", json!({ "exp": now() - 31 })),
        ("expired within the skew", json!({ "exp": now() - 5 })),
        ("not yet valid", json!({ "nbf": now() + 60 })),
        ("not yet, within the skew", json!({ "nbf": now() + 20 })),
        ("another audience", json!({ "aud": "other" })),
        ("one of two audiences", json!({ "aud": ["other", "slipway"] })),
        ("another issuer", json!({ "iss": "other" })),
        ("no expiry", json!({ "exp": null })),
        ("no audience", json!({ "aud": null })),
        ("no issuer", json!({ "iss": null })),
        ("no subject", json!({ "sub": null })),
        ("an empty subject", json!({ "sub": "" })),
        ("a subject with a line's end", json!({ "sub": "ann\nbob" })),
        ("the subject of an API token", json!({ "sub": "token/ci" })),
        ("an expiry that is no number", json!({ "exp": "tomorrow" })),
        ("a start that is no number", json!({ "nbf": "tomorrow" })),
        ("a role that is no text", json!({ "role": 7 })),
    ] {
        let answer = world.get_with(&world.key.signs(&with(&good, &changes)), "/v1/releases").await;
        lines.push(format!("{what}: {}", told(&answer)));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    nothing: 200 -
    expired: 401 Bearer realm="slipway", error="invalid_token", error_description="the token has expired"
    expired within the skew: 200 -
    not yet valid: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid yet"
    not yet, within the skew: 200 -
    another audience: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is meant for another audience"
    one of two audiences: 200 -
    another issuer: 401 Bearer realm="slipway", error="invalid_token", error_description="the token comes from another issuer"
    no expiry: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    no audience: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    no issuer: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    no subject: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    an empty subject: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    a subject with a line's end: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    the subject of an API token: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    an expiry that is no number: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    a start that is no number: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    a role that is no text: 401 Bearer realm="slipway", error="invalid_token", error_description="the token is not valid"
    "#);
    insta::assert_snapshot!(told(&world.gateway.get("/v1/releases").await), @r#"401 Bearer realm="slipway""#);
    let basic =
        Request::get("/v1/releases").header("authorization", "Basic YW5uOmFubg").body(Body::empty()).unwrap();
    insta::assert_snapshot!(told(&world.gateway.send(basic).await), @r#"401 Bearer realm="slipway""#);
    let twice = Request::get("/v1/releases")
        .header("authorization", format!("Bearer {}", world.token()))
        .header("authorization", format!("Bearer {}", world.token()));
    insta::assert_snapshot!(world.gateway.send(twice.body(Body::empty()).unwrap()).await.summary(), @r#"400 {"code":"repeated_header","detail":"the header `authorization` may be sent only once"}"#);
}

#[tokio::test]
async fn the_largest_role_counts_and_one_that_is_too_small_is_told_which_is_needed() {
    let world = World::new(routes()).await;
    let records = async |claims: Value| {
        let request = Request::post("/v1/releases").body(Body::empty()).expect("it is a path");
        world.send_with(&world.key.signs(&claims), request).await
    };
    let good = claims("ann", "viewer");
    let roles = json!({ "role": null, "roles": ["viewer", "admin-of-something-else", "releaser"] });
    assert_eq!(records(with(&good, &roles)).await.body, "recorded");
    assert_eq!(records(claims("ann", "operator")).await.body, "recorded");

    let viewer = records(good.clone()).await;
    insta::assert_snapshot!(told(&viewer), @r#"403 Bearer realm="slipway", error="insufficient_scope", scope="releaser""#);
    insta::assert_snapshot!(viewer.summary(), @r#"403 {"code":"forbidden","detail":"this needs the role `releaser`, and yours is `viewer`"}"#);
    let none = records(with(&good, &json!({ "role": "root" }))).await;
    insta::assert_snapshot!(none.summary(), @r#"403 {"code":"forbidden","detail":"this needs the role `releaser`, and you have none"}"#);
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart_and_a_broken_file_keeps_the_old_ones() {
    let (old, new) = (Key::ed25519("old"), Key::ed25519("new"));
    let gateway = Keyed::with(&[&old]).await;
    let good = claims("ann", "viewer");
    let (by_old, by_new) = (old.signs(&good), new.signs(&good));
    assert_eq!(gateway.asks(&by_old).await, "200 -");
    assert!(gateway.asks(&by_new).await.starts_with("401 "));

    gateway.file.holds(&set(&[&old, &new]));
    gateway.until(&by_new, 200).await;
    assert_eq!(gateway.asks(&by_old).await, "200 -");

    gateway.file.holds(r#"{"keys": ["#);
    unusable(&gateway.world.gateway, "no JSON Web Key Set").await;
    assert_eq!(gateway.asks(&by_old).await, "200 -");
    gateway.file.remove();
    unusable(&gateway.world.gateway, "cannot be read").await;
    assert_eq!(gateway.asks(&by_new).await, "200 -");
    let figure = async |name: &str| gateway.world.gateway.metric(name).await;
    assert_eq!(
        (figure("gateway_token_keys{}").await, figure("gateway_token_keys_stale{}").await),
        (Some(2.0), Some(1.0))
    );

    gateway.file.holds(&set(&[&new]));
    gateway.until(&by_old, 401).await;
    assert_eq!(gateway.asks(&by_new).await, "200 -");
    gateway.until_figure("gateway_token_keys_stale{}", 0.0).await;
    assert_eq!(figure("gateway_token_keys{}").await, Some(1.0));
    let refused = r#"gateway_authentications_total{kind="jwt",outcome="unknown_key"}"#;
    assert!(figure(refused).await >= Some(2.0));
}

async fn unusable(gateway: &Running, why: &str) {
    gateway
        .until_logged(|line| {
            let told = line["message"] == "the keys for tokens cannot be used; those from before stay";
            told && line["error"].as_str().is_some_and(|error| error.contains(why))
        })
        .await;
}

#[tokio::test]
async fn without_a_file_of_keys_no_signed_token_is_believed() {
    let world = World::with(routes(), &[("TOKEN_KEYS_FILE", "")]).await;
    assert!(told(&world.get("/v1/releases").await).starts_with("401 "));
    assert_eq!(world.gateway.metric("gateway_token_keys{}").await, Some(0.0));
}

#[tokio::test]
async fn a_file_of_keys_that_cannot_be_used_is_refused_at_the_start_with_the_reason() {
    let file = KeysFile::of(&[]);
    let mut lines = Vec::new();
    let (secret, pair) = (Key::hs256("a"), Key::ed25519("b"));
    let short = json!({ "keys": [{ "kty": "oct", "kid": "a", "k": encoded("short") }] });
    let rsa = json!({ "keys": [{ "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB" }] });
    let mut other = pair.public();
    other["alg"] = "HS256".into();
    let mut encrypts = pair.public();
    encrypts["use"] = "enc".into();
    let mut nameless = secret.public();
    nameless.as_object_mut().unwrap().remove("kid");
    for text in [
        "not JSON".to_owned(),
        json!({ "keys": [] }).to_string(),
        json!({ "keys": [secret.public(), secret.public()] }).to_string(),
        json!({ "keys": [pair.public(), nameless] }).to_string(),
        json!({ "keys": [pair.private()] }).to_string(),
        json!({ "keys": [secret.public(), other] }).to_string(),
        json!({ "keys": [encrypts] }).to_string(),
        short.to_string(),
        rsa.to_string(),
    ] {
        file.holds(&text);
        lines.push(refused(&file).await);
    }
    file.remove();
    lines.push(refused(&file).await);
    insta::assert_snapshot!(lines.join("\n"), @"
    it is no JSON Web Key Set (line 1, column 2)
    it holds no key of the kinds `OKP` with `Ed25519` and `oct`
    two keys have the `kid` `a`
    where there is more than one key each needs a `kid`
    key 1: it is a private key: whoever only verifies must not have it
    key 2: its `alg` is none that its `kty` is used with here (`OKP`: `EdDSA`, `oct`: `HS256`)
    key 1: its `use` is not `sig`
    key 1: its `k` has less than 32 bytes
    it holds no key of the kinds `OKP` with `Ed25519` and `oct`
    it cannot be read (entity not found)
    ");
}

/// What the gateway says of its file of keys, but for the file's name.
async fn refused(file: &KeysFile) -> String {
    let key = "k".repeat(40);
    let run = gateway().env("TOKEN_KEYS_FILE", text(&file.path())).env("IDENTITY_KEY", &key).run(&[]).await;
    assert_eq!(run.status.code(), Some(2), "{}", run.stderr);
    let line = run.stderr.lines().next().unwrap_or_default().to_owned();
    line.rsplit_once("(`oct`): ").map_or(line.clone(), |(_, reason)| reason.to_owned())
}

#[tokio::test]
async fn a_token_can_be_made_on_the_command_line_with_either_kind_of_key() {
    let (shared, pair) = (Key::hs256("shared"), Key::ed25519("pair"));
    let gateway_of = Keyed::with(&[&shared, &pair]).await;
    let pair_file = gateway_of.file.beside("pair.json", &pair.private().to_string());
    let make = async |file: &str, arguments: &[&str]| {
        let all: Vec<&str> = ["token", "--subject", "ann"].iter().chain(arguments).copied().collect();
        gateway().env("TOKEN_KEYS_FILE", file).run(&all).await
    };
    let set_file = gateway_of.file.path();
    for file in [text(&set_file), text(&pair_file)] {
        let made = make(file, &["--role", "viewer", "--ttl", "60"]).await;
        assert_eq!((made.status.code(), made.stderr.as_str()), (Some(0), ""));
        assert_eq!(gateway_of.asks(made.stdout.trim_end()).await, "200 -");
    }
    let stale = make(text(&set_file), &["--role", "viewer", "--ttl", "0"]).await;
    assert_eq!(gateway_of.asks(stale.stdout.trim_end()).await, "200 -", "the clock's skew is granted");

    // The set has only the pair's public half.
    let cannot = make(text(&set_file), &["--role", "viewer", "--kid", "pair"]).await;
    let told = cannot.refusal().replace(text(&set_file), "[file]");
    insta::assert_snapshot!(told, @"
    exit 1
    gateway: `[file]` holds no key `pair` that signs: a secret (`oct`) or an Ed25519 pair with its private half
    ");
    let wrong = make(text(&set_file), &["--role", "root"]).await;
    insta::assert_snapshot!(wrong.refusal(), @"
    exit 2
    error: invalid value 'root' for '--role <ROLE>': expected `viewer`, `releaser` or `operator`

    For more information, try '--help'.
    ");
}
