//! What is to be published, as `cargo xtask release` writes it down: a file without secrets.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use time::OffsetDateTime;

use super::refusal::Refusal;
use crate::{Digest, SigningKey, Tag, TrustedKeys, record};

/// A release, before it is published.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Nothing for a snapshot of a branch.
    pub version: Option<String>,
    /// The release's commit; empty where it is still to be made, and only looked at.
    pub commit: String,
    /// That commit's time.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Host and port.
    pub registry: String,
    /// What stands before a service's name there.
    pub path: String,
    pub images: Vec<Image>,
    /// Tags that never move.
    pub immutable: Vec<Tag>,
    /// Tags that lead to the newest image of a branch.
    pub moving: Vec<Tag>,
    /// Files of the public keys that hosts trust.
    pub trusted_keys: Vec<PathBuf>,
    pub evidence: BTreeMap<String, record::Evidence>,
    pub accepted: record::Accepted,
    /// Where files of the release are written.
    pub folder: PathBuf,
}

/// An image in podman's store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    pub service: String,
    /// Its name in the store; nothing where it is still to be built, and only looked at.
    pub reference: Option<String>,
    /// The digest of its configuration.
    pub id: Option<Digest>,
}

pub use record::Accepted;

impl Order {
    /// Reads an order.
    ///
    /// # Errors
    /// When the file cannot be read or is no order.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let refuse = |why: String| {
            let message = format!("`{}` is no order of a release: {why}", path.display());
            Refusal::usage("release-order", message, "cargo xtask release writes one")
        };
        let text = fs::read(path).map_err(|error| refuse(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
    }

    /// The keys that hosts trust.
    ///
    /// # Errors
    /// When one cannot be read, or the key that signs is none of them: no host would take what it signs.
    pub fn trusted(&self, key: &SigningKey) -> Result<TrustedKeys, Refusal> {
        let trusted = TrustedKeys::from_files(&self.trusted_keys)?;
        let id = key.public().id().to_string();
        if trusted.has(&id) {
            return Ok(trusted);
        }
        let message = format!(
            "the signing key is {id}, which is none of the trusted ones: hosts would refuse what it signs"
        );
        let fix =
            "commit its public half (`release keys public`) as one of `trusted-keys`, or take another key";
        Err(Refusal::fault("release-untrusted-key", message, fix))
    }
}
