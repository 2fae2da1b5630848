//! The request id: taken from `x-request-id` or made, then in every log line, error body, answer and upstream request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// An id longer than this is not kept: it would be repeated in every log line.
const LENGTH_MAX: usize = 128;

/// The id of one request. Invariant: 1 to 128 letters, digits, `-`, `_`, `.` or `:`, so it is safe in logs and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one (UUID v7: sorts by time).
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The id that the request brings if it is sane, otherwise a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(HEADER).iter();
        match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
            (Some(id), None) if is_sane(id) => Self(id.to_owned()),
            _ => Self::new(),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a header's value; `None` cannot happen by the type's invariant.
    pub fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// In a handler: the id of the request being handled.
impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

fn is_sane(id: &str) -> bool {
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.bytes().all(sane)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str) -> bool {
        let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_bytes(id.as_bytes()).unwrap())]);
        RequestId::of(&headers).as_str() == id
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_is_replaced() {
        assert!(kept("0190f1c6-7b3e-7c3e-a3f0-5d6f0a3c9b11"));
        assert!(kept("deploy_42.3:a"));
        assert!(!kept(""));
        assert!(!kept("two words"));
        assert!(!kept("quote\"and{brace}"));
        assert!(!kept(&"x".repeat(129)));
    }

    #[test]
    fn two_ids_in_one_request_are_as_good_as_none() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("a"));
        headers.append(HEADER, HeaderValue::from_static("b"));
        assert_eq!(RequestId::of(&headers).as_str().len(), 36);
    }
}
