//! From `tracing`'s spans to spans of traces.

use std::cell::RefCell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::context::{Context, Sampling};
use super::export::Queue;
use super::otlp::{self, KeyValue, Kind, Status, StatusCode, Value};

/// A span has at most so many attributes, and each text at most so many bytes: what a client sends must not fill memory.
const ATTRIBUTES_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 1024;

thread_local! {
    /// The spans that are entered on this thread, innermost last.
    static ENTERED: RefCell<Vec<(Id, Context)>> = const { RefCell::new(Vec::new()) };
}

/// The innermost span that the caller is in: to pass it on, or to keep it beside work for later.
pub fn current() -> Option<Context> {
    ENTERED.with(|entered| entered.borrow().last().map(|(_, context)| context.clone()))
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    /// Whether what an earlier service decided is followed.
    pub(crate) follows_parent: bool,
    /// The share of the traces that begin here, or of all where no parent is followed.
    pub(crate) ratio: f64,
}

/// Follows spans and hands those that are to be recorded to the queue.
pub(crate) struct SpanLayer {
    sampler: Sampler,
    queue: Option<Queue>,
}

/// What is known of a span while it is open.
struct Open {
    context: Context,
    parent: Option<[u8; 8]>,
    /// Only where it is to be exported.
    span: Option<otlp::Span>,
}

/// What a span's fields say of it.
#[derive(Default)]
struct Fields {
    trace_id: Option<String>,
    span_id: Option<String>,
    parent: Option<String>,
    state: Option<String>,
    name: Option<String>,
    kind: Option<Kind>,
    failed: bool,
    attributes: Vec<KeyValue>,
}

impl Sampler {
    /// Nothing is recorded here; what others decided is passed on.
    pub(crate) const OFF: Self = Self { follows_parent: true, ratio: 0.0 };

    /// Whether a trace is recorded. All services that ask for the same ratio agree, by the trace's identifier.
    pub(crate) fn decide(self, parent: Sampling, trace: [u8; 16]) -> Sampling {
        if self.follows_parent && parent != Sampling::Undecided {
            return parent;
        }
        let [.., a, b, c, d, e, f, g] = trace;
        let place = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        #[expect(clippy::cast_precision_loss, reason = "56 bits against a share of all")]
        let place = place as f64 / (1_u64 << 56) as f64;
        if place < self.ratio { Sampling::Recorded } else { Sampling::NotRecorded }
    }
}

impl SpanLayer {
    pub(crate) fn new(sampler: Sampler, queue: Option<Queue>) -> Self {
        Self { sampler, queue }
    }

    /// Which spans and events are looked at.
    pub(crate) fn wants(&self) -> impl Fn(&Metadata<'_>) -> bool + use<> {
        let is_exported = self.queue.is_some();
        move |metadata| {
            let is_detail =
                *metadata.level() == Level::DEBUG && metadata.fields().field("otel.kind").is_some();
            metadata.is_span() && (*metadata.level() <= Level::INFO || is_exported && is_detail)
        }
    }

    fn context(&self, fields: &Fields, parent: Option<&Context>) -> (Context, Option<[u8; 8]>) {
        // A request or a job brings where it comes from; what is inside of one inherits.
        let given = fields.parent.as_deref().and_then(|it| Context::parse(it, fields.state.as_deref()));
        let parent = given.as_ref().or(parent);
        let mut context = parent.map_or_else(Context::root, Context::child);
        let named = || {
            let (trace, span) = (fields.trace_id.as_deref()?, fields.span_id.as_deref()?);
            Context::parse(&format!("00-{trace}-{span}-00"), None)
        };
        if let Some(named) = named() {
            (context.trace, context.span) = (named.trace, named.span);
        }
        context.sampling = match (given.is_some(), parent) {
            // Inside of this process it is decided already.
            (false, Some(parent)) => parent.sampling,
            _ => self.sampler.decide(context.sampling, context.trace),
        };
        (context, parent.map(|it| it.span))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, registry: Registry<'_, S>) {
        let Some(span) = registry.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = span.parent().and_then(|parent| context_of(&parent));
        let (context, parent) = self.context(&fields, parent.as_ref());
        let is_exported = self.queue.is_some() && context.sampling == Sampling::Recorded;
        let open = is_exported.then(|| otlp::Span {
            name: attributes.metadata().name().to_owned(),
            kind: Kind::Internal.into(),
            start_time_unix_nano: now(),
            ..otlp::Span::default()
        });
        let mut open = Open { context, parent, span: open };
        open.take(fields);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, registry: Registry<'_, S>) {
        let Some(span) = registry.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>().filter(|open| open.span.is_some()) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        open.take(fields);
    }

    fn on_enter(&self, id: &Id, registry: Registry<'_, S>) {
        if let Some(context) = registry.span(id).and_then(|span| context_of(&span)) {
            ENTERED.with(|entered| entered.borrow_mut().push((id.clone(), context)));
        }
    }

    fn on_exit(&self, id: &Id, _: Registry<'_, S>) {
        ENTERED.with(|entered| {
            let mut entered = entered.borrow_mut();
            if let Some(place) = entered.iter().rposition(|(known, _)| known == id) {
                entered.remove(place);
            }
        });
    }

    fn on_close(&self, id: Id, registry: Registry<'_, S>) {
        let open = registry.span(&id).and_then(|span| span.extensions_mut().remove::<Open>());
        let Some((queue, Open { context, parent, span: Some(mut span) })) = self.queue.as_ref().zip(open)
        else {
            return;
        };
        span.trace_id = context.trace.to_vec();
        span.span_id = context.span.to_vec();
        span.parent_span_id = parent.map(Vec::from).unwrap_or_default();
        span.trace_state = context.state.unwrap_or_default();
        span.flags = 1;
        span.end_time_unix_nano = now().max(span.start_time_unix_nano);
        queue.put(span);
    }
}

fn context_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Context> {
    span.extensions().get::<Open>().map(|open| open.context.clone())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Open {
    fn take(&mut self, fields: Fields) {
        let Some(span) = &mut self.span else { return };
        if let Some(name) = fields.name {
            span.name = name;
        }
        if let Some(kind) = fields.kind {
            span.kind = kind.into();
        }
        if fields.failed {
            span.status = Some(Status { message: String::new(), code: StatusCode::Error.into() });
        }
        for attribute in fields.attributes {
            span.attributes.retain(|known| known.key != attribute.key);
            if span.attributes.len() < ATTRIBUTES_MAX {
                span.attributes.push(attribute);
            }
        }
    }
}

impl Fields {
    fn text(&mut self, name: &str, mut text: String) {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        match name {
            "trace_id" => self.trace_id = Some(text),
            "span_id" => self.span_id = Some(text),
            "otel.parent" => self.parent = Some(text),
            "otel.state" => self.state = Some(text),
            "otel.name" => self.name = Some(text),
            "otel.status" => self.failed = text == "error",
            "otel.kind" => {
                self.kind = match text.as_str() {
                    "server" => Some(Kind::Server),
                    "client" => Some(Kind::Client),
                    "producer" => Some(Kind::Producer),
                    "consumer" => Some(Kind::Consumer),
                    _ => None,
                }
            }
            _ => self.attributes.push(KeyValue::text(name, text)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(KeyValue::new(field.name(), Value::Truth(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), Value::Whole(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.attributes
            .push(KeyValue::new(field.name(), Value::Whole(i64::try_from(value).unwrap_or(i64::MAX))));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.push(KeyValue::new(field.name(), Value::Fraction(value)));
    }
}
