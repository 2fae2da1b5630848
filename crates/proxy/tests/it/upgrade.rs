//! WebSocket and its like: after the switch of protocols, bytes pass both ways.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use hyper_util::rt::TokioIo;

use crate::{Wire, World};

const SWITCH: &str = "GET /socket HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";

/// Agrees to switch to `echo`, which sends everything back.
async fn echo(mut request: Request) -> Response {
    let agreed = request.headers().get("upgrade").is_some_and(|protocol| protocol == "echo");
    if !agreed {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(TokioIo::new(switched.await.expect("both agreed")));
        tokio::io::copy(&mut from, &mut to).await.expect("the tunnel holds");
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "echo")]).into_response()
}

async fn switched(world: &World) -> Wire {
    let mut wire = world.wire().await;
    wire.send(SWITCH).await;
    let head = wire.head().await;
    assert_eq!(head[0], "HTTP/1.1 101 Switching Protocols");
    assert!(head.contains(&"upgrade: echo".to_owned()), "{head:?}");
    wire
}

#[tokio::test]
async fn bytes_pass_both_ways_after_the_switch() {
    let world = World::new(Router::new().route("/socket", any(echo))).await;
    let mut wire = switched(&world).await;
    for said in ["ping\n", "pong\n"] {
        wire.send(said).await;
        assert_eq!(wire.line().await, said.trim());
    }
    drop(wire);
    world
        .proxy
        .until_logged(|line| line["message"] == "tunnel closed" && line["request_id"].is_string())
        .await;
}

#[tokio::test]
async fn an_upstream_that_does_not_switch_is_heard() {
    let world = World::new(Router::new().route("/socket", any(echo))).await;
    let mut wire = world.wire().await;
    wire.send(&SWITCH.replace("echo", "other")).await;
    assert_eq!(wire.head().await[0], "HTTP/1.1 426 Upgrade Required");
}

#[tokio::test]
async fn the_drain_waits_for_an_open_tunnel() {
    let world = World::new(Router::new().route("/socket", any(echo))).await;
    let mut wire = switched(&world).await;
    world.proxy.terminate();
    world.proxy.until_logged(|line| line["message"] == "stopping").await;
    wire.send("still here\n").await;
    assert_eq!(wire.line().await, "still here");
    drop(wire);
    let finished = world.proxy.finished().await;
    assert_eq!(finished.status.code(), Some(0));
    assert!(finished.stderr.contains(r#""message":"drained""#), "{}", finished.stderr);
}
