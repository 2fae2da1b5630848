//! Environments: where releases run, which release is desired there, and what was seen to run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// An environment as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutEnvironment {
    /// The services that run there: a release fits when it has an image for each.
    pub services: BTreeSet<String>,
    /// Whether what is asked for here must be approved by another person.
    #[serde(default)]
    pub protected: bool,
    /// The environment that must have run a release before it may come here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "staging")]
    pub requires: Option<String>,
}

/// A recorded environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    /// Its identifier.
    pub id: Uuid,
    /// Its name.
    #[schema(example = "production", pattern = "^[a-z][a-z0-9-]{0,62}$")]
    pub name: String,
    /// The services that run there, in alphabetical order.
    pub services: Vec<String>,
    /// Whether what is asked for here must be approved by another person.
    pub protected: bool,
    /// The environment that must have run a release before it may come here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<String>,
    /// The release that is to run here; absent until one was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredRelease>,
    /// Grows with every change of the environment or its desired release; `ETag` is this in quotes.
    pub revision: i64,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A release that is, or was, to run in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesiredRelease {
    /// Counts from 1 in each environment, without gaps.
    pub generation: i64,
    /// The release's version.
    pub release: String,
    /// The promotion that made it so.
    pub promotion_id: Uuid,
    /// Who decided it.
    pub set_by: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
}

/// How a release was seen to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All of the environment's services run it, and are ready.
    Healthy,
    /// At least one does not.
    Unhealthy,
}

/// What somebody saw run in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewObservation {
    /// The version of the release that was seen.
    #[schema(example = "1.4.0")]
    pub release: String,
    /// How it runs.
    pub health: Health,
    /// What it was seen by, for people: up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

/// A recorded observation; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Observation {
    /// Its identifier.
    pub id: Uuid,
    /// The version of the release that was seen.
    pub release: String,
    /// How it ran.
    pub health: Health,
    /// What it was seen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who reported it.
    pub observed_by: String,
    /// When it was reported, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
}
