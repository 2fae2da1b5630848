//! What a client cannot take, and how it is told.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use service::testing::{DEADLINE, figures};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::World;

async fn world(settings: &[(&str, &str)]) -> World {
    World::with(Router::new().fallback(async || "upstream"), settings).await
}

/// Sends bytes and reads until the proxy closes.
async fn sends(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.proxy.address()).await.expect("it listens");
    stream.write_all(bytes).await.ok();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("it closes"));
    String::from_utf8(answer).expect("it is text")
}

/// The last answer's status line, and what of its problem is no identifier.
fn told(answer: &str) -> String {
    let last = answer.rsplit_once("HTTP/1.1 ").map_or("", |(_, last)| last);
    let (head, body) = last.split_once("\r\n\r\n").unwrap_or((last, ""));
    let status = head.lines().next().unwrap_or_default();
    let Ok(problem) = serde_json::from_str::<serde_json::Value>(body) else {
        return format!("{status}: no problem");
    };
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    assert!(head.contains(&format!("x-request-id: {}\r\n", text("request_id"))), "{answer}");
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    format!("{status}: {}", text("code"))
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_problem_also_after_one_that_was() {
    let world = world(&[("REQUEST_HEADERS_MAX", "8"), ("REQUEST_HEAD_MAX_BYTES", "8192")]).await;
    let good = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let many: String = (0..9).map(|n| format!("h{n}: 1\r\n")).collect();
    insta::assert_snapshot!(told(&sends(&world, b"\x16\x03\x01\x02\x00\r\n\r\n").await), @"400 Bad Request: malformed_request");
    insta::assert_snapshot!(told(&sends(&world, format!("{good}GET\r\n\r\n").as_bytes()).await), @"400 Bad Request: malformed_request");
    insta::assert_snapshot!(told(&sends(&world, format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()).await), @"431 Request Header Fields Too Large: head_too_large");
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(9000));
    insta::assert_snapshot!(told(&sends(&world, long.as_bytes()).await), @"431 Request Header Fields Too Large: head_too_large");
    assert_eq!(world.proxy.metric(r#"http_server_refused_total{reason="malformed"}"#).await, Some(2.0));
    assert_eq!(world.proxy.metric(r#"http_server_refused_total{reason="too_large"}"#).await, Some(2.0));
    world.proxy.until_logged(|line| line["message"] == "refused" && line["request_id"].is_string()).await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_free_place_is_given_again() {
    let world = world(&[("CONNECTIONS_MAX", "2")]).await;
    let mut wire = world.wire().await;
    wire.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(wire.head().await[0], "HTTP/1.1 200 OK");
    let _second = TcpStream::connect(world.proxy.address()).await.unwrap();
    until(&world, "http_server_connections{}", 2.0).await;

    let refused = sends(&world, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    insta::assert_snapshot!(told(&refused), @"503 Service Unavailable: too_many_connections");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert_eq!(world.proxy.metric(r#"http_server_refused_total{reason="connections_max"}"#).await, Some(1.0));
    drop(wire);
    until(&world, "http_server_connections{}", 1.0).await;
    assert_eq!(world.proxy.get("/").await.status.as_u16(), 200);
}

#[tokio::test]
async fn who_does_not_read_and_who_is_connected_for_too_long_is_cut_off() {
    let endless = async || "x".repeat(64 << 20);
    let settings = [("SEND_TIMEOUT_S", "1"), ("CONNECTION_AGE_MAX_S", "2")];
    let world = World::with(Router::new().fallback(endless), &settings).await;

    let mut wire = world.wire().await;
    wire.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until(&world, r#"http_server_refused_total{reason="send_timeout"}"#, 1.0).await;
    world.proxy.until_logged(|line| line["message"] == "answer cut off").await;

    let idle = sends(&world, b"");
    assert_eq!(tokio::time::timeout(Duration::from_secs(8), idle).await.expect("its age ends it"), "");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_a_503_in_time() {
    let never = Router::new().fallback(std::future::pending::<&'static str>);
    let world = World::with(never, &[("REQUEST_TIMEOUT_S", "1")]).await;
    let late = world.proxy.get("/slow").await;
    insta::assert_snapshot!(late.summary(), @r#"503 {"code":"request_timeout","detail":"the service did not come to an answer in time, try again later"}"#);
    assert_eq!(late.headers["retry-after"], "2");
}

#[tokio::test]
async fn a_thousand_paths_and_methods_are_a_handful_of_series() {
    let world = world(&[]).await;
    world.proxy.get("/first").await;
    let series = async || world.proxy.metrics().await.lines().filter(|line| !line.starts_with('#')).count();
    let before = series().await;
    for n in 0..500 {
        world.proxy.get(&format!("/path/{n}/{}", "x".repeat(n % 50))).await;
        let method = Method::from_bytes(format!("M{n}").as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(format!("/other/{n}"));
        world.proxy.send(request.body(Body::empty()).unwrap()).await;
    }
    // One more method, `OTHER`: its counters, and its histogram.
    let more = series().await - before;
    assert!(more <= 20, "{more} more series:\n{}", world.proxy.metrics().await);
    let counted = r#"http_server_requests_total{method="OTHER",route="/{*path}",status="200"}"#;
    assert_eq!(world.proxy.metric(counted).await, Some(500.0));
}

async fn until(world: &World, series: &str, wanted: f64) {
    let give_up = tokio::time::Instant::now() + DEADLINE;
    loop {
        let now = world.proxy.metric(series).await;
        if now == Some(wanted) {
            return;
        }
        assert!(tokio::time::Instant::now() < give_up, "`{series}` is {now:?}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The table says what there is: nothing more, and nothing less.
#[tokio::test]
async fn every_figure_is_in_the_table_of_figures() {
    let world = world(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]).await;
    world.proxy.get("/").await;
    let metrics = world.proxy.metrics().await;
    let table = include_str!("../../../../.config/prometheus/README.md");
    // Only a panic makes its series; the family is there before.
    assert_eq!(figures::told(&metrics), figures::listed(table, &["Of every service"]));
}
