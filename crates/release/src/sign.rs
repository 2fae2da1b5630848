//! Signing images: one more signature beside those that are there.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{
    digest::Digest,
    error::Error,
    keys::{SigningKey, TrustedKeys},
    reference::{At, Repository},
    registry::{Blob, Descriptor, Manifest, OCI_MANIFEST, Registry},
    signature::{self, KEY_ANNOTATION, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, Signatures},
    verify::Refusal,
};

/// The type of the configuration that a list of signatures carries, an image's: registries ask for nothing else there.
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// How often a list that somebody else changed in between is written again.
const CONTESTED_MAX: usize = 5;

/// What signing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// This key had signed it.
    Already,
    /// Its signature is there now.
    Added,
}

/// Signs an image as part of its repository. The signatures of other keys stay; a key signs once.
///
/// # Errors
/// When the registry does not play along, or something else lies where signatures belong.
pub async fn sign(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    key: &SigningKey,
) -> Result<Signed, Error> {
    let image = At::Digest(digest.clone());
    if registry.resolve(repository, &image).await?.is_none() {
        return Err(Refusal::Missing { image: repository.at_digest(digest).to_string() }.into());
    }
    let own = TrustedKeys::new(vec![key.public().clone()]);
    let mut outcome = Signed::Already;
    // Registries cannot compare and swap: what was written is read back.
    for _ in 0..CONTESTED_MAX {
        match signature::signers(registry, repository, digest, (&own, repository)).await {
            Ok(_) => return Ok(outcome),
            Err(Error::Refusal(refusal)) if !refusal.is_in_the_way() => {}
            Err(error) => return Err(error),
        }
        add(registry, repository, digest, key).await?;
        outcome = Signed::Added;
    }
    Err(Refusal::Contested { at: repository.at_tag(&signature::tag(digest)).to_string() }.into())
}

async fn add(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    key: &SigningKey,
) -> Result<(), Error> {
    let statement = signature::statement(repository, digest);
    let signature = BASE64.encode(key.sign(&statement)?);
    let annotations = BTreeMap::from([
        (SIGNATURE_ANNOTATION.to_owned(), signature),
        (KEY_ANNOTATION.to_owned(), key.public().id().to_string()),
    ]);
    let statement = Blob::of(statement);
    let layer = Descriptor {
        media_type: SIMPLE_SIGNING.to_owned(),
        digest: statement.digest.clone(),
        size: statement.size,
        artifact_type: None,
        annotations,
    };
    let present = signature::of_image(registry, repository, digest).await?;
    let (mut layers, annotations) = present.map(|it| (it.layers, it.annotations)).unwrap_or_default();
    layers.push(layer);
    let config = config(&layers);
    let descriptor = Descriptor {
        media_type: CONFIG_TYPE.to_owned(),
        digest: config.digest.clone(),
        size: config.size,
        artifact_type: None,
        annotations: BTreeMap::new(),
    };
    registry.push_blob(repository, &statement).await?;
    registry.push_blob(repository, &config).await?;
    let media_type = OCI_MANIFEST.to_owned();
    let signatures = Signatures {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        config: descriptor,
        layers,
        annotations,
    };
    let bytes = serde_json::to_vec(&signatures).unwrap_or_default().into();
    let at = At::Tag(signature::tag(digest));
    registry.put_manifest(repository, &at, &Manifest { media_type, bytes }).await?;
    Ok(())
}

/// The configuration of an image of these layers, which says nothing else.
fn config(layers: &[Descriptor]) -> Blob {
    let diff_ids: Vec<&Digest> = layers.iter().map(|it| &it.digest).collect();
    let config = serde_json::json!({
        "architecture": "", "os": "", "config": {}, "created": "1970-01-01T00:00:00Z",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    Blob::of(config.to_string())
}
