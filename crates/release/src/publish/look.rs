//! What a registry has of a release already, and whether anything there is in its way. Nothing is changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Image, Publishing, Refusal, saved::ImageManifest};
use crate::{
    Digest, Repository, Tag,
    reference::At,
    registry::{Descriptor, Manifest},
    verify::REVISION_LABEL,
};

/// Bytes that an image's configuration may have.
const CONFIG_MAX: usize = 4 << 20;

/// What is there.
#[derive(Debug, Default, Serialize)]
pub struct Seen {
    pub images: Vec<SeenImage>,
    pub refusals: Vec<Refusal>,
}

/// What is there of one image.
#[derive(Debug, Serialize)]
pub struct SeenImage {
    pub service: String,
    pub tags: Vec<SeenTag>,
}

/// What a tag leads to.
#[derive(Debug, Serialize)]
pub struct SeenTag {
    pub tag: Tag,
    pub state: TagState,
    pub digest: Option<Digest>,
    /// The commit that the image there was built from, as its label says; asked for where the tag moves.
    pub built_from: Option<String>,
}

/// What a tag is to this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagState {
    /// Nothing is there.
    Free,
    /// This very image is there.
    Same,
    /// Another image is there.
    Other,
    /// Something is there, and the image that it would be compared with is still to be built.
    There,
}

/// The labels in an image's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Configuration {
    config: Inside,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inside {
    labels: Option<BTreeMap<String, String>>,
}

impl Publishing<'_> {
    /// Looks under every tag of every image.
    ///
    /// # Errors
    /// When the registry cannot be asked, or a name is none.
    pub async fn look(&self) -> Result<Seen, Refusal> {
        let mut seen = Seen::default();
        if let Some(image) = self.order.images.first() {
            self.registry.check(&self.repository(image)?).await?;
        }
        for image in &self.order.images {
            let repository = self.repository(image)?;
            let mut tags = Vec::new();
            let immutable = self.order.immutable.iter().map(|it| (it, true));
            for (tag, stays) in immutable.chain(self.order.moving.iter().map(|it| (it, false))) {
                let found = self.registry.manifest(&repository, &At::Tag(tag.clone())).await?;
                let state = state(image, found.as_ref());
                if stays && state == TagState::Other {
                    let digest = found.as_ref().map(Manifest::digest);
                    seen.refusals.push(taken(&repository, tag, digest.as_ref()));
                }
                let built_from = match &found {
                    Some(manifest) if !stays => self.built_from(&repository, manifest).await?,
                    _ => None,
                };
                let digest = found.as_ref().map(Manifest::digest);
                tags.push(SeenTag { tag: tag.clone(), state, digest, built_from });
            }
            seen.images.push(SeenImage { service: image.service.clone(), tags });
        }
        Ok(seen)
    }

    /// The manifest under one of the tags that never move, where it is this very image's.
    pub(super) async fn there(
        &self,
        repository: &Repository,
        image: &Image,
    ) -> Result<Option<Manifest>, Refusal> {
        for tag in &self.order.immutable {
            let found = self.registry.manifest(repository, &At::Tag(tag.clone())).await?;
            match state(image, found.as_ref()) {
                TagState::Same => return Ok(found),
                TagState::Other => {
                    return Err(taken(repository, tag, found.as_ref().map(Manifest::digest).as_ref()));
                }
                TagState::Free | TagState::There => {}
            }
        }
        Ok(None)
    }

    async fn built_from(
        &self,
        repository: &Repository,
        manifest: &Manifest,
    ) -> Result<Option<String>, Refusal> {
        let Some(image) = ImageManifest::read(&manifest.bytes) else { return Ok(None) };
        let labels = self.labels(repository, &image.config).await?;
        Ok(labels.get(REVISION_LABEL).cloned())
    }

    /// The labels of an image on the registry.
    pub(super) async fn labels(
        &self,
        repository: &Repository,
        config: &Descriptor,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let bytes = self.registry.blob_bytes(repository, config, CONFIG_MAX).await?;
        let configuration: Configuration = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(configuration.config.labels.unwrap_or_default())
    }
}

fn state(image: &Image, found: Option<&Manifest>) -> TagState {
    let Some(found) = found else { return TagState::Free };
    let Some(id) = &image.id else { return TagState::There };
    let same = ImageManifest::read(&found.bytes).is_some_and(|it| it.config.digest == *id);
    if same { TagState::Same } else { TagState::Other }
}

/// A tag that never moves leads to something else.
pub(super) fn taken(repository: &Repository, tag: &Tag, digest: Option<&Digest>) -> Refusal {
    let digest = digest.map_or_else(|| "another image".to_owned(), ToString::to_string);
    let message =
        format!("`{repository}:{tag}` leads to {digest}, which is not this image, and it never moves");
    let fix = "release the next version; a tag that was overwritten behind your back has to be looked into";
    Refusal::fault("release-registry-tag", message, fix)
}
