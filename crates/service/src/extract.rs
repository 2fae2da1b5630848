//! What handlers take from a request, with failures in the form that every service answers in.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::body::BodyError;
use crate::problem::{self, FieldError, Part, Problem};

/// A JSON body: 415 without its content type, 400 when it is no JSON, 422 with the field when it is another shape.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

/// The query string: 422 when it is another shape.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

/// The variable parts of the path: 404 when they are not what the route takes.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let is_json =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
                value
                    .split(';')
                    .next()
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
            });
        if !is_json {
            let message = "the body must be JSON; send it with `content-type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
        }
        let bytes = whole(request.into_body()).await?;
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refuse(&error))?;
        deserializer.end().map_err(|error| malformed(&error))?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(unreadable(&rejection.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Problem::not_found(format!("`{}` does not exist", parts.uri.path()))),
        }
    }
}

/// The whole body; how much that may be is set by the chassis's limit, which the body itself carries.
async fn whole(body: Body) -> Result<axum::body::Bytes, Problem> {
    to_bytes(body, usize::MAX).await.map_err(|error| match BodyError::within(&error) {
        Some(limit) => limit.into(),
        None => {
            Problem::new(StatusCode::BAD_REQUEST, "body_incomplete", "the body ended before it was complete")
        }
    })
}

fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if !error.inner().is_data() {
        return malformed(error.inner());
    }
    let message = error.inner().to_string();
    // The path ends at what lacks a field: only the message names that one.
    let missing =
        message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    let path = error.path().iter().map(|segment| match segment {
        Segment::Seq { index } => index.to_string(),
        Segment::Map { key } => key.clone(),
        Segment::Enum { variant } => variant.clone(),
        Segment::Unknown => "?".to_owned(),
    });
    let path = path.chain(missing.map(ToOwned::to_owned));
    let pointer = path.fold(String::new(), |above, name| problem::pointer(&above, &name));
    Problem::invalid(pointer, message)
}

/// A query that is another one than the route takes.
fn unreadable(rejection: &str) -> Problem {
    let why = rejection.strip_prefix("Failed to deserialize query string: ").unwrap_or(rejection);
    // A name that is unknown, missing or there twice is the first that stands in backticks.
    let name = why.split('`').nth(1).filter(|_| why.contains(" field `"));
    // What stands before it is the place, which the pointer says.
    let why = name.and_then(|name| why.strip_prefix(name)?.strip_prefix(": ")).unwrap_or(why);
    let fault = match name {
        Some(name) => FieldError::named(Part::Query, name, why),
        None => FieldError { part: Part::Query, pointer: String::new(), detail: why.to_owned() },
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", why);
    Problem { errors: vec![fault], ..problem }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not JSON: {error}"))
}
