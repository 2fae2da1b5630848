//! Who asks: a short-lived signed statement that the gateway makes and the services behind it verify.
//!
//! It travels in `x-slipway-identity` as a compact JWS (HS256) and holds for one request, one service and 30 seconds.
//!
//! Invariant: what is in here is only what the gateway signed; no other header says who someone is.

mod api_token;
mod guard;
mod keys;
mod token;

use axum::http::{HeaderName, HeaderValue};

pub use api_token::{ApiToken, ApiTokenError, PREFIX as API_TOKEN_PREFIX};
pub use guard::{Operator, Releaser, Verifier, Viewer, guard};
pub use keys::IdentityKeys;
pub use role::{Role, UnknownRole};
pub use token::{IdentityError, LIFETIME, Signer, mint, verify};

/// The header that carries it.
pub const HEADER: HeaderName = HeaderName::from_static("x-slipway-identity");

/// What starts the names of all headers with which services tell each other who someone is.
pub const HEADER_PREFIX: &str = "x-slipway-";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The person or program, as its token says.
    pub subject: String,
    /// What it may do.
    pub role: Role,
    /// The id of the one request for which this holds.
    pub request_id: String,
}

/// A token as a header's value, marked so that no debug print shows it.
fn sensitive(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(token).ok()?;
    value.set_sensitive(true);
    Some(value)
}
