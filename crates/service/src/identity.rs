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
use serde::{Deserialize, Serialize};

pub use api_token::{ApiToken, ApiTokenError, PREFIX as API_TOKEN_PREFIX};
pub use guard::{Operator, Releaser, Verifier, Viewer, guard};
pub use keys::IdentityKeys;
pub use token::{IdentityError, LIFETIME, Signer, mint, verify};

/// The header that carries it.
pub const HEADER: HeaderName = HeaderName::from_static("x-slipway-identity");

/// What starts the names of all headers with which services tell each other who someone is.
pub const HEADER_PREFIX: &str = "x-slipway-";

/// What someone may do; each role may all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look at everything but secrets.
    Viewer,
    /// May record releases and ask for them in environments.
    Releaser,
    /// May all that can be done, also to who may do what.
    Operator,
}

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

impl Role {
    /// Every role, from the one that may least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Releaser, Self::Operator];

    /// The role's name, as tokens and people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Releaser => "releaser",
            Self::Operator => "operator",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// A text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `viewer`, `releaser` or `operator`")]
pub struct UnknownRole;

/// A token as a header's value, marked so that no debug print shows it.
fn sensitive(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(token).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_by_what_they_may_and_go_by_their_names() {
        assert!(Role::Viewer < Role::Releaser && Role::Releaser < Role::Operator);
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!("admin".parse::<Role>(), Err(UnknownRole));
        assert_eq!("Operator".parse::<Role>(), Err(UnknownRole));
    }
}
