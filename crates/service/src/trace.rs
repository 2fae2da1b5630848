//! Traces: which request caused what, across services, in W3C's trace context and OpenTelemetry's spans.
//!
//! Every span of `tracing` at level INFO or above is one of a trace, and where traces are exported also those at DEBUG
//! that say their `otel.kind`. Inside a request it belongs to that request; a span outside of any begins a trace of its own. Its fields become attributes; those whose names begin with `otel.` say what
//! the span is and stand in no log line:
//!
//! | field | is |
//! |---|---|
//! | `otel.name` | the span's name, where the one in the source is not enough |
//! | `otel.kind` | `server`, `client`, `producer`, `consumer`; otherwise `internal` |
//! | `otel.status` | `error` where it failed |
//! | `otel.parent` | a `traceparent`: the trace that it goes on with |
//!
//! A query is a span at DEBUG (`store` makes them), work that a request caused earlier goes on with its trace by
//! [`GoesOn`]. Spans are exported when `OTEL_EXPORTER_OTLP_ENDPOINT` is set;
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

/// Whether dotted `name` is for traces only, and not for log lines.
pub(crate) fn is_for_traces_only(name: &str) -> bool {
    ["otel.", "http.", "url.", "server.", "client.", "network.", "db.", "messaging.", "error."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The innermost span that the caller is in, as a `traceparent`: to be kept beside work for later.
pub fn traceparent() -> Option<String> {
    current().map(|context| context.traceparent())
}

/// What the span of work says that was asked for earlier and elsewhere: by the request whose `traceparent` was kept, if it
/// was; otherwise a trace begins.
///
/// ```
/// # let kept = None;
/// let on = service::trace::GoesOn::with(kept);
/// let span = tracing::info_span!("job", otel.name = "job verify_release", otel.kind = "consumer",
///     otel.parent = on.parent, trace_id = on.trace_id, span_id = on.span_id);
/// ```
#[derive(Debug, Clone)]
pub struct GoesOn {
    /// For `otel.parent`.
    pub parent: Option<String>,
    /// For `trace_id`: log lines of the work have it, so that it is found together with the request.
    pub trace_id: String,
    /// For `span_id`.
    pub span_id: String,
}

impl GoesOn {
    /// With the trace of a `traceparent`.
    pub fn with(traceparent: Option<&str>) -> Self {
        let parent = traceparent.and_then(|it| Context::parse(it, None));
        let context = parent.as_ref().map_or_else(Context::root, Context::child);
        let parent = parent.map(|it| it.traceparent());
        Self { parent, trace_id: context.trace_id(), span_id: context.span_id() }
    }
}
