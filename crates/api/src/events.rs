//! Changes as they happen.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A change: the `data` of one server-sent event, whose `id` is the change's and whose `event` is its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows with every change, in the order in which changes became visible, with gaps.
    pub id: i64,
    /// What happened, as noun and past participle.
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
