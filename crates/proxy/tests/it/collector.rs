//! A collector of traces in the test's own process: takes what OTLP says, and decodes it with OpenTelemetry's messages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use service::testing::{DEADLINE, FakeUpstream};

/// The collector.
pub(crate) struct Collector {
    server: FakeUpstream,
    received: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Vec<_>>>::default();
        let kept = received.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
            for resource in request.resource_spans {
                let attributes = resource.resource.expect("it says who it is").attributes;
                let name = attributes.iter().find(|it| it.key == "service.name").expect("it has a name");
                let name = text(name.value.as_ref().expect("the name is said"));
                let spans = resource.scope_spans.into_iter().flat_map(|it| it.spans);
                kept.lock().expect("nobody panicked").extend(spans.map(|span| (name.clone(), span)));
            }
            StatusCode::OK
        };
        let server = FakeUpstream::start(Router::new().route("/v1/traces", post(take))).await;
        Self { server, received }
    }

    /// One that accepts requests and never answers.
    pub(crate) async fn hanging() -> FakeUpstream {
        FakeUpstream::start(Router::new().route("/v1/traces", post(std::future::pending::<StatusCode>))).await
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The spans of a trace, by service, once there are so many.
    pub(crate) async fn trace(&self, id: &str, spans: usize) -> Vec<(String, Span)> {
        let give_up = tokio::time::Instant::now() + DEADLINE;
        loop {
            let of_trace = |(_, span): &&(String, Span)| hex(&span.trace_id) == id;
            let found: Vec<_> =
                self.received.lock().expect("nobody panicked").iter().filter(of_trace).cloned().collect();
            if found.len() >= spans {
                return found;
            }
            assert!(tokio::time::Instant::now() < give_up, "not {spans} spans: {found:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: &opentelemetry_proto::tonic::common::v1::AnyValue) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(whole)) => whole.to_string(),
        other => format!("{other:?}"),
    }
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|it| it.key == key)?.value.as_ref().map(text)
}
