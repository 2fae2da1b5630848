//! W3C trace context (level 1): `traceparent` and `tracestate`, kept when well-formed, made otherwise.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that says which span of which trace a request comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header in which tracing systems keep what is theirs.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What is kept of `tracestate` at most (W3C asks for at least as much).
const TRACESTATE_BYTES_MAX: usize = 512;
/// How many systems may have an entry in it.
const TRACESTATE_ENTRIES_MAX: usize = 32;

/// One span of one trace. Invariant: neither identifier is all zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    pub(crate) sampling: Sampling,
    pub(crate) state: Option<String>,
}

/// Whether a trace is recorded, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// Nobody has decided yet.
    Undecided,
    Recorded,
    NotRecorded,
}

impl Context {
    /// The context that a request brings; `None` when it brings none, several, or one that is malformed.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (given.next(), given.next()) else {
            return None;
        };
        let state: Vec<&str> =
            headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
        Self::parse(parent.to_str().ok()?, Some(&state.join(",")))
    }

    /// Reads a `traceparent`, and a `tracestate` that goes with it. A malformed `tracestate` is left out.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (version, rest) = traceparent.split_at_checked(3)?;
        let version = byte(version.strip_suffix('-')?.as_bytes())?;
        let (fields, later) = rest.split_at_checked(52)?;
        // A later version may say more, behind another hyphen; this one says no more.
        let is_whole = later.is_empty() || version > 0 && later.starts_with('-');
        if version == 0xff || !is_whole {
            return None;
        }
        let mut fields = fields.split('-');
        let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
        let (trace, span, [flags]) = (bytes::<16>(trace)?, bytes::<8>(span)?, bytes::<1>(flags)?);
        if fields.next().is_some() || trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let sampling = if flags & 1 == 1 { Sampling::Recorded } else { Sampling::NotRecorded };
        let state = tracestate.filter(|it| is_state(it)).map(ToOwned::to_owned);
        Some(Self { trace, span, sampling, state })
    }

    /// The first span of a new trace, about which nobody has decided yet whether it is recorded.
    pub fn root() -> Self {
        let trace = fastrand::u128(1..).to_be_bytes();
        Self { trace, span: new_span(), sampling: Sampling::Undecided, state: None }
    }

    /// A new span below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: new_span(), ..self.clone() }
    }

    /// The trace's identifier: 32 hex digits.
    pub fn trace_id(&self) -> String {
        hex(&self.trace)
    }

    /// The span's identifier: 16 hex digits.
    pub fn span_id(&self) -> String {
        hex(&self.span)
    }

    /// What other tracing systems keep in it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// As `traceparent`: to be sent along, or kept beside work that is to be done later.
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.sampling == Sampling::Recorded);
        format!("00-{}-{}-{flags:02x}", self.trace_id(), self.span_id())
    }

    /// Puts the context into a request's headers, in place of what is there.
    pub fn inject(&self, headers: &mut HeaderMap) {
        headers.remove(TRACESTATE);
        headers.remove(TRACEPARENT);
        let state = self.state.as_deref().and_then(|it| HeaderValue::from_str(it).ok());
        // Hex digits and hyphens are always a header's value.
        let parent = HeaderValue::from_str(&self.traceparent()).ok();
        headers
            .extend(parent.map(|it| (TRACEPARENT, it)).into_iter().chain(state.map(|it| (TRACESTATE, it))));
    }
}

fn new_span() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}

fn is_state(text: &str) -> bool {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let is_entry = |entry: &str| {
        let printable = entry.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        let key_is_plain = |key: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
            !key.is_empty() && key.bytes().all(plain)
        };
        printable
            && entry.split_once('=').is_some_and(|(key, value)| key_is_plain(key) && !value.contains('='))
    };
    !text.is_empty()
        && text.len() <= TRACESTATE_BYTES_MAX
        && entries.clone().count() <= TRACESTATE_ENTRIES_MAX
        && entries.clone().all(is_entry)
}

/// Lower-case hex only, as the standard has it.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut pairs = text.as_bytes().chunks_exact(2);
    for place in &mut bytes {
        *place = byte(pairs.next()?)?;
    }
    (pairs.next().is_none() && pairs.remainder().is_empty()).then_some(bytes)
}

fn byte(pair: &[u8]) -> Option<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let [high, low] = pair else { return None };
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_well_formed_parent_is_kept_and_any_other_is_none() {
        let context = Context::parse(PARENT, None).unwrap();
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.child().trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(context.child().span_id(), context.span_id());
        let not_sampled = PARENT.replace("-01", "-00");
        assert_eq!(Context::parse(&not_sampled, None).unwrap().child().traceparent()[53..], *"00");

        let of_a_later_version = PARENT.replacen("00", "cc", 1) + "-what-the-future-brings";
        assert_eq!(Context::parse(&of_a_later_version, None).unwrap().traceparent(), PARENT);
        for malformed in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}0"),
            &format!("{PARENT}-more"),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.to_uppercase(),
            &PARENT.replace("b7ad6b7169203331", "0000000000000000"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace('-', "_"),
            &PARENT.replace("b7", "b-"),
            "00-0af7651916cd43dd8448eb211c80319ä-b7ad6b7169203331-01",
        ] {
            assert_eq!(Context::parse(malformed, None), None, "{malformed}");
        }
    }

    #[test]
    fn state_passes_with_its_parent_and_is_left_out_when_it_is_malformed() {
        let state = |text: &str| Context::parse(PARENT, Some(text)).unwrap().state;
        assert_eq!(state("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE").unwrap().len(), 40);
        assert_eq!(state(""), None);
        assert_eq!(state("no value"), None);
        assert_eq!(state("a=\u{7f}"), None);
        assert_eq!(state(&format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX))), None);
        assert_eq!(state(&vec!["a=1"; 33].join(",")), None);
    }

    #[test]
    fn of_two_parents_in_one_request_none_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        assert!(Context::of(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        assert_eq!(Context::of(&headers), None);
    }
}
