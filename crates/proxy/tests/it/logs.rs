//! What is logged of a request, and what never is.

use axum::Router;
use axum::extract::Request;

use crate::World;

#[tokio::test]
async fn a_request_is_one_line_and_nothing_secret_of_it_is_in_any() {
    let upstream = Router::new().fallback(async |body: String| body.len().to_string());
    let world =
        World::with(upstream, &[("LOG", "trace"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")])
            .await;
    let request = Request::post("/v1/things/planted-path?code=planted-query")
        .header("authorization", "Bearer planted-token")
        .header("cookie", "session=planted-cookie")
        .header("x-api-key", "planted-key")
        .header("content-type", "text/planted-type")
        .header("x-request-id", "r-7");
    let answer = world.proxy.send(request.body("planted-body".into()).unwrap()).await;
    assert_eq!(answer.body, "12");
    let malformed = "GET /planted-malformed HTTP/9\r\nauthorization: planted-refused\r\n\r\n";
    let mut wire = world.wire().await;
    wire.send(malformed).await;
    assert_eq!(wire.head().await[0], "HTTP/1.1 400 Bad Request");

    let line =
        world.proxy.until_logged(|line| line["message"] == "answered" && line["request_id"] == "r-7").await;
    let mut line = line.as_object().unwrap().clone();
    for name in ["timestamp", "duration_ms", "answered_ms", "trace_id", "span_id", "version"] {
        assert!(line.remove(name).is_some(), "no {name}");
    }
    insta::assert_snapshot!(serde_json::Value::Object(line), @r#"{"client":"127.0.0.1","level":"INFO","message":"answered","method":"POST","received_bytes":12,"request_id":"r-7","route":"/{*path}","sent_bytes":2,"service":"proxy","status":200,"target":"service::access"}"#);
    let finished = world.proxy.stop().await;
    let output = format!("{}{}", finished.stdout, finished.stderr);
    assert!(output.contains("r-7"), "the search sees what is logged");
    assert!(!output.contains("planted"), "{output}");
    let lines = finished.stderr.lines().filter(|line| line.contains(r#""route""#) && line.contains("r-7"));
    assert_eq!(lines.count(), 1, "{}", finished.stderr);
}
