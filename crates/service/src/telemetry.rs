//! Logs: one JSON object per line on standard error, with the fields of all open spans at its top level.
//!
//! So a line about a request has `request_id` beside `message`, wherever in the program it was written.

use std::fmt;
use std::io;
use std::panic::PanicHookInfo;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::settings::LogFilter;
use crate::trace::{self, SpanLayer};

/// Starts logging for this process; a second call changes nothing. Panics are logged like every other event.
pub fn init(service: &'static str, version: &'static str, filter: &LogFilter) {
    start(Registry::default().with(lines(Line { service, version }, filter, io::stderr)));
}

/// As [`init`], and follows spans.
pub(crate) fn init_with(spans: SpanLayer, service: &'static str, version: &'static str, filter: &LogFilter) {
    let lines = lines(Line { service, version }, filter, io::stderr);
    let wanted = filter_fn(spans.wants());
    start(Registry::default().with(lines).with(spans.with_filter(wanted)));
}

fn start(subscriber: impl Subscriber + Send + Sync) {
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// The form of a line.
struct Line {
    service: &'static str,
    version: &'static str,
}

/// Collects an event's fields as JSON values.
struct Collect<'a>(&'a mut Map<String, Value>);

/// Writes every event that passes the filter as a line.
fn lines<S, W>(line: Line, filter: &LogFilter, writer: W) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The filter was checked when the setting was read.
    let filter = EnvFilter::try_new(filter.as_str()).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .fmt_fields(JsonFields::new())
        .event_format(line)
        .with_filter(filter)
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> tracing_subscriber::fmt::FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        // An inner span's field wins over an outer one's, the event's own over both.
        for span in cx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.fields.as_str());
            if let Ok(Value::Object(fields)) = serde_json::from_str(fields) {
                line.extend(fields.into_iter().filter(|(name, _)| !trace::is_for_traces_only(name)));
            }
        }
        event.record(&mut Collect(&mut line));
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        line.insert("service".to_owned(), self.service.into());
        line.insert("version".to_owned(), self.version.into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let reason = panic.payload_as_str().unwrap_or("no reason given");
    tracing::error!(panic.location = location, panic.reason = reason, "panicked");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::settings::FromSetting as _;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged meanwhile, without what differs each time.
    fn logged(filter: &str, act: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let line = Line { service: "sample", version: "1.2.3" };
        let lines = lines(line, &LogFilter::from_setting(filter).unwrap(), move || writer.clone());
        let subscriber = Registry::default().with(lines);
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let still = |line: &str| {
            let mut line: Map<String, Value> = serde_json::from_str(line).unwrap();
            assert!(line.remove("timestamp").unwrap().as_str().unwrap().ends_with('Z'));
            Value::Object(line).to_string()
        };
        text.lines().map(still).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_line_has_the_request_id_at_its_top_level_however_deep_it_was_written() {
        let text = logged("info,service=debug", || {
            let _request = tracing::info_span!("request", request_id = "r-1").entered();
            let _inner = tracing::info_span!("query", table = "releases").entered();
            tracing::debug!(rows = 3, exact = true, "read \"all\"\nof it");
            tracing::trace!("not asked for");
        });
        insta::assert_snapshot!(text, @r#"{"exact":true,"level":"DEBUG","message":"read \"all\"\nof it","request_id":"r-1","rows":3,"service":"sample","table":"releases","target":"service::telemetry::tests","version":"1.2.3"}"#);
    }

    #[test]
    fn a_panic_is_logged_under_the_request_in_which_it_happened() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let text = logged("info", || {
            let _request = tracing::info_span!("request", request_id = "r-2").entered();
            let caught = std::panic::catch_unwind(|| panic!("the handler fell over"));
            assert!(caught.is_err());
        });
        std::panic::set_hook(before);
        insta::with_settings!({filters => vec![(r"telemetry\.rs:\d+:\d+", "telemetry.rs:[line]")]}, {
            insta::assert_snapshot!(text, @r#"{"level":"ERROR","message":"panicked","panic.location":"crates/service/src/telemetry.rs:[line]","panic.reason":"the handler fell over","request_id":"r-2","service":"sample","target":"service::telemetry","version":"1.2.3"}"#);
        });
    }
}
