//! Whether an image is what was released: its digest, who signed it, what its labels say, and that it has an SBOM.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    attach::{self, RECORD_TYPE, SBOM_TYPE},
    digest::Digest,
    error::Error,
    keys::{KeyId, TrustedKeys},
    record::{self, Record},
    reference::{At, Repository},
    registry::{DOCKER_MANIFEST, Descriptor, OCI_MANIFEST, Registry},
    signature,
};

/// Bytes of an image's configuration.
const CONFIG_MAX: usize = 1024 * 1024;
/// The commit that an image was built from.
pub const REVISION_LABEL: &str = "org.opencontainers.image.revision";
/// The service that an image is of.
pub const SERVICE_LABEL: &str = "dev.slipway.service";
/// What went into an image.
pub const FINGERPRINT_LABEL: &str = "dev.slipway.fingerprint";

/// What must hold of an image.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Whose signatures count.
    pub keys: TrustedKeys,
    /// The repository that must have been signed, where the image lies in another one, such as a mirror.
    pub identity: Option<Repository>,
    /// Labels that it must have.
    pub labels: BTreeMap<String, String>,
    /// Whether it must have an SBOM.
    pub sbom: Sbom,
}

/// Whether an image must have an SBOM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sbom {
    /// Any.
    #[default]
    Required,
    /// This very document.
    Exactly(Digest),
    /// It need not.
    Optional,
}

/// An image that is what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Where it lies.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
    /// Trusted keys that signed it.
    pub signed_by: Vec<KeyId>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its SBOM's document.
    pub sbom: Option<Digest>,
}

/// An image that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such manifest.
    #[error("`{image}` is not there: it was deleted, or never pushed")]
    Missing {
        /// Which image.
        image: String,
    },
    /// Nobody signed it.
    #[error("`{image}` is not signed; `release sign {image}` signs it with the releaser's key")]
    Unsigned {
        /// Which image.
        image: String,
    },
    /// Somebody else signed it.
    #[error(
        "`{image}` is signed{}, and by none of the trusted keys; `--key FILE` names those",
        key.as_ref().map_or_else(String::new, |it| format!(" by the key {it}"))
    )]
    Untrusted {
        /// Which image.
        image: String,
        /// The key that is said to have signed it.
        key: Option<String>,
    },
    /// A trusted key's signature does not fit.
    #[error(
        "what is signed for `{image}` was changed after it was signed; do not use the image, and look who can write there"
    )]
    Tampered {
        /// Which image.
        image: String,
    },
    /// What was signed is something else.
    #[error("what a trusted key signed for `{image}` is no statement about an image")]
    NoStatement {
        /// Which image.
        image: String,
    },
    /// A trusted key's signature of another image lies here.
    #[error(
        "the signature at `{image}` is one of {signed}; it was put there for an image that nobody signed"
    )]
    OtherDigest {
        /// Which image.
        image: String,
        /// What was signed.
        signed: Digest,
    },
    /// It was signed as part of another repository.
    #[error(
        "`{image}` is signed as part of `{signed}`, not of `{expected}`; `--identity {signed}` accepts a copy of it"
    )]
    OtherRepository {
        /// Which image.
        image: String,
        /// What was signed.
        signed: String,
        /// What should have been.
        expected: String,
    },
    /// Something else lies where signatures belong.
    #[error("what lies at `{at}` is no list of signatures; somebody else uses that tag, remove it")]
    NoSignatures {
        /// Where signatures belong.
        at: String,
    },
    /// Others write there all the time.
    #[error("what lies at `{at}` is written by somebody else all the time; try again")]
    Contested {
        /// Where signatures belong.
        at: String,
    },
    /// It is no image's manifest.
    #[error("`{image}` is of type `{media_type}`, not the manifest of one image")]
    NotAnImage {
        /// Which manifest.
        image: String,
        /// What it is.
        media_type: String,
    },
    /// A label says something else.
    #[error(
        "`{image}` has the label `{label}` {}, which should be `{expected}`",
        found.as_ref().map_or_else(|| "not at all".to_owned(), |it| format!("= `{it}`"))
    )]
    Label {
        /// Which image.
        image: String,
        /// The label.
        label: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: Option<String>,
    },
    /// It has no SBOM, or another one.
    #[error("`{image}` has no SBOM{}; `release attach sbom` attaches one", expected.as_ref().map_or_else(String::new, |it| format!(" {it}")))]
    NoSbom {
        /// Which image.
        image: String,
        /// The document that it should have.
        expected: Option<Digest>,
    },
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
}

#[derive(Deserialize)]
struct ImageConfig {
    config: Option<Runtime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Runtime {
    labels: Option<BTreeMap<String, String>>,
}

impl Refusal {
    /// How near a signature came to one that counts: of several refusals the nearest is told.
    pub(crate) fn nearness(&self) -> u8 {
        match self {
            Self::OtherRepository { .. } => 5,
            Self::OtherDigest { .. } => 4,
            Self::NoStatement { .. } => 3,
            Self::Tampered { .. } => 2,
            Self::Untrusted { .. } => 1,
            _ => 0,
        }
    }

