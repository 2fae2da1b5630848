//! What a request must look like before anything else is asked of it, and what of it reaches control.
//!
//! Two servers that read one request differently are how requests are smuggled. So nothing is passed on that could be
//! read in two ways: a path is plain or refused, a header is one of those that the API has or stays here.

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, USER_AGENT,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use service::Problem;

/// Longer than any path of the API with the longest names in it.
const PATH_LENGTH_MAX: usize = 1024;
/// Longer than any query that the API has a use for.
const QUERY_LENGTH_MAX: usize = 4096;

/// The headers of clients that reach control. What is not in here stays in the gateway: names with which services
/// tell each other who someone is, in every spelling, and the client's token with them.
const PASSED_ON: [HeaderName; 11] = [
    ACCEPT,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    IF_MATCH,
    IF_NONE_MATCH,
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    USER_AGENT,
    service::request_id::HEADER,
];

/// What a proxy in front says about the client, believed only of one that is trusted.
const FROM_PROXIES: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// Headers of which there may be one: of two, each server might take another.
const SINGLE: [HeaderName; 6] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    IF_MATCH,
    HeaderName::from_static("last-event-id"),
];

/// Headers that ask for another method or path than the request line: whoever honours them decides about another
/// request than the one that was let through.
const OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
];

/// Whether `x-forwarded-*` are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxies {
    /// The peer is a proxy that is trusted.
    Trusted,
    /// Anyone could have written them.
    Unknown,
}

/// Refuses what could be read in two ways.
///
/// # Errors
/// What is wrong with it, as the client is told.
pub(crate) fn check(request: &Parts) -> Result<(), Problem> {
    check_target(&request.uri)?;
    let headers = &request.headers;
    if let Some(name) = SINGLE.iter().find(|name| headers.get_all(*name).iter().count() > 1) {
        return Err(bad("repeated_header", format!("the header `{name}` may be sent only once")));
    }
    if let Some(name) = OVERRIDES.iter().find(|name| headers.contains_key(**name)) {
        let message = format!("the header `{name}` is not supported; send the request that is meant");
        return Err(bad("override_header", message));
    }
    Ok(())
}

/// Takes out of a request's headers what is not for control.
pub(crate) fn keep_what_the_api_has(headers: &mut HeaderMap, proxies: Proxies) {
    let hop: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &HeaderName| {
        let from_proxy = FROM_PROXIES.contains(name);
        // What the client's `connection` names ends here, but for what the gateway itself has set.
        let ends_here = hop.iter().any(|it| it == name.as_str());
        from_proxy && proxies == Proxies::Trusted
            || PASSED_ON.contains(name) && (!ends_here || *name == service::request_id::HEADER)
    };
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| !passes(name)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

fn check_target(uri: &Uri) -> Result<(), Problem> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    if path.len() > PATH_LENGTH_MAX || query.len() > QUERY_LENGTH_MAX {
        let message = format!("a path may have {PATH_LENGTH_MAX} bytes and a query {QUERY_LENGTH_MAX}");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", message));
    }
    // No name in the API needs a percent sign, so `%2e`, `%2f` and `%00` need no rule of their own.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let segments = || path.split('/').skip(1);
    let unclear = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    if !path.starts_with('/') || !path.bytes().all(plain) || path != "/" && segments().any(unclear) {
        let message =
            "the path must be plain: names between single slashes, without percent signs and dot segments";
        return Err(bad("malformed_path", message));
    }
    if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("malformed_query", "the query must be ASCII, everything else percent-encoded"));
    }
    Ok(())
}

fn bad(code: &'static str, message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(target: &str) -> Option<&'static str> {
        check_target(&target.parse().unwrap()).err().map(|problem| problem.code)
    }

    #[test]
    fn a_path_is_plain_or_refused() {
        for good in
            ["/", "/v1/releases/1.4.0-rc.1", "/v1/releases?limit=3&x=%2F..%00", "/v1/a~b:c@d", "/.hidden/..a"]
        {
            assert_eq!(refusal(good), None, "{good}");
        }
        for bad in [
            "//",
            "//v1",
            "/v1//releases",
            "/v1/releases/",
            "/v1/../v1",
            "/v1/.",
            "/..",
            "/v1/%2e%2e/x",
            "/v1/%2E",
            "/v1/a%2fb",
            "/v1/a%00",
            "/v1/%",
            "/v1/a\\b",
            "/v1/a|b",
            "/v1/é",
            "/v1/%c3%a9",
            "*",
        ] {
            assert_eq!(refusal(bad), Some("malformed_path"), "{bad}");
        }
        assert_eq!(refusal("/v1?q=é"), Some("malformed_query"));
        assert_eq!(refusal(&format!("/{}", "a".repeat(PATH_LENGTH_MAX))), Some("uri_too_long"));
        assert_eq!(refusal(&format!("/?{}", "a".repeat(QUERY_LENGTH_MAX + 1))), Some("uri_too_long"));
    }

    #[test]
    fn only_headers_that_the_api_has_are_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "*/*"),
            ("authorization", "Bearer x"),
            ("connection", "close, Content-Type, X-Request-Id"),
            ("content-type", "text/plain"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-request-id", "r-1"),
            ("x-slipway-identity", "forged"),
            ("x_slipway_identity", "forged"),
            ("x-slipway-actor", "forged"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let kept = |proxies| {
            let mut headers = headers.clone();
            keep_what_the_api_has(&mut headers, proxies);
            let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(kept(Proxies::Unknown), "accept x-request-id");
        assert_eq!(kept(Proxies::Trusted), "accept x-forwarded-for x-request-id");
    }
}
