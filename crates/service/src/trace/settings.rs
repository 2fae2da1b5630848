//! OpenTelemetry's own variables, as far as they apply: with its names and defaults, checked like every other setting.

use std::time::Duration;

use axum::http::uri::{PathAndQuery, Scheme};
use axum::http::{HeaderName, HeaderValue, Uri};

use super::layer::Sampler;
use super::otlp::KeyValue;
use crate::settings::{Count, Exposure, FromSetting, Milliseconds};

crate::settings! {
    /// How traces are exported.
    pub(crate) struct Tracing {
        /// The collector to which spans are sent, at `/v1/traces` below it; without it none are.
        pub(crate) endpoint: Option<Collector> = "OTEL_EXPORTER_OTLP_ENDPOINT";
        /// The same with its whole path, for traces alone.
        pub(crate) traces_endpoint: Option<Collector> = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        /// How spans are sent.
        pub(crate) protocol: Protocol = "OTEL_EXPORTER_OTLP_PROTOCOL", default "http/protobuf";
        /// Headers for the collector, a token for one.
        pub(crate) headers: Option<ExportHeaders> = "OTEL_EXPORTER_OTLP_HEADERS";
        /// How long the collector may take to accept a batch.
        pub(crate) timeout: Milliseconds = "OTEL_EXPORTER_OTLP_TIMEOUT", default "10000";
        /// Whether spans are exported at all.
        pub(crate) exporter: ExporterChoice = "OTEL_TRACES_EXPORTER", default "otlp";
        /// Which traces are recorded.
        pub(crate) sampler: SamplerChoice = "OTEL_TRACES_SAMPLER", default "parentbased_always_on";
        /// The share of traces that a sampler by ratio records.
        pub(crate) sampler_ratio: Ratio = "OTEL_TRACES_SAMPLER_ARG", default "1.0";
        /// How many spans wait to be sent at most; what comes on top is dropped and counted.
        pub(crate) queue_max: Count = "OTEL_BSP_MAX_QUEUE_SIZE", default "2048";
        /// How many spans are sent at once at most.
        pub(crate) batch_max: Count = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default "512";
        /// How long spans wait for others to be sent with.
        pub(crate) delay: Milliseconds = "OTEL_BSP_SCHEDULE_DELAY", default "5000";
        /// What the spans say of the service beside its name, version and instance.
        pub(crate) attributes: Option<Attributes> = "OTEL_RESOURCE_ATTRIBUTES";
        /// Under which name the service appears in traces; without it its own.
        pub(crate) service_name: Option<String> = "OTEL_SERVICE_NAME";
    }
}

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collector(Uri);

/// How spans are sent: there is one way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol;

/// Whether spans are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExporterChoice {
    Otlp,
    None,
}

/// A sampler by the name that OpenTelemetry gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SamplerChoice {
    follows_parent: bool,
    share: Share,
}

#[derive(Debug, Clone, Copy)]
enum Share {
    All,
    Ratio,
    None,
}

/// A share, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio(f64);

/// Headers for the collector. Secret: they are where tokens go.
#[derive(Clone)]
pub(crate) struct ExportHeaders(pub(crate) Vec<(HeaderName, HeaderValue)>);

/// `key=value` pairs.
#[derive(Debug, Clone)]
pub(crate) struct Attributes(Vec<(String, String)>);

impl Tracing {
    /// Where batches are posted to; `None` where spans are not exported.
    pub(crate) fn target(&self) -> Option<Uri> {
        if self.exporter == ExporterChoice::None {
            return None;
        }
        let whole = self.traces_endpoint.clone().map(|Collector(uri)| uri);
        whole.or_else(|| self.endpoint.as_ref().map(Collector::traces))
    }

    pub(crate) fn sampler(&self) -> Sampler {
        if self.target().is_none() {
            return Sampler::OFF;
        }
        let SamplerChoice { follows_parent, share } = self.sampler;
        let ratio = match share {
            Share::All => 1.0,
            Share::Ratio => self.sampler_ratio.0,
            Share::None => 0.0,
        };
        Sampler { follows_parent, ratio }
    }

    /// How long spans wait for others; at least a moment, so that the exporter does not spin.
    pub(crate) fn delay(&self) -> Duration {
        self.delay.0.max(Duration::from_millis(10))
    }

    /// Who the spans come from.
    pub(crate) fn resource(&self, service: &str, version: &str) -> Vec<KeyValue> {
        let name = self.service_name.as_deref().unwrap_or(service);
        let instance = uuid::Uuid::new_v4().to_string();
        let own = [("service.name", name), ("service.version", version), ("service.instance.id", &instance)];
        let given = self.attributes.iter().flat_map(|it| &it.0);
        // `OTEL_SERVICE_NAME` wins over what the attributes say of the name.
        let given = given.filter(|(key, _)| !own.iter().any(|(known, _)| known == key));
        let own = own.map(|(key, value)| KeyValue::text(key, value));
        own.into_iter().chain(given.map(|(key, value)| KeyValue::text(key, value))).collect()
    }
}

impl Protocol {
    /// The content type of what is sent.
    pub(crate) const fn media_type(self) -> &'static str {
        "application/x-protobuf"
    }
}

