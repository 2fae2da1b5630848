//! Changes as they happen.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Every kind of change, and what it says.
pub const EVENT_KINDS: &[(&str, &str)] = &[
    ("release.recorded", "a release was recorded"),
    ("release.verified", "a release is at its registries as it was released, and signed by a trusted key"),
    (
        "release.rejected",
        "a release is not at its registries as it was released, or nobody trusted signed it",
    ),
    ("release.not_verified", "nobody's signatures count, or an environment runs what the release lacks"),
    ("environment.created", "an environment was recorded"),
    ("environment.changed", "what an environment runs or requires was changed"),
    ("environment.observed", "a release was seen to run in an environment"),
    ("environment.desired_changed", "another release is to run in an environment"),
    ("promotion.asked", "a release was asked for in an environment"),
    ("promotion.approved", "what was asked for was approved"),
    ("promotion.rejected", "what was asked for was refused"),
    ("promotion.withdrawn", "what was asked for was taken back"),
    ("token.created", "an API token was made"),
    ("token.revoked", "an API token was revoked"),
    ("job.dead", "a job was given up, and waits for a person"),
    ("job.requeued", "a person gave a dead job its attempts back"),
    ("job.discarded", "a person removed a dead job"),
];

/// A change: the `data` of one server-sent event, whose `id` is the change's and whose `event` is its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows with every change, in the order in which changes became visible, with gaps.
    pub id: i64,
    /// What happened, as noun and past participle: one of the kinds that the description of `Event` lists. More come with
    /// later versions.
    #[schema(example = "promotion.approved")]
    pub event: String,
    /// To what: a noun and an identifier.
    pub subject: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// In the course of which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The particulars, an object.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}
