//! `release.json`: what was released, as one canonical document that is signed.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    digest::Digest,
    error::{FAULT, USAGE},
    keys::{KeyId, TrustedKeys},
    reference::Repository,
};

/// The version of the record's form that is written, and the newest that is read.
pub const SCHEMA: u32 = 1;
/// Bytes that a record may have.
pub const RECORD_MAX: usize = 1024 * 1024;
/// Signatures of one record that are looked at.
const SIGNATURES_MAX: usize = 100;

/// What was released. The same release gives the same bytes, wherever and whenever it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Such as `1.4.0`; nothing for a snapshot of a branch.
    pub version: Option<String>,
    /// The release's commit, 40 hexadecimal digits.
    pub commit: String,
    /// That commit's time: a clock would make each run's record another one.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// By the service's name.
    pub services: BTreeMap<String, Service>,
    /// By the step's name: what the gate said about this very tree.
    pub evidence: BTreeMap<String, Evidence>,
    /// What somebody released in spite of.
    pub accepted: Accepted,
}

/// One service's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Where the image lies.
    pub repository: Repository,
    /// The manifest's digest as it was pushed: the image's identity.
    pub digest: Digest,
    /// The commit that the image was built from, as its label says; an older one where nothing changed since.
    pub built_from: String,
    /// What went into it, as its label says.
    pub fingerprint: String,
    /// The digest of the SBOM's document.
    pub sbom: Option<Digest>,
    /// Identifiers of the keys that signed it.
    pub signed_by: Vec<KeyId>,
}

/// What a step of the gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How it ended. A verdict that was kept is one that was passed.
    pub verdict: Verdict,
    /// What was judged, the same on every machine.
    pub fingerprint: Option<String>,
}

/// How a step of a green gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It found no fault.
    Passed,
    /// It does not apply to this workspace.
    Skipped,
}

/// What was not as it should be and was released all the same, because somebody said so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Advisories were not judged.
    pub no_advisories: bool,
    /// Bases that stand in for genuine ones.
    pub stand_in_bases: Vec<String>,
}

/// A record that is none.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not a record's JSON.
    #[error("this is no release record: {0}")]
    NoRecord(String),
    /// Written by a newer Slipway.
    #[error("the release record has schema {0}, this program reads {SCHEMA}; use a newer one")]
    Newer(u32),
    /// Not the bytes that a record is written as.
    #[error("the release record is not in its canonical form: it was changed after it was written")]
    NotCanonical,
    /// Its signature file has none.
    #[error("`release.json.sig` holds no signature: a line of base64 each")]
    NoSignature,
    /// No trusted key signed it.
    #[error(
        "none of the trusted keys signed this release record: it was changed, or another key signed it; `--key FILE` names those"
    )]
    Untrusted,
}

impl RecordError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoRecord(_) | Self::NotCanonical | Self::NoSignature | Self::Untrusted => FAULT,
            Self::Newer(_) => USAGE,
        }
    }
}

impl Record {
    /// The canonical bytes: indented JSON with the fields in their order, maps sorted, ended by a line feed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut canonical = self.clone();
        canonical.created_at = canonical.created_at.to_offset(time::UtcOffset::UTC);
        for service in canonical.services.values_mut() {
            service.signed_by.sort_unstable();
        }
        canonical.accepted.stand_in_bases.sort_unstable();
        let mut bytes = serde_json::to_vec_pretty(&canonical).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are no record, one of a newer schema, or not exactly what [`Record::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        if bytes.len() > RECORD_MAX {
            return Err(RecordError::NoRecord(format!("it has more than {RECORD_MAX} bytes")));
        }
        let no_record = |error: serde_json::Error| RecordError::NoRecord(error.to_string());
        let Schema { schema } = serde_json::from_slice(bytes).map_err(no_record)?;
        if schema > SCHEMA {
            return Err(RecordError::Newer(schema));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(no_record)?;
        if record.to_bytes() != bytes {
            return Err(RecordError::NotCanonical);
        }
        Ok(record)
    }
}

/// Signs a record's bytes beside the signatures that are there: a line of base64 for each key, as `cosign verify-blob`
/// takes one. A key signs once.
///
/// # Errors
/// When the system has no randomness.
#[cfg(feature = "sign")]
pub fn sign(bytes: &[u8], present: &str, key: &crate::SigningKey) -> Result<String, crate::keys::KeyError> {
    let own = TrustedKeys::new(vec![key.public().clone()]);
    if verify(bytes, present, &own).is_ok() {
        return Ok(present.to_owned());
    }
    let signature = BASE64.encode(key.sign(bytes)?);
    let others = present.lines().filter(|it| !it.trim().is_empty());
    Ok(others.chain([signature.as_str()]).map(|it| format!("{}\n", it.trim())).collect())
}

/// The trusted keys that signed these bytes of a record.
///
/// # Errors
/// When none did.
pub fn verify(bytes: &[u8], signatures: &str, trusted: &TrustedKeys) -> Result<Vec<KeyId>, RecordError> {
    let lines: Vec<&str> = signatures.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    if lines.is_empty() {
        return Err(RecordError::NoSignature);
    }
    let signers = lines.iter().take(SIGNATURES_MAX).filter_map(|it| {
        let signature = BASE64.decode(it).ok()?;
        Some(trusted.signer(bytes, &signature)?.id())
    });
    let mut signers: Vec<KeyId> = signers.collect();
    signers.sort_unstable();
    signers.dedup();
    if signers.is_empty() { Err(RecordError::Untrusted) } else { Ok(signers) }
}
