//! Who asks: what the gateway signed, whether the route's role allows it, and where a change comes from.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use service::Problem;
use service::identity::{Identity, Role};
use service::problem::Part;
use store::{Key, Origin};

use crate::{form, refusal};

/// In a handler: who asks, as the record is to call them.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) origin: Origin,
    pub(crate) role: Role,
}

/// In a handler: the `Idempotency-Key`, if there is one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Identity { subject, role, request_id } = Identity::from_request_parts(parts, state).await?;
        Ok(Self { origin: Origin { actor: subject, request_id: Some(request_id) }, role })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all(api::IDEMPOTENCY_KEY).iter();
        let Some(key) = given.next() else { return Ok(Self(None)) };
        if given.next().is_some() {
            return Err(refusal::invalid_in(Part::Header, api::IDEMPOTENCY_KEY, "stands here twice"));
        }
        let key = form::idempotency_key(key.to_str().unwrap_or_default());
        key.map(|key| Self(Some(key)))
            .map_err(|wanted| refusal::invalid_in(Part::Header, api::IDEMPOTENCY_KEY, wanted))
    }
}

impl IdempotencyKey {
    /// The key of the request with this hash.
    pub(crate) fn of(self, request: [u8; 32]) -> Option<Key> {
        self.0.map(|text| Key { text, request })
    }
}

/// Around a route: 403 for whose role does not cover the one that the table names. The gateway has asked the same
/// table; this is for the day on which it has not.
pub(crate) async fn need(State(needed): State<Role>, request: Request, next: Next) -> Response {
    let Some(identity) = request.extensions().get::<Identity>() else {
        return Problem::internal(Unguarded).into_response();
    };
    if identity.role.covers(needed) {
        return next.run(request).await;
    }
    let message = format!("this needs the role `{needed}`, and yours is `{}`", identity.role);
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message).into_response()
}

/// A fault of the assembly: nobody asked who asks.
#[derive(Debug)]
struct Unguarded;

impl std::fmt::Display for Unguarded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the route is not behind `identity::guard`")
    }
}

impl std::error::Error for Unguarded {}
