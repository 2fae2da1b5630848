//! Releases: what was built of which commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// A release to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// A semantic version.
    #[schema(example = "1.4.0", max_length = 128)]
    pub version: String,
    /// The full commit: 40 or 64 lower-case hex digits.
    #[schema(pattern = "^([0-9a-f]{40}|[0-9a-f]{64})$")]
    pub commit: String,
    /// Per service its image by digest: `registry.example.org/slipway/gateway@sha256:…`.
    pub images: BTreeMap<String, String>,
    /// Which key signed the images: the SHA-256 of its public key (SPKI, DER) in lower-case hex; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub signing_key_id: Option<String>,
    /// Where the release's own record with its evidence lies: a URL, or an artifact by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub evidence: Option<String>,
}

/// A recorded release; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Its identifier.
    pub id: Uuid,
    /// A semantic version, unique among releases.
    pub version: String,
    /// The full commit.
    pub commit: String,
    /// Per service its image by digest.
    pub images: BTreeMap<String, String>,
    /// Which key signed the images; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_id: Option<String>,
    /// Where the release's own record with its evidence lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Who recorded it.
    pub recorded_by: String,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
}
