//! Which headers pass a hop, which end at it, and which it adds.

use std::net::IpAddr;

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue};

use super::ForwardedHeaders;

/// What concerns two neighbours only (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the headers do not say about the request.
pub(super) struct Hop {
    /// Who is connected.
    pub(super) peer: Option<IpAddr>,
    /// Whether what the request says about earlier hops is believed.
    pub(super) forwarded_headers: ForwardedHeaders,
    /// The host that was asked for.
    pub(super) host: Option<HeaderValue>,
    /// Whether the body's length is known.
    pub(super) body: Length,
}

/// Whether a body's length is known before it has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known,
    Unknown,
}

/// The headers for the upstream. `host` is left out: the client writes the upstream's.
pub(super) fn to_upstream(mut headers: HeaderMap, hop: &Hop) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    headers.remove(HOST);
    // Answered here already, by reading the body.
    headers.remove(EXPECT);
    if hop.body == Length::Unknown {
        headers.remove(CONTENT_LENGTH);
    }
    if hop.forwarded_headers == ForwardedHeaders::Replace {
        for name in [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO] {
            headers.remove(name);
        }
    }
    if let Some(peer) = hop.peer {
        continue_list(&mut headers, peer);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = hop.host.as_ref().filter(|_| !headers.contains_key(X_FORWARDED_HOST)) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    headers
}

/// Removes from an answer what ends at this hop.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

/// The protocol that the sender wants to switch to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
}

/// Asks for, or agrees to, a switch to the protocol.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_tokens(headers).filter_map(|token| token.parse().ok()).collect();
    for name in HOP_BY_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|it| it.split(','))
        .map(str::trim)
}

fn continue_list(headers: &mut HeaderMap, peer: IpAddr) {
    let so_far = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let list: Vec<String> = so_far.map(ToOwned::to_owned).chain([peer.to_string()]).collect();
    if let Ok(value) = HeaderValue::from_str(&list.join(", ")) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(headers: &[(&'static str, &'static str)], forwarded_headers: ForwardedHeaders) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let hop = Hop {
            peer: Some(IpAddr::from([192, 0, 2, 7])),
            forwarded_headers,
            host: Some(HeaderValue::from_static("slipway.example")),
            body: Length::Known,
        };
        let mut collected = HeaderMap::new();
        collected.extend(headers);
        let mut lines: Vec<_> = to_upstream(collected, &hop)
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_end_here() {
        let headers = [
            ("connection", "close, X-Between-Us"),
            ("x-between-us", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("accept", "*/*"),
            ("x-request-id", "r-1"),
        ];
        insta::assert_snapshot!(forwarded(&headers, ForwardedHeaders::Replace), @r"
        accept: */*
        x-forwarded-for: 192.0.2.7
        x-forwarded-host: slipway.example
        x-forwarded-proto: http
        x-request-id: r-1
        ");
    }

    #[test]
    fn at_the_edge_a_client_cannot_say_where_it_comes_from_and_behind_it_the_list_goes_on() {
        let headers = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "forged"),
        ];
        insta::assert_snapshot!(forwarded(&headers, ForwardedHeaders::Replace), @r"
        x-forwarded-for: 192.0.2.7
        x-forwarded-host: slipway.example
        x-forwarded-proto: http
        ");
        insta::assert_snapshot!(forwarded(&headers, ForwardedHeaders::Continue), @r"
        x-forwarded-for: 203.0.113.9, 192.0.2.7
        x-forwarded-host: forged
        x-forwarded-proto: https
        ");
    }
}
