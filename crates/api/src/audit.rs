//! The record of who did what.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Something that was done; it never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Grows with every entry, with gaps.
    pub id: i64,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// What, as noun and past participle.
    #[schema(example = "release.recorded")]
    pub action: String,
    /// To what: a noun and an identifier.
    #[schema(example = "release/0190f1c6-7b3e-7c3e-a3f0-5d6f0a3c9b11")]
    pub subject: String,
    /// In the course of which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The particulars, an object.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}
