//! One trace from the request at the gateway to whoever is told by webhook, through queries and jobs.

#[path = "../../../proxy/tests/it/collector.rs"]
#[expect(dead_code, reason = "the proxy's tests have a collector that hangs, too")]
mod collector;

use axum::body::Body;
use axum::http::Request;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use scratch_store::ScratchStore;
use serde_json::json;
use service::testing::Binary;

use crate::door::DEADLINE;
use crate::processes::{mint, secrets, service, text};
use crate::receiver::Receiver;

use collector::{Collector, attribute, hex};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The spans of the trace, by service.
struct Spans(Vec<(String, Span)>);

impl Spans {
    fn find(&self, service: &str, kind: SpanKind, name: &str) -> Option<&Span> {
        let is =
            |(of, span): &&(String, Span)| of == service && span.kind == kind as i32 && span.name == name;
        self.0.iter().find(is).map(|(_, span)| span)
    }
}

#[tokio::test]
async fn what_a_request_causes_is_one_trace_up_to_the_receiver_of_its_webhook() {
    let (collector, receiver) = (Collector::start().await, Receiver::start().await);
    let scratch = ScratchStore::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    let (identity_key, token_keys) = (secrets.join("identity-key"), secrets.join("token-keys"));
    let traced = |binary: Binary| {
        binary.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()).env("OTEL_BSP_SCHEDULE_DELAY", "50")
    };
    let control = traced(service("control"))
        .env("DATABASE_URL", &scratch.app_url())
        .env("IDENTITY_KEY_FILE", text(&identity_key))
        .start()
        .await;
    let gateway = traced(service("gateway"))
        .env("CONTROL_URL", &control.url())
        .env("IDENTITY_KEY_FILE", text(&identity_key))
        .env("TOKEN_KEYS_FILE", text(&token_keys))
        .start()
        .await;
    let worker = traced(service("worker"))
        .env("DATABASE_URL", &scratch.app_url())
        .env("WORKER_POLL_MS", "50")
        .env("WEBHOOKS_FILE", text(&receiver.introduce(folder.path(), folder.path())))
        .start()
        .await;

    let request = recording(&mint(&token_keys, "ann", "releaser"));
    assert_eq!(gateway.send(request).await.status, 201);

    let messages = receiver.told(2).await;
    let wanted = [
        ("gateway", SpanKind::Server, "POST /v1/releases"),
        ("control", SpanKind::Server, "POST /v1/releases"),
        ("control", SpanKind::Client, "INSERT releases"),
        ("worker", SpanKind::Consumer, "job verify_release"),
        ("worker", SpanKind::Consumer, "job deliver_webhook"),
        ("worker", SpanKind::Client, "POST"),
    ];
    let give_up = tokio::time::Instant::now() + DEADLINE;
    let spans = loop {
        let spans = Spans(collector.trace(TRACE, wanted.len()).await);
        if wanted.iter().all(|(service, kind, name)| spans.find(service, *kind, name).is_some()) {
            break spans;
        }
        let seen: Vec<_> = spans.0.iter().map(|(of, span)| (of, &span.name, span.kind)).collect();
        assert!(tokio::time::Instant::now() < give_up, "not all of {wanted:?}: {seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let [asked, answered, query, job, _, _] =
        wanted.map(|(service, kind, name)| spans.find(service, kind, name).unwrap());

    assert_eq!(hex(&asked.parent_span_id), "b7ad6b7169203331");
    assert_eq!(query.parent_span_id, answered.span_id);
    assert_eq!(job.parent_span_id, answered.span_id, "the job goes on where it was caused");
    assert_eq!(attribute(query, "db.system.name").as_deref(), Some("postgresql"));
    for (_, span) in &spans.0 {
        let told = format!("{:?}", span.attributes);
        assert!(!told.contains("c0ffee") && !told.contains("1.4.0"), "a value is told: {told}");
    }
    // What each message was sent in is a span of its own.
    let posts: Vec<String> = messages.iter().map(|it| it.traceparent.clone().unwrap()).collect();
    for (_, post) in spans.0.iter().filter(|(of, span)| of == "worker" && span.name == "POST") {
        assert!(posts.contains(&format!("00-{TRACE}-{}-01", hex(&post.span_id))), "{posts:?}");
    }
    for message in &messages {
        assert!(message.traceparent.as_deref().unwrap().starts_with(&format!("00-{TRACE}-")), "{message:?}");
    }
    for running in [gateway, control, worker] {
        assert_eq!(running.stop().await.status.code(), Some(0));
    }
}

/// Records a release, in a trace that has begun elsewhere.
fn recording(token: &str) -> Request<Body> {
    let image = format!("registry.example.org/slipway/gateway@sha256:{}", "a".repeat(64));
    let body = json!({ "version": "1.4.0", "commit": "c0ffee00".repeat(5), "images": { "gateway": image } });
    Request::post("/v1/releases")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
        .body(Body::from(body.to_string()))
        .unwrap()
}