impl Collector {
    fn traces(&self) -> Uri {
        let path = format!("{}/v1/traces", self.0.path().trim_end_matches('/'));
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        // The path of a URL with `/v1/traces` behind it is a path.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl FromSetting for Collector {
    const EXPECTED: &'static str =
        "an `http://` URL such as `http://127.0.0.1:4318` (TLS begins at a collector beside the service)";

    fn from_setting(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let plain = uri.scheme() == Some(&Scheme::HTTP) && uri.query().is_none();
        uri.authority().filter(|it| plain && !it.as_str().contains('@'))?;
        Some(Self(uri))
    }
}

impl FromSetting for Protocol {
    const EXPECTED: &'static str = "`http/protobuf`, which is all that there is";

    fn from_setting(text: &str) -> Option<Self> {
        (text == "http/protobuf").then_some(Self)
    }
}

impl FromSetting for ExporterChoice {
    const EXPECTED: &'static str = "`otlp` or `none`";

    fn from_setting(text: &str) -> Option<Self> {
        match text {
            "otlp" => Some(Self::Otlp),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

impl FromSetting for SamplerChoice {
    const EXPECTED: &'static str =
        "`always_on`, `always_off` or `traceidratio`, each also with `parentbased_` before it";

    fn from_setting(text: &str) -> Option<Self> {
        let (follows_parent, name) =
            text.strip_prefix("parentbased_").map_or((false, text), |name| (true, name));
        let share = match name {
            "always_on" => Share::All,
            "always_off" => Share::None,
            "traceidratio" => Share::Ratio,
            _ => return None,
        };
        Some(Self { follows_parent, share })
    }
}

impl FromSetting for Ratio {
    const EXPECTED: &'static str = "a share from `0.0` to `1.0`";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok().filter(|it| (0.0..=1.0).contains(it)).map(Self)
    }
}

impl FromSetting for ExportHeaders {
    const EXPECTED: &'static str = "headers such as `authorization=Bearer%20TOKEN,tenant=7`";
    const EXPOSURE: Exposure = Exposure::Secret;

    fn from_setting(text: &str) -> Option<Self> {
        let header = |(name, value): (String, String)| {
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((name.parse().ok()?, value))
        };
        pairs(text)?.into_iter().map(header).collect::<Option<_>>().map(Self)
    }
}

impl FromSetting for Attributes {
    const EXPECTED: &'static str = "pairs such as `deployment.environment.name=production,zone=a`";

    fn from_setting(text: &str) -> Option<Self> {
        pairs(text).map(Self)
    }
}

impl std::fmt::Debug for ExportHeaders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// `key=value` pairs with commas between, values in percent-encoding, as W3C's baggage has them.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then_some(())?;
        Some((key.to_owned(), decoded(value.trim())?))
    };
    text.split(',').filter(|it| !it.trim().is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |digit: Option<u8>| char::from(digit?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Reader, Settings as _};

    fn read(variables: &[(&str, &str)]) -> Result<Tracing, crate::settings::SettingsError> {
        let mut reader = Reader::from_variables(variables);
        let tracing = Tracing::read(&mut reader);
        reader.finish(tracing)
    }

    #[test]
    fn without_a_collector_nothing_is_exported() {
        let tracing = read(&[("OTEL_TRACES_SAMPLER", "always_on")]).unwrap();
        assert_eq!((tracing.target(), tracing.sampler()), (None, Sampler::OFF));
        let none = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")];
        assert_eq!(read(&none).unwrap().target(), None);
    }

    #[test]
    fn a_collector_is_asked_at_its_path_for_traces() {
        let target =
            |variable: &str, url: &str| read(&[(variable, url)]).unwrap().target().unwrap().to_string();
        assert_eq!(target("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(
            target("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/"),
            "http://c:4318/otlp/v1/traces"
        );
        assert_eq!(target("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/in"), "http://c:4318/in");
    }

    #[test]
    fn what_cannot_be_used_is_told_all_at_once_and_headers_are_not_shown() {
        let wrong = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ];
        insta::assert_snapshot!(read(&wrong).unwrap_err(), @"
        `OTEL_EXPORTER_OTLP_ENDPOINT` is `https://collector`, expected an `http://` URL such as `http://127.0.0.1:4318` (TLS begins at a collector beside the service)
        `OTEL_EXPORTER_OTLP_PROTOCOL` is `grpc`, expected `http/protobuf`, which is all that there is
        `OTEL_EXPORTER_OTLP_HEADERS` holds something else than headers such as `authorization=Bearer%20TOKEN,tenant=7` (its value is secret and not shown)
        `OTEL_TRACES_SAMPLER` is `sometimes`, expected `always_on`, `always_off` or `traceidratio`, each also with `parentbased_` before it
        `OTEL_TRACES_SAMPLER_ARG` is `2`, expected a share from `0.0` to `1.0`
        `OTEL_BSP_MAX_QUEUE_SIZE` is `0`, expected a whole number, at least 1
        ");
    }

    #[test]
    fn headers_and_attributes_are_decoded() {
        let given = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0ken, tenant = 7"),
            ("OTEL_RESOURCE_ATTRIBUTES", "zone=a,service.name=other"),
            ("OTEL_SERVICE_NAME", "front"),
        ];
        let tracing = read(&given).unwrap();
        let headers = &tracing.headers.as_ref().unwrap().0;
        assert_eq!((headers[0].1.to_str().unwrap(), headers[1].1.to_str().unwrap()), ("Bearer t0ken", "7"));
        let resource = tracing.resource("gateway", "1.2.3");
        let keys: Vec<_> = resource.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["service.name", "service.version", "service.instance.id", "zone"]);
        assert_eq!(resource[0], KeyValue::text("service.name", "front"));
        assert!(!format!("{tracing:?}").contains("t0ken"));
    }
}
