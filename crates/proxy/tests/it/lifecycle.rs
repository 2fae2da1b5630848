//! Starting, saying what is wrong, and following the upstream's health.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use service::testing::until_status;

use crate::{World, proxy};

#[tokio::test]
async fn it_is_ready_while_its_upstream_is_there_and_only_then() {
    let mut world = World::new(Router::new().fallback(async || "upstream")).await;
    insta::assert_snapshot!(world.proxy.get("/health/ready").await.summary(), @r#"200 {"checks":{"upstream":"ok"},"status":"ready"}"#);
    world.upstream.vanish().await;
    until_status(503, || world.proxy.get("/health/ready")).await;
    insta::assert_snapshot!(world.proxy.get("/").await.summary(), @r#"502 {"code":"upstream_unreachable","detail":"the service behind cannot be reached, try again later"}"#);
    insta::assert_snapshot!(world.proxy.get("/health/live").await.summary(), @r#"200 {"status":"live"}"#);
    world.upstream.come_back().await;
    until_status(200, || world.proxy.get("/health/ready")).await;
    insta::assert_snapshot!(world.proxy.get("/").await.summary(), @r#"200 "upstream""#);
    assert_eq!(world.proxy.stop().await.status.code(), Some(0));
}

#[tokio::test]
async fn every_path_and_status_passes_and_a_client_cannot_say_where_it_comes_from() {
    let from = async |headers: HeaderMap| headers["x-forwarded-for"].to_str().unwrap().to_owned();
    let world = World::new(Router::new().route("/from", get(from))).await;
    let request = axum::extract::Request::get("/from").header("x-forwarded-for", "203.0.113.9");
    let answer = world.proxy.send(request.body(axum::body::Body::empty()).unwrap()).await;
    insta::assert_snapshot!(answer.summary(), @r#"200 "127.0.0.1""#);
    // The upstream's own 404, which has no body.
    insta::assert_snapshot!(world.proxy.get("/deep/er?x=1").await.summary(), @r#"404 """#);
}

#[tokio::test]
async fn without_an_upstream_it_does_not_start() {
    insta::assert_snapshot!(proxy().run(&[]).await.refusal(), @"
    exit 2
    proxy: `UPSTREAM_URL` is not set, expected an `http://` URL without path such as `http://127.0.0.1:8001`
    proxy: `proxy --help` lists every setting
    ");
    let dead = proxy().env("LISTEN", "127.0.0.1:1").run(&["healthcheck"]).await;
    insta::assert_snapshot!(dead.refusal(), @"
    exit 1
    proxy: no answer from `127.0.0.1:1`: Connection refused (os error 111)
    ");
}

#[tokio::test]
async fn help_names_the_port_of_the_manifest() {
    let port = service::testing::manifest_port(env!("CARGO_MANIFEST_DIR"));
    let help = proxy().run(&["--help"]).await.stdout;
    assert!(help.contains(&format!("default `0.0.0.0:{port}`")), "{help}");
}
