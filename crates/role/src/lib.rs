//! What someone may do: the one word that tokens, identities, the record and the API's contract share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What someone may do; each role may also do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Records releases and asks for promotions.
    Releaser,
    /// Decides on promotions, keeps environments, and gives out tokens.
    Operator,
}

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRole;

impl Role {
    /// Every role, the one that may do least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Releaser, Self::Operator];

    /// Its name, as tokens, people and the record write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Releaser => "releaser",
            Self::Operator => "operator",
        }
    }

    /// Whether it may do what `needed` may.
    pub fn covers(self, needed: Self) -> bool {
        self >= needed
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Display for UnknownRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected `viewer`, `releaser` or `operator`")
    }
}

impl std::error::Error for UnknownRole {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_by_what_they_may_and_go_by_their_names() {
        assert!(Role::Viewer < Role::Releaser && Role::Releaser < Role::Operator);
        assert!(Role::Operator.covers(Role::Viewer) && !Role::Viewer.covers(Role::Releaser));
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).ok(), Some(role.name().into()));
        }
        assert_eq!("admin".parse::<Role>(), Err(UnknownRole));
        assert_eq!("Operator".parse::<Role>(), Err(UnknownRole));
    }
}
