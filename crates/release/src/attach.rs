//! Documents about an image, beside it at its registry: SBOM, release record. They refer to the image, not the other way.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    error::Error,
    reference::{At, Repository},
    registry::{Blob, Descriptor, EMPTY, EMPTY_TYPE, Manifest, OCI_MANIFEST, Registry},
    verify::Refusal,
};

/// An SBOM in CycloneDX's JSON, as artifact and as document.
pub const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";
/// A release record with its signature.
pub const RECORD_TYPE: &str = "application/vnd.slipway.release.v1+json";
/// The signature of a release record.
pub const RECORD_SIGNATURE_TYPE: &str = "application/vnd.slipway.release.v1.signature";
/// What a part is called when it is written to a file.
const TITLE: &str = "org.opencontainers.image.title";

/// A document to be attached, in one part or more.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it is for.
    pub artifact_type: &'static str,
    /// Type, name and content of each part.
    pub parts: Vec<Part>,
}

/// A part of a document.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its type.
    pub media_type: &'static str,
    /// The name of a file that it would be.
    pub name: &'static str,
    /// Its content.
    pub bytes: Bytes,
}

/// A document that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The artifact's manifest.
    pub digest: Digest,
    /// Its parts.
    pub parts: Vec<Descriptor>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    schema_version: u32,
    media_type: String,
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    subject: Option<Descriptor>,
}

impl Document {
    /// An SBOM in CycloneDX's JSON.
    #[must_use]
    pub fn sbom(bytes: impl Into<Bytes>) -> Self {
        let part = Part { media_type: SBOM_TYPE, name: "sbom.cdx.json", bytes: bytes.into() };
        Self { artifact_type: SBOM_TYPE, parts: vec![part] }
    }

    /// A release record with its signature.
    #[must_use]
    pub fn record(record: impl Into<Bytes>, signature: impl Into<Bytes>) -> Self {
        let record = Part { media_type: RECORD_TYPE, name: "release.json", bytes: record.into() };
        let signature =
            Part { media_type: RECORD_SIGNATURE_TYPE, name: "release.json.sig", bytes: signature.into() };
        Self { artifact_type: RECORD_TYPE, parts: vec![record, signature] }
    }
}

/// Attaches a document to an image. The same document is attached once: the same content is the same manifest.
///
/// # Errors
/// When the image is not there, or the registry does not play along.
pub async fn attach(
    registry: &Registry,
    repository: &Repository,
    image: &Digest,
    document: &Document,
) -> Result<Digest, Error> {
    let Some(found) = registry.resolve(repository, &At::Digest(image.clone())).await? else {
        return Err(Refusal::Missing { image: repository.at_digest(image).to_string() }.into());
    };
    let subject = plain(&found.media_type, image, found.size);
    let nothing = Blob::of(EMPTY);
    registry.push_blob(repository, &nothing).await?;
    let mut layers = Vec::new();
    for part in &document.parts {
        let blob = Blob::of(part.bytes.clone());
        registry.push_blob(repository, &blob).await?;
        let annotations = BTreeMap::from([(TITLE.to_owned(), part.name.to_owned())]);
        layers.push(Descriptor { annotations, ..plain(part.media_type, &blob.digest, blob.size) });
    }
    let artifact = Artifact {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        artifact_type: Some(document.artifact_type.to_owned()),
        config: plain(EMPTY_TYPE, &nothing.digest, nothing.size),
        layers,
        subject: Some(subject),
    };
    let bytes = serde_json::to_vec(&artifact).unwrap_or_default().into();
    let manifest = Manifest { media_type: OCI_MANIFEST.to_owned(), bytes };
    let artifact_type = Some(document.artifact_type.to_owned());
    let listed_as = Descriptor { artifact_type, ..manifest.descriptor() };
    Ok(registry.put_referrer(repository, image, &manifest, listed_as).await?)
}

/// The documents of one type that are attached to an image.
///
/// # Errors
/// When the registry does not play along.
pub async fn attached(
    registry: &Registry,
    repository: &Repository,
    image: &Digest,
    artifact_type: &str,
) -> Result<Vec<Attached>, Error> {
    let mut documents = Vec::new();
    for found in registry.referrers(repository, image, Some(artifact_type)).await? {
        let Some(manifest) = registry.manifest(repository, &At::Digest(found.digest.clone())).await? else {
            continue;
        };
        // Whoever may write there may list anything: only what says itself that it is about this image counts.
        let Ok(artifact) = serde_json::from_slice::<Artifact>(&manifest.bytes) else { continue };
        let is_about_it = artifact.subject.is_some_and(|it| it.digest == *image);
        if is_about_it && artifact.artifact_type.as_deref() == Some(artifact_type) {
            documents.push(Attached { digest: found.digest, parts: artifact.layers });
        }
    }
    Ok(documents)
}

fn plain(media_type: &str, digest: &Digest, size: u64) -> Descriptor {
    let (media_type, digest) = (media_type.to_owned(), digest.clone());
    Descriptor { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new() }
}
