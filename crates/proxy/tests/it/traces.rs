//! Traces: one request through two processes is one trace, and a collector that is away costs spans only.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use service::testing::{FakeUpstream, Running};

use crate::collector::{Collector, attribute, hex};
use crate::proxy;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Two proxies, one behind the other, in front of an upstream that says what trace it was asked in.
struct Chain {
    _upstream: FakeUpstream,
    behind: Running,
    front: Running,
}

impl Chain {
    async fn new(settings: &[(&str, &str)]) -> Self {
        let told = async |headers: HeaderMap| {
            let header =
                |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
            format!("{} {} {}", header("traceparent"), header("tracestate"), header("x-request-id"))
        };
        let upstream = FakeUpstream::start(Router::new().fallback(told)).await;
        let configured = |name: &str, url: &str| {
            let proxy = proxy().env("UPSTREAM_URL", url).env("OTEL_SERVICE_NAME", name);
            let proxy = proxy.env("OTEL_BSP_SCHEDULE_DELAY", "50");
            settings.iter().fold(proxy, |proxy, (name, value)| proxy.env(name, value))
        };
        let behind = configured("behind", &upstream.url()).start().await;
        let front = configured("front", &behind.url()).start().await;
        Self { _upstream: upstream, behind, front }
    }

    async fn asks(&self, traceparent: &str, tracestate: &str) -> String {
        let request = Request::get("/x?token=1").header("x-request-id", "r-1");
        let request = request.header("traceparent", traceparent).header("tracestate", tracestate);
        self.front.send(request.body(axum::body::Body::empty()).unwrap()).await.body
    }
}

#[tokio::test]
async fn a_request_through_two_services_is_one_trace_in_which_each_span_has_its_parent() {
    let collector = Collector::start().await;
    let chain = Chain::new(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]).await;
    let told = chain.asks(&format!("00-{TRACE}-b7ad6b7169203331-01"), "rojo=1").await;

    let spans = collector.trace(TRACE, 4).await;
    let find = |service: &str, kind: SpanKind| {
        let is = |it: &&(String, _)| it.0 == service;
        let mut of_service = spans.iter().filter(is).map(|(_, span)| span);
        of_service.find(|span| span.kind == kind as i32).unwrap_or_else(|| panic!("no such span: {spans:#?}"))
    };
    let path = [
        find("front", SpanKind::Server),
        find("front", SpanKind::Client),
        find("behind", SpanKind::Server),
        find("behind", SpanKind::Client),
    ];
    assert_eq!(hex(&path[0].parent_span_id), "b7ad6b7169203331");
    for pair in path.windows(2) {
        assert_eq!(pair[1].parent_span_id, pair[0].span_id);
        assert!(pair[0].start_time_unix_nano <= pair[1].start_time_unix_nano);
        assert!(pair[0].end_time_unix_nano >= pair[1].start_time_unix_nano);
    }
    assert_eq!(told, format!("00-{TRACE}-{}-01 rojo=1 r-1", hex(&path[3].span_id)));
    assert_eq!(path[0].name, "GET /{*path}");
    assert_eq!(attribute(path[0], "http.route").as_deref(), Some("/{*path}"));
    assert_eq!(attribute(path[0], "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(path[0], "request_id").as_deref(), Some("r-1"));
    assert_eq!(path[0].trace_state, "rojo=1");

    let logged = async |service: &Running| service.until_logged(|line| line["message"] == "answered").await;
    for service in [&chain.front, &chain.behind] {
        let line = logged(service).await;
        assert_eq!((&line["trace_id"], &line["request_id"]), (&TRACE.into(), &"r-1".into()));
        assert!(line.get("http.route").is_none(), "{line}");
    }
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_passed_on_and_not_exported_and_a_malformed_one_is_replaced() {
    let collector = Collector::start().await;
    let chain = Chain::new(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]).await;
    let told = chain.asks(&format!("00-{TRACE}-b7ad6b7169203331-00"), "rojo=1").await;
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00 rojo=1 r-1"), "{told}");

    let told = chain.asks("00-nonsense", "rojo=1").await;
    assert!(told.ends_with("-01  r-1"), "a new trace, without what stood beside the malformed one: {told}");
    let begun = &told[3..35];
    let spans = collector.trace(begun, 4).await;
    assert!(spans.iter().any(|(_, span)| span.parent_span_id.is_empty()), "{spans:#?}");
    // What was not sampled came first, and is not there.
    assert_eq!(collector.trace(TRACE, 0).await, []);
}

#[tokio::test]
async fn a_collector_that_hangs_delays_no_request_and_the_end_only_for_two_seconds() {
    let collector = Collector::hanging().await;
    let endpoint = collector.url();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_MAX_QUEUE_SIZE", "8")];
    let chain = Chain::new(&settings).await;
    let began = Instant::now();
    for _ in 0..100 {
        chain.asks("", "").await;
    }
    let hundred = began.elapsed();
    assert!(hundred < Duration::from_secs(5), "{hundred:?}");
    let dropped = r#"trace_spans_dropped_total{reason="queue_full"}"#;
    // 200 spans, of which one batch is on its way and 8 wait.
    assert!(chain.front.metric(dropped).await.unwrap() >= 100.0, "{}", chain.front.metrics().await);

    let began = Instant::now();
    let finished = chain.front.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(finished.stderr.contains("did not take the last spans in time"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_which_are_counted() {
    let chain = Chain::new(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]).await;
    chain.asks("", "").await;
    let line = chain
        .front
        .until_logged(|line| line["message"].as_str().unwrap().contains("cannot be exported"))
        .await;
    assert_eq!(line["level"], "WARN");
    let failed = chain.front.metric(r#"trace_spans_dropped_total{reason="export_failed"}"#).await;
    assert_eq!(failed, Some(2.0));
}
