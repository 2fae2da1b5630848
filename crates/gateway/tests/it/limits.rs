//! What a client, or control, cannot do to the gateway: send too much, or make it wait for ever.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::World;

/// Control takes bodies whole.
fn takes_bodies() -> Router {
    Router::new().route("/v1/{*path}", any(async |body: axum::body::Bytes| body.len().to_string()))
}

/// Sends bytes as they are, nothing more, and reads until the gateway closes.
async fn send_and_wait(world: &World, bytes: &str) -> String {
    let mut stream = TcpStream::connect(world.gateway.address()).await.expect("it listens");
    stream.write_all(bytes.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    let read = tokio::time::timeout(service::testing::DEADLINE, stream.read_to_string(&mut answer)).await;
    read.expect("the gateway closes").expect("what it sends is text");
    answer
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413_also_when_it_does_not_say_its_length() {
    let world = World::with(takes_bodies(), &[("REQUEST_BODY_MAX_BYTES", "8")]).await;
    let post = |body: Body| world.send(Request::post("/v1/releases").body(body).unwrap());
    insta::assert_snapshot!(post("12345678".into()).await.summary(), @"200 8");
    insta::assert_snapshot!(post("123456789".into()).await.summary(), @r#"413 {"code":"body_too_large","detail":"the request body is larger than 8 bytes"}"#);

    let token = world.token();
    let head = format!(
        "POST /v1/releases HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let answer = send_and_wait(&world, &format!("{head}5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn who_sends_a_head_or_a_body_too_slowly_is_cut_off() {
    let limits = [("REQUEST_HEAD_TIMEOUT_S", "1"), ("REQUEST_BODY_TIMEOUT_S", "1")];
    let world = World::with(takes_bodies(), &limits).await;
    let silent = send_and_wait(&world, "");
    let half_a_head = send_and_wait(&world, "GET /v1/releases HTTP/1.1\r\nhost:");
    let (token, length) = (world.token(), "content-length: 9");
    let half = format!(
        "POST /v1/releases HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n1234"
    );
    let half_a_body = send_and_wait(&world, &half);
    let (silent, half_a_head, half_a_body) = tokio::join!(silent, half_a_head, half_a_body);
    assert_eq!(silent, "");
    assert!(half_a_head.is_empty() || half_a_head.starts_with("HTTP/1.1 408 "), "{half_a_head}");
    assert!(half_a_body.starts_with("HTTP/1.1 408 "), "{half_a_body}");
    assert!(half_a_body.contains("body_too_slow"), "{half_a_body}");
}

#[tokio::test]
async fn a_control_that_does_not_answer_in_time_is_a_504() {
    let never = Router::new().route("/v1/{*path}", any(std::future::pending::<&'static str>));
    let world = World::with(never, &[("UPSTREAM_FIRST_BYTE_TIMEOUT_S", "1")]).await;
    insta::assert_snapshot!(world.get("/v1/releases").await.summary(), @r#"504 {"code":"upstream_timeout","detail":"the service behind did not answer in time, try again later"}"#);
}
