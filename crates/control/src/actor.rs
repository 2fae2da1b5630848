//! Who causes a change: what the gateway says in `x-slipway-actor`, and the request's id.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use service::Problem;
use service::request_id::RequestId;
use store::Origin;

/// The gateway removes it from what clients send.
const HEADER: &str = "x-slipway-actor";

/// Who it is when the gateway does not say.
const UNKNOWN: &str = "anonymous";

/// In a handler: where a change comes from.
pub(crate) struct Actor(pub(crate) Origin);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let said = parts.headers.get(HEADER).and_then(|value| value.to_str().ok()).map(str::trim);
        let actor = said.filter(|actor| !actor.is_empty()).unwrap_or(UNKNOWN).to_owned();
        let Ok(id) = RequestId::from_request_parts(parts, state).await;
        Ok(Self(Origin { actor, request_id: Some(id.as_str().to_owned()) }))
    }
}
