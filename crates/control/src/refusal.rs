//! What the record's errors mean to who asked.

use axum::http::StatusCode;
use service::Problem;

/// The answer to a request that the record did not carry out.
pub(crate) fn of(error: store::Error) -> Problem {
    match error {
        store::Error::Conflict(text) => Problem::conflict(text),
        store::Error::Invalid(text) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text),
        error @ store::Error::Unavailable(_) => Problem::unavailable(error),
        error => Problem::internal(error),
    }
}
