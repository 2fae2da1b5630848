//! Traces: which request caused what, across services, in W3C's trace context and OpenTelemetry's spans.
//!
//! Every span of `tracing` at level INFO or above is one of a trace. Inside a request it belongs to that request; a span
//! outside of any begins a trace of its own. Its fields become attributes; those whose names begin with `otel.` say what
//! the span is and stand in no log line:
//!
//! | field | is |
//! |---|---|
//! | `otel.name` | the span's name, where the one in the source is not enough |
//! | `otel.kind` | `server`, `client`, `producer`, `consumer`; otherwise `internal` |
//! | `otel.status` | `error` where it failed |
//! | `otel.parent` | a `traceparent`: the trace that it goes on with |
//!
//! A query is `tracing::info_span!("query", otel.kind = "client", otel.name = "releases.record", db.system = "postgresql")`,
//! work that a request caused earlier is [`continued`]. Spans are exported when `OTEL_EXPORTER_OTLP_ENDPOINT` is set;
//! trace context is kept, made and passed on in any case.

mod context;
mod export;
mod layer;
mod otlp;
mod settings;

pub use context::{Context, TRACEPARENT, TRACESTATE};
pub(crate) use export::Exporter;
pub(crate) use layer::SpanLayer;
pub use layer::current;
pub(crate) use settings::Tracing;

use tracing::Span;

/// Whether dotted `name` is for traces only, and not for log lines.
pub(crate) fn is_for_traces_only(name: &str) -> bool {
    ["otel.", "http.", "url.", "server.", "client.", "network.", "db.", "messaging.", "error."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// A span of work that was asked for earlier and elsewhere: by the request whose `traceparent` was kept, if it was.
///
/// Log lines of the work have `trace_id`, so that it is found together with the request.
pub fn continued(name: &'static str, traceparent: Option<&str>) -> Span {
    let context = traceparent.and_then(|it| Context::parse(it, None));
    let (parent, context) = match context {
        Some(parent) => (Some(parent.traceparent()), parent.child()),
        None => (None, Context::root()),
    };
    let (trace_id, span_id) = (context.trace_id(), context.span_id());
    tracing::info_span!(
        "work",
        otel.name = name,
        otel.kind = "consumer",
        otel.parent = parent,
        trace_id,
        span_id,
        otel.status = tracing::field::Empty
    )
}
