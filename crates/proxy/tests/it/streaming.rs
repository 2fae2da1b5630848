//! Bodies pass as they come, in both directions.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use service::testing::DEADLINE;
use tokio::sync::mpsc;

use crate::World;

#[tokio::test]
async fn the_first_piece_of_an_answer_arrives_before_the_second_exists() {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let body = Arc::new(Mutex::new(Some(Body::new(body))));
    let route = get(async move || body.lock().unwrap().take().unwrap());
    let world = World::new(Router::new().route("/stream", route)).await;

    let mut wire = world.wire().await;
    wire.send("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sender.send_data("first\n".into()).await.unwrap();
    assert_eq!(wire.head().await[0], "HTTP/1.1 200 OK");
    assert_eq!((wire.line().await, wire.line().await), ("6".to_owned(), "first".to_owned()));

    assert_eq!(wire.line().await, "");
    sender.send_data("second\n".into()).await.unwrap();
    assert_eq!((wire.line().await, wire.line().await), ("7".to_owned(), "second".to_owned()));
}

#[tokio::test]
async fn the_first_piece_of_a_request_arrives_before_the_second_exists() {
    let (pieces, mut arrived) = mpsc::unbounded_channel();
    let take = async move |request: Request| {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            pieces.send(frame.into_data().unwrap()).unwrap();
        }
        "all taken"
    };
    let world = World::new(Router::new().route("/upload", post(take))).await;
    let mut next = async || tokio::time::timeout(DEADLINE, arrived.recv()).await.unwrap().unwrap();

    let mut wire = world.wire().await;
    wire.send("POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nfirst").await;
    assert_eq!(next().await, "first");
    wire.send("after").await;
    assert_eq!(next().await, "after");
    assert_eq!(wire.head().await[0], "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_breaks_the_answer_off_too() {
    let (sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    let body = Arc::new(Mutex::new(Some(Body::new(body))));
    let route = get(async move || body.lock().unwrap().take().unwrap());
    let world = World::new(Router::new().route("/stream", route)).await;

    let mut wire = world.wire().await;
    wire.send("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(wire.head().await[0], "HTTP/1.1 200 OK");
    sender.abort(std::io::Error::other("the disk is gone"));
    // No last chunk, which would make a torn answer look whole.
    assert_eq!(wire.line().await, "");
    world.proxy.until_logged(|line| line["message"] == "answer cut off").await;
}
