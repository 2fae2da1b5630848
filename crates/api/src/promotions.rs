//! Promotions: a release asked for in an environment, and what was decided.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// A promotion to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPromotion {
    /// The version of the release that is to run in the environment.
    #[schema(example = "1.4.0")]
    pub release: String,
    /// Whether it goes back to a release that was desired here before: then no other environment has to have run it.
    #[serde(default)]
    pub rollback: bool,
    /// Why, for people: up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

/// A decision on a promotion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Why, for people: up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

/// Where a promotion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromotionState {
    /// Asked for, not decided. An environment has at most one of these.
    Open,
    /// The release is, or was, the desired one.
    Approved,
    /// Refused by another person.
    Rejected,
    /// Taken back.
    Withdrawn,
}

/// A recorded promotion; once it is decided it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Promotion {
    /// Its identifier.
    pub id: Uuid,
    /// The environment's name.
    pub environment: String,
    /// The release's version.
    pub release: String,
    /// Where it stands.
    pub state: PromotionState,
    /// Whether it goes back to a release that was desired before.
    pub rollback: bool,
    /// Whether another person must approve it: the environment was protected when it was asked for.
    pub needs_approval: bool,
    /// The observation which proves that the required environment ran the release; absent where none is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_id: Option<Uuid>,
    /// Who asked.
    pub asked_by: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When, by the database's clock.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub decided_at: Option<OffsetDateTime>,
    /// Why it was decided so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_note: Option<String>,
}
