//! What every service gets around its routes, seen from outside.

mod identity;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use serde::Deserialize;
use service::request_id::RequestId;
use service::testing::{Answer, ask, dressed, served};
use service::{Problem, extract};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[expect(dead_code, reason = "only its form is of interest")]
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    #[expect(dead_code, reason = "only its form is of interest")]
    count: u32,
}

fn router() -> Router {
    dressed(routes())
}

fn routes() -> Router {
    Router::new()
        .route("/orders", post(async |extract::Json(_): extract::Json<Order>| "taken"))
        .route("/orders/{id}", get(async |extract::Path(id): extract::Path<u32>| id.to_string()))
        .route("/id", get(async |id: RequestId| id.as_str().to_owned()))
        .route("/panic", get(async || -> &'static str { panic!("the handler fell over") }))
        .route("/refused", get(async || Problem::conflict("it is there already")))
}

async fn get_path(path: &str) -> Answer {
    ask(&router(), Request::get(path).body(Body::empty()).expect("it is a path")).await
}

async fn order(body: &str) -> String {
    let request = Request::post("/orders").header("content-type", "application/json; charset=utf-8");
    ask(&router(), request.body(body.to_owned().into()).expect("it is a path")).await.summary()
}

#[tokio::test]
async fn what_does_not_exist_is_told_in_json() {
    insta::assert_snapshot!(get_path("/nowhere?x=1").await.summary(), @r#"404 {"code":"not_found","detail":"`/nowhere` does not exist"}"#);
    insta::assert_snapshot!(get_path("/orders/seven").await.summary(), @r#"404 {"code":"not_found","detail":"`/orders/seven` does not exist"}"#);
    let wrong_method = get_path("/orders").await;
    insta::assert_snapshot!(wrong_method.summary(), @r#"405 {"code":"method_not_allowed","detail":"this path does not take this method; the `allow` header says which it takes"}"#);
    assert_eq!(wrong_method.headers["allow"], "POST");
}

#[tokio::test]
async fn a_request_id_is_kept_returned_and_stands_in_errors() {
    let request = || Request::get("/refused").header("x-request-id", "r-42");
    let answer = ask(&router(), request().body(Body::empty()).unwrap()).await;
    assert_eq!((answer.headers["x-request-id"].to_str().unwrap(), answer.status.as_u16()), ("r-42", 409));
    assert_eq!(answer.json()["request_id"], "r-42");

    let made = get_path("/id").await;
    assert_eq!(made.headers["x-request-id"].to_str().unwrap(), made.body);
    assert_eq!(made.body.len(), 36);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_500_that_says_nothing_of_the_inside() {
    insta::assert_snapshot!(get_path("/panic").await.summary(), @r#"500 {"code":"internal","detail":"the service failed; its log says why under this request id"}"#);
}

#[tokio::test]
async fn a_panic_is_counted_and_its_connection_goes_on() {
    let (address, metrics) = served(routes()).await;
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    for (path, status) in [("/panic", "500"), ("/orders/7", "200"), ("/panic", "500"), ("/id", "200")] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.trim_end().parse().unwrap();
            }
            head.push(line);
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        assert!(head[0].starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head:?}");
    }
    let told = metrics.encode();
    assert!(told.contains(r#"http_server_panics_total{route="/panic"} 2"#), "{told}");
    assert!(told.contains("http_server_connections_accepted_total{} 1"), "{told}");
    assert!(
        told.contains(r#"http_server_requests_total{method="GET",route="/panic",status="500"} 2"#),
        "{told}"
    );
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_with_the_field() {
    insta::assert_snapshot!(order(r#"{"lines":[{"count":1}]}"#).await, @r#"200 "taken""#);
    insta::assert_snapshot!(order(r#"{"lines":[{"count":1},{"count":"two"}]}"#).await, @r#"422 {"code":"invalid","detail":"invalid type: string \"two\", expected u32 at line 1 column 36","fields":["/lines/1/count"]}"#);
    insta::assert_snapshot!(order(r#"{"lines":[{}]}"#).await, @r#"422 {"code":"invalid","detail":"missing field `count` at line 1 column 12","fields":["/lines/0/count"]}"#);
    insta::assert_snapshot!(order("{}").await, @r#"422 {"code":"invalid","detail":"missing field `lines` at line 1 column 2","fields":["/lines"]}"#);
    insta::assert_snapshot!(order("7").await, @r#"422 {"code":"invalid","detail":"invalid type: integer `7`, expected struct Order at line 1 column 1","fields":[""]}"#);
    insta::assert_snapshot!(order(r#"{"rows":[]}"#).await, @r#"422 {"code":"invalid","detail":"unknown field `rows`, expected `lines` at line 1 column 7","fields":["/rows"]}"#);
    insta::assert_snapshot!(order(r#"{"lines":"#).await, @r#"400 {"code":"malformed_json","detail":"the body is not JSON: EOF while parsing a value at line 1 column 9"}"#);
    insta::assert_snapshot!(order(r#"{"lines":[]} and more"#).await, @r#"400 {"code":"malformed_json","detail":"the body is not JSON: trailing characters at line 1 column 14"}"#);

    let plain = Request::post("/orders").body(Body::from("{}")).unwrap();
    insta::assert_snapshot!(ask(&router(), plain).await.summary(), @r#"415 {"code":"unsupported_media_type","detail":"the body must be JSON; send it with `content-type: application/json`"}"#);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_announced_or_not() {
    let large = " ".repeat((1 << 20) + 1);
    insta::assert_snapshot!(order(&large).await, @r#"413 {"code":"body_too_large","detail":"the request body is larger than 1048576 bytes"}"#);
    // A stream does not announce its length: the limit is met while reading.
    let (mut sender, stream) = http_body_util::channel::Channel::<axum::body::Bytes>::new(1);
    let sending = tokio::spawn(async move { sender.send_data(large.into()).await });
    let request = Request::post("/orders").header("content-type", "application/json");
    let answer = ask(&router(), request.body(Body::new(stream)).unwrap()).await;
    sending.await.unwrap().unwrap();
    insta::assert_snapshot!(answer.summary(), @r#"413 {"code":"body_too_large","detail":"the request body is larger than 1048576 bytes"}"#);
}

#[tokio::test]
async fn a_service_without_checks_is_live_and_ready() {
    insta::assert_snapshot!(get_path("/health/live").await.summary(), @r#"200 {"status":"live"}"#);
    insta::assert_snapshot!(get_path("/health/ready").await.summary(), @r#"200 {"checks":{},"status":"ready"}"#);
}
