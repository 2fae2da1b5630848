//! Letting in who the gateway vouches for, and only to what their role may.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use super::{HEADER, Identity, IdentityError, IdentityKeys, Role, verify};
use crate::problem::Problem;
use crate::request_id::RequestId;

/// Reads who asks one service; clones share the keys.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: IdentityKeys,
    audience: Arc<str>,
}

impl Verifier {
    /// For the service of this name: the `aud` of what it is told.
    pub fn new(keys: IdentityKeys, audience: &str) -> Self {
        Self { keys, audience: audience.into() }
    }

    /// Who asks, by the request's headers.
    ///
    /// # Errors
    /// The gateway has not said so, or not for this very request.
    pub fn read(&self, headers: &HeaderMap, request_id: &RequestId) -> Result<Identity, IdentityError> {
        let mut given = headers.get_all(HEADER).iter();
        let token = given.next().ok_or(IdentityError::Missing)?;
        if given.next().is_some() {
            return Err(IdentityError::Repeated);
        }
        let token = token.to_str().map_err(|_| IdentityError::Malformed)?;
        let identity = verify(&self.keys, &self.audience, token, SystemTime::now())?;
        if identity.request_id != request_id.as_str() {
            return Err(IdentityError::OtherRequest);
        }
        Ok(identity)
    }
}

/// Puts every route that the router has so far behind the gateway: without a valid identity the answer is 401.
/// Handlers take an [`Identity`], or by the role that they need a [`Viewer`], a [`Releaser`] or an [`Operator`].
///
/// # Panics
/// When the router has no route yet.
pub fn guard<S: Clone + Send + Sync + 'static>(router: Router<S>, verifier: Verifier) -> Router<S> {
    router.route_layer(from_fn_with_state(verifier, check))
}

async fn check(State(verifier): State<Verifier>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(request_id) = RequestId::from_request_parts(&mut parts, &()).await;
    match verifier.read(&parts.headers, &request_id) {
        Ok(identity) => {
            parts.extensions.insert(identity);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => {
            // Which check failed is for who runs this, not for who tries it.
            tracing::warn!(error = %error, "a request that does not come from the gateway");
            let message = "only the gateway may ask this service; ask through it";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", message).into_response()
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let fault = || Problem::internal(anyhow::anyhow!("the route is not behind `identity::guard`"));
        parts.extensions.get::<Self>().cloned().ok_or_else(fault)
    }
}

/// Who asks, when their role may what `needed` may.
fn allowed(identity: Identity, needed: Role) -> Result<Identity, Problem> {
    if identity.role >= needed {
        return Ok(identity);
    }
    let message = format!("this needs the role `{needed}`, and yours is `{}`", identity.role);
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", message))
}

macro_rules! extractor {
    ($($(#[doc = $what:literal])+ $role:ident),*) => { $(
        $(#[doc = $what])+
        #[derive(Debug, Clone)]
        pub struct $role(pub Identity);

        impl<S: Send + Sync> FromRequestParts<S> for $role {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                allowed(Identity::from_request_parts(parts, state).await?, Role::$role).map(Self)
            }
        }
    )* };
}

extractor! {
    /// In a handler: who asks, and may at least look.
    Viewer,
    /// In a handler: who asks, and may release; 403 for others.
    Releaser,
    /// In a handler: who asks, and may operate; 403 for others.
    Operator
}
