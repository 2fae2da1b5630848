//! What a request on the wire must say about its host and body, so that everyone who reads it reads the same (RFC 9112).
//!
//! The parser has refused or normalised the rest: lengths that contradict each other, folded lines, white space before
//! colons. What it leaves to its user is in here.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, StatusCode, Uri, Version, header};

use crate::problem::Problem;

/// Refuses a request that does not say for whom it is, or says it in two ways.
///
/// # Errors
/// What is wrong with it, as the client is told.
pub(crate) fn check(request: &Request) -> Result<(), Problem> {
    // One that was made in this process, by a test, never had a form on the wire.
    if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
        return Ok(());
    }
    check_coding(request.headers())?;
    let mut given = request.headers().get_all(header::HOST).iter();
    let host = match (given.next(), given.next()) {
        (_, Some(_)) => return Err(bad("the header `host` may be sent only once")),
        (None, None) if request.version() < Version::HTTP_11 => None,
        (None, None) => return Err(bad("the header `host` is missing")),
        (Some(value), None) => {
            let host = value.to_str().ok().and_then(|text| text.parse().ok()).filter(is_plain);
            Some(host.ok_or_else(|| bad("the header `host` holds no host"))?)
        }
    };
    check_target(request.uri(), host.as_ref())
}

/// Bodies come in chunks or with a length: no other coding is undone here, so none may be passed on as if it were.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(bad("the only `transfer-encoding` that is accepted is `chunked`, once")),
    }
}

/// A name or address, and at most a port.
fn is_plain(host: &Authority) -> bool {
    host.as_str() == host.host() || host.port_u16().is_some() && !host.as_str().contains('@')
}

fn check_target(uri: &Uri, host: Option<&Authority>) -> Result<(), Problem> {
    let Some(scheme) = uri.scheme() else {
        return Ok(());
    };
    if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
        return Err(bad("the request line holds a URL that is none of HTTP"));
    }
    let same = match (uri.authority(), host) {
        (Some(target), Some(host)) => target.as_str().eq_ignore_ascii_case(host.as_str()),
        _ => true,
    };
    if same { Ok(()) } else { Err(bad("the request line and the header `host` name different hosts")) }
}

fn bad(message: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_request", message)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::HeaderValue;

    use super::*;

    fn refusal(target: &str, hosts: &[&str], version: Version) -> Option<String> {
        let mut request = Request::get(target).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))));
        check(&request).err().map(|problem| problem.message)
    }

    #[test]
    fn a_body_comes_in_chunks_or_with_a_length() {
        let passes = |codings: &[&'static str]| {
            let value = |coding: &&'static str| (header::TRANSFER_ENCODING, HeaderValue::from_static(coding));
            let mut headers = HeaderMap::new();
            codings.iter().map(value).for_each(|(name, value)| {
                headers.append(name, value);
            });
            check_coding(&headers).is_ok()
        };
        assert!(passes(&[]) && passes(&["chunked"]) && passes(&["Chunked"]));
        assert!(!passes(&["gzip, chunked"]) && !passes(&["chunked", "chunked"]) && !passes(&["identity"]));
    }

    #[test]
    fn a_request_names_one_host_in_one_way() {
        let passes = |target, hosts: &[&str]| refusal(target, hosts, Version::HTTP_11).is_none();
        assert!(passes("/v1", &["slipway.example"]));
        assert!(passes("/v1", &["[::1]:8000"]));
        assert!(passes("http://slipway.example/v1", &["Slipway.Example"]));
        assert!(!passes("/v1", &[]));
        assert!(!passes("/v1", &["a.example", "b.example"]));
        assert!(!passes("/v1", &["a.example", "a.example"]));
        for none in
            ["", "a.example/path", "a.example, b.example", "root@a.example", "a example", "a.example:port"]
        {
            assert!(!passes("/v1", &[none]), "{none:?}");
        }
        assert!(!passes("http://evil.example/v1", &["slipway.example"]));
        assert!(!passes("http://slipway.example:81/v1", &["slipway.example"]));
        assert!(!passes("ftp://slipway.example/v1", &["slipway.example"]));
        // HTTP/1.0 has no host to name.
        assert_eq!(refusal("/v1", &[], Version::HTTP_10), None);
    }
}
