//! The one form in which every service says that a request failed: problem details as RFC 9457 has them.
//!
//! `type`, `title`, `status` and `detail` are the RFC's; `code` is what programs decide by, `request_id` what the logs are
//! searched by, and `errors` names the fields at fault, where there are some.

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::request_id::RequestId;

/// Why a request failed: what a handler returns instead of an answer.
///
/// It becomes a body where the request id is known, in the chassis's outermost layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The answer's status.
    pub status: StatusCode,
    /// What programs decide by: snake case, never changed once published.
    pub code: &'static str,
    /// What people read.
    pub message: String,
    /// The fields of the request that are at fault.
    pub errors: Vec<FieldError>,
}

/// A field of a request that is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// In which part of the request it is.
    pub part: Part,
    /// Where it is there: a JSON pointer (RFC 6901) such as `/images/gateway` into the body, or such as `/limit` into what is
    /// named in the other parts.
    pub pointer: String,
    /// What is wrong with it, and what it may hold.
    pub detail: String,
}

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The body.
    Body,
    /// The query's parameters.
    Query,
    /// The headers.
    Header,
    /// The path's variables.
    Path,
}

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// What stands before the code in `type`.
const TYPE_PREFIX: &str = "urn:slipway:problem:";

impl Problem {
    /// A problem with a status, a code for programs and a message for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: Vec::new() }
    }

    /// 404: what was asked for does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 422: the request is well-formed, but the field of the body that `pointer` names holds what cannot be accepted.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail.clone()).at(pointer, detail)
    }

    /// The same problem, with one more field of the body that is at fault.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError::body(pointer, detail));
        self
    }

    /// 409: the request contradicts what is already there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 503: something that the service needs is away for now; the cause is for the log, not for the client.
    pub fn unavailable(cause: impl Into<anyhow::Error>) -> Self {
        tracing::error!(error = format!("{:#}", cause.into()), "something the service needs is unavailable");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the service is unavailable for now, try again later",
        )
    }

    /// 500: a fault of the service's own; the cause is for the log, not for the client.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        tracing::error!(error = format!("{:#}", cause.into()), "request failed");
        Self::internal_already_logged()
    }

    pub(crate) fn internal_already_logged() -> Self {
        let message = "the service failed; its log says why under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "this path does not take this method; the `allow` header says which it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// The body, now that the request id is known.
    pub(crate) fn body(&self, request_id: &RequestId) -> String {
        let mut body = serde_json::json!({
            "type": format!("{TYPE_PREFIX}{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.message,
            "code": self.code,
            "request_id": request_id.as_str(),
        });
        if !self.errors.is_empty() {
            let error = |it: &FieldError| {
                let mut error = serde_json::json!({ "pointer": it.pointer, "detail": it.detail });
                if let Some(part) = it.part.name() {
                    error["in"] = part.into();
                }
                error
            };
            body["errors"] = self.errors.iter().map(error).collect();
        }
        body.to_string()
    }
}

impl FieldError {
    /// A field of the body, by its JSON pointer.
    pub fn body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { part: Part::Body, pointer: pointer.into(), detail: detail.into() }
    }

    /// What is named in another part of the request.
    pub fn named(part: Part, name: &str, detail: impl Into<String>) -> Self {
        Self { part, pointer: pointer("", name), detail: detail.into() }
    }
}

impl Part {
    /// How it is told; the body goes without saying.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Body => None,
            Self::Query => Some("query"),
            Self::Header => Some("header"),
            Self::Path => Some("path"),
        }
    }
}

/// A JSON pointer (RFC 6901) to a field below another pointer.
pub fn pointer(above: &str, name: &str) -> String {
    format!("{above}/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives a response that carries a [`Problem`] its body.
pub(crate) fn render(response: Response, request_id: &RequestId) -> Response {
    let (mut parts, body) = response.into_parts();
    let Some(problem) = parts.extensions.remove::<Problem>() else {
        return Response::from_parts(parts, body);
    };
    // What else was set stays: `allow`, `www-authenticate`, `retry-after`.
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Response::from_parts(parts, problem.body(request_id).into())
}