    /// Whether signing it would not help: something else lies where signatures belong.
    #[cfg(feature = "sign")]
    pub(crate) fn is_in_the_way(&self) -> bool {
        matches!(self, Self::NoSignatures { .. })
    }
}

/// Verifies an image at its registry. Nothing of it is pulled but its manifest, configuration and signatures.
///
/// # Errors
/// A [`Refusal`] that says what does not hold, or the registry's own error.
pub async fn verify(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    policy: &Policy,
) -> Result<Verified, Error> {
    let image = repository.at_digest(digest).to_string();
    let Some(manifest) = registry.manifest(repository, &At::Digest(digest.clone())).await? else {
        return Err(Refusal::Missing { image }.into());
    };
    let identity = policy.identity.as_ref().unwrap_or(repository);
    let signed_by = signature::signers(registry, repository, digest, (&policy.keys, identity)).await?;
    let not_an_image =
        |media_type: &str| Refusal::NotAnImage { image: image.clone(), media_type: media_type.to_owned() };
    if ![OCI_MANIFEST, DOCKER_MANIFEST].contains(&manifest.media_type.as_str()) {
        return Err(not_an_image(&manifest.media_type).into());
    }
    let ImageManifest { config } =
        serde_json::from_slice(&manifest.bytes).map_err(|_| not_an_image(&manifest.media_type))?;
    let bytes = registry.blob_bytes(repository, &config, CONFIG_MAX).await?;
    let ImageConfig { config } =
        serde_json::from_slice(&bytes).map_err(|_| not_an_image(&config.media_type))?;
    let labels = config.and_then(|it| it.labels).unwrap_or_default();
    for (label, expected) in &policy.labels {
        let found = labels.get(label).cloned();
        if found.as_ref() != Some(expected) {
            let (label, expected) = (label.clone(), expected.clone());
            return Err(Refusal::Label { image, label, expected, found }.into());
        }
    }
    let sbom = sbom(registry, repository, digest, &policy.sbom).await?;
    Ok(Verified { repository: repository.clone(), digest: digest.clone(), signed_by, labels, sbom })
}

/// Verifies every image of a record: signed, with the labels that the record tells, and with the very SBOM.
///
/// The record itself is taken as it is: [`crate::record::verify`] says who signed it.
///
/// # Errors
/// As [`verify`], for the first image that is not what the record says.
pub async fn images(
    registry: &Registry,
    record: &Record,
    keys: &TrustedKeys,
) -> Result<BTreeMap<String, Verified>, Error> {
    let mut verified = BTreeMap::new();
    for (name, service) in &record.services {
        let told = [
            (SERVICE_LABEL, name),
            (REVISION_LABEL, &service.built_from),
            (FINGERPRINT_LABEL, &service.fingerprint),
        ];
        let labels = told.into_iter().map(|(label, value)| (label.to_owned(), value.clone())).collect();
        let sbom = service.sbom.clone().map_or(Sbom::Optional, Sbom::Exactly);
        let policy = Policy { keys: keys.clone(), identity: None, labels, sbom };
        verified.insert(name.clone(), verify(registry, &service.repository, &service.digest, &policy).await?);
    }
    Ok(verified)
}

/// The record of the release that an image belongs to, signed by a trusted key; nothing where none is attached.
///
/// # Errors
/// When what is attached is no record, or nobody who is trusted signed it, or it tells of other images.
pub async fn record_of(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    keys: &TrustedKeys,
) -> Result<Option<Record>, Error> {
    let mut refusal = None;
    for document in attach::attached(registry, repository, digest, RECORD_TYPE).await? {
        let [record, signatures] = document.parts.as_slice() else { continue };
        let record = registry.blob_bytes(repository, record, record::RECORD_MAX).await?;
        let signatures = registry.blob_bytes(repository, signatures, record::RECORD_MAX).await?;
        let signed = record::verify(&record, &String::from_utf8_lossy(&signatures), keys);
        match signed.and_then(|_| Record::from_bytes(&record)) {
            Ok(record) if record.services.values().any(|it| it.digest == *digest) => return Ok(Some(record)),
            Ok(_) => {}
            Err(error) => refusal = Some(error),
        }
    }
    refusal.map_or(Ok(None), |error| Err(error.into()))
}

async fn sbom(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    wanted: &Sbom,
) -> Result<Option<Digest>, Error> {
    if *wanted == Sbom::Optional {
        return Ok(None);
    }
    let documents = attach::attached(registry, repository, digest, SBOM_TYPE).await?;
    let mut found = documents.into_iter().filter_map(|it| it.parts.into_iter().next()).map(|it| it.digest);
    let (found, expected) = match wanted {
        Sbom::Exactly(expected) => (found.find(|it| it == expected), Some(expected.clone())),
        Sbom::Required | Sbom::Optional => (found.next(), None),
    };
    let image = repository.at_digest(digest).to_string();
    found.map(Some).ok_or_else(|| Refusal::NoSbom { image, expected }.into())
}
