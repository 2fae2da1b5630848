//! What reaches control, and what comes back.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::any;
use service::identity::{self, Identity, Role, Verifier};
use service::request_id::{self, RequestId};
use service::testing::until_status;

use crate::World;

/// Says what control was asked.
async fn echo(
    headers: HeaderMap,
    request: Request,
) -> (StatusCode, [(&'static str, HeaderValue); 4], String) {
    let told = headers.get(identity::HEADER).cloned().unwrap_or(HeaderValue::from_static("nothing"));
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| *name != "host" && *name != "x-forwarded-host" && *name != identity::HEADER)
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    let asked = format!("{} {}", request.method(), request.uri());
    let body = axum::body::to_bytes(request.into_body(), 1024).await.expect("the body arrives");
    let said = format!("{asked}\n{}\n\n{}", lines.join("\n"), String::from_utf8_lossy(&body));
    let ours = HeaderValue::from_static;
    let headers = [
        ("x-control", ours("yes")),
        ("keep-alive", ours("timeout=1")),
        ("x-slipway-epoch", ours("7")),
        ("x-told", told),
    ];
    (StatusCode::IM_A_TEAPOT, headers, said)
}

#[tokio::test]
async fn a_request_reaches_control_as_it_was_and_nobody_can_say_that_they_are_someone() {
    let world = World::new(Router::new().route("/v1/{*path}", any(echo))).await;
    let verifier = Verifier::new(world.identity.keys(), "control");
    let request = Request::post("/v1/releases?limit=3&x=%20")
        .header("content-type", "text/plain")
        .header("x-request-id", "r-7")
        .header("x-slipway-actor", "root")
        .header("x-slipway-roles", "admin")
        .header("x-slipway-identity", "forged")
        .header("x_slipway_identity", "forged")
        .header("cookie", "session=1")
        .header("idempotency-key", "k-1")
        .header("connection", "x-private")
        .header("x-private", "1")
        .body("hello".into())
        .unwrap();
    let answer = world.send(request).await;
    // What control is told of who asks is the gateway's own word, for this request.
    let token = answer.headers["x-told"].clone();
    let told = HeaderMap::from_iter([(identity::HEADER, token)]);
    let who = verifier
        .read(&told, &RequestId::of(&HeaderMap::from_iter([(request_id::HEADER, "r-7".parse().unwrap())])));
    let ann = Identity { subject: "ann".to_owned(), role: Role::Operator, request_id: "r-7".to_owned() };
    assert_eq!(who, Ok(ann));
    insta::with_settings!({filters => vec![("00-[0-9a-f]{32}-[0-9a-f]{16}-00", "[traceparent]")]}, {
        insta::assert_snapshot!(answer.body, @"
        POST /v1/releases?limit=3&x=%20
        content-length: 5
        content-type: text/plain
        idempotency-key: k-1
        traceparent: [traceparent]
        x-forwarded-for: 127.0.0.1
        x-forwarded-proto: http
        x-request-id: r-7

        hello
        ");
    });
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.headers["x-control"], "yes");
    assert_eq!(answer.headers["x-request-id"], "r-7");
    assert!(!answer.headers.contains_key("keep-alive"));
    assert!(
        !answer.headers.contains_key("x-slipway-epoch"),
        "what services tell each other stays among them"
    );

    let line = world.gateway.until_logged(|line| line["route"] == "/v1/releases").await;
    assert_eq!(
        (&line["request_id"], &line["status"], &line["method"]),
        (&"r-7".into(), &418.into(), &"POST".into())
    );
}

#[tokio::test]
async fn what_is_not_in_the_api_is_not_forwarded() {
    let world = World::new(Router::new().fallback(async || "control was asked")).await;
    insta::assert_snapshot!(world.gateway.get("/").await.summary(), @r#"404 {"code":"not_found","detail":"`/` does not exist"}"#);
    insta::assert_snapshot!(world.get("/v2/releases").await.summary(), @r#"404 {"code":"not_found","detail":"`/v2/releases` does not exist"}"#);
}

#[tokio::test]
async fn without_control_a_request_is_a_502_and_readiness_says_which_check_fails_until_it_returns() {
    let mut world = World::new(Router::new().route("/v1/{*path}", any(async || "ok"))).await;
    insta::assert_snapshot!(world.gateway.get("/health/ready").await.summary(), @r#"200 {"checks":{"control":"ok"},"status":"ready"}"#);

    world.control.vanish().await;
    let unready = until_status(503, || world.gateway.get("/health/ready")).await;
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1:\d+", "[control]")]}, {
        insta::assert_snapshot!(unready.summary(), @r#"503 {"checks":{"control":"cannot connect to `[control]`: client error (Connect): tcp connect error: Connection refused (os error 111)"},"status":"unready"}"#);
    });
    insta::assert_snapshot!(world.gateway.get("/health/live").await.summary(), @r#"200 {"status":"live"}"#);
    insta::assert_snapshot!(world.get("/v1/releases").await.summary(), @r#"502 {"code":"upstream_unreachable","detail":"the service behind cannot be reached, try again later"}"#);

    assert_eq!(
        world.gateway.metric(r#"gateway_upstream_errors_total{reason="unreachable"}"#).await,
        Some(1.0)
    );

    world.control.come_back().await;
    until_status(200, || world.gateway.get("/health/ready")).await;
    insta::assert_snapshot!(world.get("/v1/releases").await.summary(), @r#"200 "ok""#);
}
