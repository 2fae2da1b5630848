//! What the record's errors, and a request's own faults, mean to who asked.

use axum::http::StatusCode;
use service::Problem;
use service::problem::{FieldError, Part};
use store::environments::PutError;
use store::observations::ObserveError;
use store::promotions::Refusal;
use store::releases::RecordError;

/// The answer to a request with something wrong in it: all of it.
pub(crate) fn invalid(faults: Vec<FieldError>) -> Problem {
    with_faults(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid",
        "the request holds what cannot be accepted",
        faults,
    )
}

/// The same, for one field of the body.
pub(crate) fn invalid_at(pointer: &str, detail: impl Into<String>) -> Problem {
    invalid(vec![FieldError::body(pointer, detail)])
}

/// The same, for what is named in another part of the request.
pub(crate) fn invalid_in(part: Part, name: &str, detail: impl Into<String>) -> Problem {
    invalid(vec![FieldError::named(part, name, detail)])
}

/// The answer to a request that the record did not carry out.
pub(crate) fn of(error: store::Error) -> Problem {
    match error {
        store::Error::Conflict(text) => Problem::conflict(text),
        store::Error::Invalid(text) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text),
        store::Error::KeyReused => {
            let detail = "this key was used for another request; use a new one for each";
            let faults = vec![FieldError::named(Part::Header, api::IDEMPOTENCY_KEY, detail)];
            let message = "the `Idempotency-Key` was used for another request";
            with_faults(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", message, faults)
        }
        store::Error::Forgotten { .. } => {
            let message = format!("{error}: read the lists anew, then follow from now on");
            Problem::new(StatusCode::GONE, "events_forgotten", message)
        }
        error @ (store::Error::Unavailable(_) | store::Error::Contended(_)) => Problem::unavailable(error),
        error => Problem::internal(error),
    }
}

/// The answer to a release that was not recorded.
pub(crate) fn of_record(error: RecordError) -> Problem {
    match error {
        RecordError::Store(error) => of(error),
        RecordError::Differs(differences) => {
            let faults = differences.into_iter().map(|difference| {
                let detail = match difference.recorded {
                    Some(recorded) => format!("`{recorded}` is recorded"),
                    None => "nothing is recorded".to_owned(),
                };
                FieldError::body(format!("/{}", difference.field), detail)
            });
            let message = "this version is recorded with other content, and a release never changes";
            with_faults(StatusCode::CONFLICT, "version_taken", message, faults.collect())
        }
        error => Problem::internal(error),
    }
}

/// The answer to an environment that was not put.
pub(crate) fn of_put(error: PutError) -> Problem {
    let message = error.to_string();
    match error {
        PutError::Store(error) => of(error),
        PutError::Exists(name) => {
            let status = StatusCode::PRECONDITION_REQUIRED;
            let message = format!(
                "environment `{name}` is recorded otherwise: say with `If-Match` which `ETag` is to be replaced"
            );
            Problem::new(status, "precondition_required", message)
        }
        PutError::Changed { .. } => {
            let message = format!("{message}; read it again before you change it");
            Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
        }
        PutError::NothingRequired(_) | PutError::Circle(_) => invalid_at("/requires", message),
        error => Problem::internal(error),
    }
}

/// The answer to an observation that was not recorded.
pub(crate) fn of_observe(error: ObserveError) -> Problem {
    let message = error.to_string();
    match error {
        ObserveError::Store(error) => of(error),
        ObserveError::NoEnvironment(_) => Problem::not_found(message),
        ObserveError::NoRelease(_) => invalid_at("/release", message),
        ObserveError::NeverDesired { .. } => Problem::new(StatusCode::CONFLICT, "never_desired", message),
        error => Problem::internal(error),
    }
}

/// The answer to a promotion that was not asked for or not decided.
pub(crate) fn of_promotion(refusal: Refusal) -> Problem {
    let message = refusal.to_string();
    let conflict = |code| Problem::new(StatusCode::CONFLICT, code, message.clone());
    let forbidden = |code| Problem::new(StatusCode::FORBIDDEN, code, message.clone());
    match refusal {
        Refusal::Store(error) => of(error),
        Refusal::NoEnvironment(_) | Refusal::NoPromotion(_) => Problem::not_found(message),
        Refusal::NoRelease(_) => invalid_at("/release", message),
        Refusal::Held { .. } => conflict("promotion_open"),
        Refusal::Incomplete { .. } => conflict("release_incomplete"),
        Refusal::Desired { .. } => conflict("already_desired"),
        Refusal::NoWayBack { .. } => conflict("never_desired"),
        Refusal::NotProven { .. } => conflict("not_proven"),
        Refusal::Outdated(_) => conflict("outdated"),
        Refusal::Decided { .. } => conflict("decided"),
        Refusal::Oneself => forbidden("own_promotion"),
        Refusal::Machine => forbidden("machine"),
        Refusal::SomebodyElses(_) => forbidden("not_yours"),
        error => Problem::internal(error),
    }
}

fn with_faults(status: StatusCode, code: &'static str, message: &str, errors: Vec<FieldError>) -> Problem {
    Problem { errors, ..Problem::new(status, code, message) }
}
