//! Signatures of images as cosign lays them out: a signed statement in a manifest whose tag is made of the digest.
//!
//! podman, skopeo and cosign read the same, so an image that is signed here is verified by hosts that know nothing of this.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    error::Error,
    keys::{KeyId, TrustedKeys},
    reference::{At, Reference, Repository, Tag},
    registry::{Descriptor, OCI_MANIFEST, Registry, RegistryError},
    verify::Refusal,
};

/// The type of a signed statement.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where a layer holds the signature of the statement, in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Where a layer says which key signed; others do not say it.
pub const KEY_ANNOTATION: &str = "dev.slipway.key";
/// What a statement calls itself.
const STATEMENT_TYPE: &str = "cosign container image signature";
/// Bytes of a statement, and signatures of one image that are looked at.
const STATEMENT_MAX: usize = 64 * 1024;
const SIGNATURES_MAX: usize = 100;

/// What is signed: that this digest belongs into this repository.
#[derive(Debug, Serialize, Deserialize)]
struct Statement {
    critical: Critical,
    #[serde(default)]
    optional: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// The manifest that holds an image's signatures, a layer each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signatures {
    pub(crate) schema_version: u32,
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The bytes to be signed for an image: the same for the same image, whoever signs it.
#[must_use]
pub fn statement(repository: &Repository, digest: &Digest) -> Bytes {
    let identity = Identity { reference: repository.to_string() };
    let image = Image { digest: digest.clone() };
    let critical = Critical { identity, image, kind: STATEMENT_TYPE.to_owned() };
    serde_json::to_vec(&Statement { critical, optional: None }).unwrap_or_default().into()
}

/// The tag under which a manifest's signatures are.
pub(crate) fn tag(digest: &Digest) -> Tag {
    Tag::of_digest(digest, ".sig")
}

/// An image's signatures; nothing where it has none.
pub(crate) async fn of_image(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
) -> Result<Option<Signatures>, Error> {
    let tag = tag(digest);
    let Some(manifest) = registry.manifest(repository, &At::Tag(tag.clone())).await? else { return Ok(None) };
    let no_signatures = || Refusal::NoSignatures { at: repository.at_tag(&tag).to_string() };
    if manifest.media_type != OCI_MANIFEST {
        return Err(no_signatures().into());
    }
    let signatures: Signatures = serde_json::from_slice(&manifest.bytes).map_err(|_| no_signatures())?;
    // An image, say: a signature that was added to it would make it another one.
    if signatures.layers.iter().any(|it| it.media_type != SIMPLE_SIGNING) {
        return Err(no_signatures().into());
    }
    Ok(Some(signatures))
}

/// The keys that signed an image as part of a repository.
///
/// # Errors
/// A [`Refusal`] when no trusted key signed just that: the one that comes nearest.
pub(crate) async fn signers(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    trust: (&TrustedKeys, &Repository),
) -> Result<Vec<KeyId>, Error> {
    let image = repository.at_digest(digest).to_string();
    let Some(signatures) = of_image(registry, repository, digest).await? else {
        return Err(Refusal::Unsigned { image }.into());
    };
    let mut signers = Vec::new();
    let mut refusal = Refusal::Unsigned { image: image.clone() };
    for layer in signatures.layers.iter().take(SIGNATURES_MAX) {
        let Some(signature) = layer.annotations.get(SIGNATURE_ANNOTATION) else { continue };
        let bytes = match registry.blob_bytes(repository, layer, STATEMENT_MAX).await {
            Ok(bytes) => bytes,
            // A statement that is gone or damaged spoils its own signature, not those beside it.
            Err(RegistryError::WrongContent { .. } | RegistryError::NotFound { .. }) => Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        match judged(&bytes, signature, layer, (&image, digest, trust.0, trust.1)) {
            Ok(key) => signers.push(key),
            Err(worse) if worse.nearness() > refusal.nearness() => refusal = worse,
            Err(_) => {}
        }
    }
    signers.sort_unstable();
    signers.dedup();
    if signers.is_empty() { Err(refusal.into()) } else { Ok(signers) }
}

/// The trusted key that signed, if the statement says what it must.
fn judged(
    bytes: &[u8],
    signature: &str,
    layer: &Descriptor,
    (image, digest, keys, identity): (&str, &Digest, &TrustedKeys, &Repository),
) -> Result<KeyId, Refusal> {
    let image = || image.to_owned();
    let claimed = layer.annotations.get(KEY_ANNOTATION);
    let signer = BASE64.decode(signature).ok().and_then(|it| keys.signer(bytes, &it));
    let Some(signer) = signer else {
        return Err(match claimed {
            // A trusted key is named and did not sign these bytes.
            Some(key) if keys.has(key) => Refusal::Tampered { image: image() },
            _ => Refusal::Untrusted { image: image(), key: claimed.cloned() },
        });
    };
    let Ok(Statement { critical, .. }) = serde_json::from_slice(bytes) else {
        return Err(Refusal::NoStatement { image: image() });
    };
    if critical.kind != STATEMENT_TYPE {
        return Err(Refusal::NoStatement { image: image() });
    }
    if critical.image.digest != *digest {
        return Err(Refusal::OtherDigest { image: image(), signed: critical.image.digest });
    }
    let signed: Option<Reference> = critical.identity.reference.parse().ok();
    if signed.is_none_or(|it| it.repository != *identity) {
        let (signed, expected) = (critical.identity.reference, identity.to_string());
        return Err(Refusal::OtherRepository { image: image(), signed, expected });
    }
    Ok(signer.id())
}
