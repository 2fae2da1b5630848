//! How often one client may ask, and how it is told.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use service::testing::Answer;

use crate::World;
use crate::tokens::claims;

fn routes() -> Router {
    Router::new().route("/v1/releases", get(async || "released"))
}

/// Status and the headers that say where the client stands; times, which pass meanwhile, left out.
fn told(answer: &Answer) -> String {
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let left = header("ratelimit").unwrap_or("-");
    let left = left.split(";t=").next().unwrap_or_default();
    let retry = if header("retry-after").is_some() { ", retry later" } else { "" };
    format!("{} {} {left}{retry}", answer.status.as_u16(), header("ratelimit-policy").unwrap_or("-"))
}

fn from(address: &str) -> Request {
    let request = Request::get("/v1/releases").header("x-forwarded-for", address);
    request.body(Body::empty()).expect("it is a path")
}

#[tokio::test]
async fn each_subject_has_its_own_bucket_and_is_told_what_is_left() {
    let world = World::with(routes(), &[("RATE_LIMIT_PER_MINUTE", "3")]).await;
    let (ann, bob) = (world.token(), world.key.signs(&claims("bob", "viewer")));
    let mut lines = Vec::new();
    for token in [&ann, &ann, &ann, &ann, &bob] {
        lines.push(told(&world.get_with(token, "/v1/releases").await));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    200 "subject";q=3;w=60 "subject";r=2
    200 "subject";q=3;w=60 "subject";r=1
    200 "subject";q=3;w=60 "subject";r=0
    429 "subject";q=3;w=60 "subject";r=0, retry later
    200 "subject";q=3;w=60 "subject";r=2
    "#);
    let refused = world.get_with(&ann, "/v1/releases").await;
    insta::assert_snapshot!(refused.summary(), @r#"429 {"code":"rate_limited","detail":"too many requests; `retry-after` says in how many seconds the next one is let through"}"#);
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(world.gateway.metric(r#"gateway_rate_limited_total{policy="subject"}"#).await, Some(2.0));
}

#[tokio::test]
async fn who_shows_no_token_is_counted_by_address_and_who_shows_a_wrong_one_more_strictly() {
    let limits = [("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "4"), ("RATE_LIMIT_FAILED_PER_MINUTE", "2")];
    let world = World::with(routes(), &limits).await;
    let mut lines = Vec::new();
    for path in ["/v1/releases", "/openapi.json", "/nowhere", "/v1//releases", "/openapi.json", "/nowhere"] {
        lines.push(format!("{path} {}", told(&world.gateway.get(path).await)));
    }
    for _ in 0..3 {
        lines.push(format!("a wrong token {}", told(&world.get_with("a.b.c", "/v1/releases").await)));
    }
    // Who is behind the same address and has a token is not hindered, and neither are those who look after the service.
    lines.push(format!("a right token {}", told(&world.get("/v1/releases").await)));
    lines.push(format!("health {}", told(&world.gateway.get("/health/ready").await)));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    /v1/releases 401 "address";q=4;w=60 "address";r=3
    /openapi.json 200 "address";q=4;w=60 "address";r=2
    /nowhere 404 "address";q=4;w=60 "address";r=1
    /v1//releases 400 "address";q=4;w=60 "address";r=0
    /openapi.json 429 "address";q=4;w=60 "address";r=0, retry later
    /nowhere 429 "address";q=4;w=60 "address";r=0, retry later
    a wrong token 401 "failed";q=2;w=60 "failed";r=1
    a wrong token 401 "failed";q=2;w=60 "failed";r=0
    a wrong token 429 "failed";q=2;w=60 "failed";r=0, retry later
    a right token 200 "subject";q=600;w=60 "subject";r=599
    health 200 - -
    "#);
}

#[tokio::test]
async fn an_address_is_what_the_trusted_proxy_says_and_nobody_elses_word() {
    let once = ("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "1");
    let trusting = World::with(routes(), &[once, ("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let statuses = async |world: &World, addresses: &[&str]| {
        let mut statuses = Vec::new();
        for address in addresses {
            statuses.push(world.gateway.send(from(address)).await.status.as_u16());
        }
        statuses
    };
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "198.51.100.9, 192.0.2.2", "198.51.100.9"];
    assert_eq!(statuses(&trusting, &addresses).await, [401, 401, 429, 429, 401]);

    let trusting_nobody = World::with(routes(), &[once]).await;
    assert_eq!(statuses(&trusting_nobody, &addresses).await, [401, 429, 429, 429, 429]);
}
