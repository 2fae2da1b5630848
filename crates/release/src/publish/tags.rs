//! The names under which people find the images, once every image is there and verified.

use super::{
    Image, Published, PublishedImage, Publishing, PushedImage, Refusal, look::taken, record::RECORD,
};
use crate::{Repository, Tag, reference::At, registry::Manifest};

impl Publishing<'_> {
    /// Puts the tags that never move on every image, then the record, then those that move.
    ///
    /// # Errors
    /// When a tag that never moves leads to another image, or the registry does not play along.
    pub async fn tag(&self) -> Result<Published, Refusal> {
        let mut places = Vec::new();
        for image in &self.order.images {
            let repository = self.repository(image)?;
            let pushed = self.pushed(image)?;
            let manifest = self.manifest_of(&repository, &pushed).await?;
            places.push(Place { image, repository, pushed, manifest });
        }
        for place in &places {
            for tag in &self.order.immutable {
                self.tag_once(place, tag).await?;
            }
        }
        self.record(&places).await?;
        // Whoever released at the same moment saw the tags free, too, and may have put theirs over these meanwhile.
        for place in &places {
            for tag in &self.order.immutable {
                self.must_lead_here(place, tag).await?;
            }
        }
        for tag in &self.order.moving {
            for place in &places {
                self.move_to(place, tag).await?;
            }
        }
        let tags: Vec<String> =
            self.order.immutable.iter().chain(&self.order.moving).map(ToString::to_string).collect();
        let images = places.iter().map(|it| PublishedImage {
            service: it.image.service.clone(),
            reference: it.repository.at_digest(&it.pushed.digest).to_string(),
            tags: tags.clone(),
        });
        let record = Some(self.order.folder.join(RECORD));
        Ok(Published { images: images.collect(), record })
    }

    /// Registries overwrite without a word: it is asked before, and looked at afterwards.
    async fn tag_once(&self, place: &Place<'_>, tag: &Tag) -> Result<(), Refusal> {
        if self.leads_here(place, tag).await? {
            self.say(format!("{}: `{tag}` is there", place.image.service));
            return Ok(());
        }
        self.say(format!("{}: tag `{tag}`", place.image.service));
        self.registry.put_manifest(&place.repository, &At::Tag(tag.clone()), &place.manifest).await?;
        self.must_lead_here(place, tag).await
    }

    /// Whether a tag leads to this image already; one that leads to another image is refused.
    async fn leads_here(&self, place: &Place<'_>, tag: &Tag) -> Result<bool, Refusal> {
        let found = self.registry.resolve(&place.repository, &At::Tag(tag.clone())).await?;
        match found {
            Some(found) if found.digest == place.pushed.digest => Ok(true),
            Some(found) => Err(taken(&place.repository, tag, Some(&found.digest))),
            None => Ok(false),
        }
    }

    async fn must_lead_here(&self, place: &Place<'_>, tag: &Tag) -> Result<(), Refusal> {
        if self.leads_here(place, tag).await? {
            return Ok(());
        }
        let message = format!("`{}` was put there and is gone", place.repository.at_tag(tag));
        Err(Refusal::environment("release-registry-tag", message, "run it again; find out who deletes there"))
    }

    async fn move_to(&self, place: &Place<'_>, tag: &Tag) -> Result<(), Refusal> {
        let Place { repository, pushed, manifest, image } = place;
        let at = At::Tag(tag.clone());
        let found = self.registry.resolve(repository, &at).await?;
        if found.is_some_and(|it| it.digest == pushed.digest) {
            self.say(format!("{}: `{tag}` is there", image.service));
            return Ok(());
        }
        self.say(format!("{}: move `{tag}`", image.service));
        self.registry.put_manifest(repository, &at, manifest).await?;
        Ok(())
    }
}

/// An image with where it lies.
pub(super) struct Place<'a> {
    pub(super) image: &'a Image,
    pub(super) repository: Repository,
    pub(super) pushed: PushedImage,
    manifest: Manifest,
}
