//! The images by digest, with what says whose they are and what is in them. No tag leads there yet.

use super::{
    Image, PUSHED, Published, PublishedImage, Publishing, Pushed, PushedImage, Refusal,
    engine::podman,
    refusal,
    saved::{self, ImageManifest, Saved},
};
use crate::{
    Digest, Error, Repository,
    attach::{self, Document},
    reference::At,
    registry::{self, Manifest},
    sbom, sign,
};

impl Publishing<'_> {
    /// Pushes every image by its digest, once.
    ///
    /// # Errors
    /// When podman or the registry does not play along, or a tag that never moves leads to another image.
    pub async fn push(&self) -> Result<Published, Refusal> {
        let mut pushed = Pushed::default();
        let mut published = Published::default();
        for image in &self.order.images {
            let done = self.push_one(image).await?;
            let reference = self.repository(image)?.at_digest(&done.digest).to_string();
            let service = image.service.clone();
            published.images.push(PublishedImage { service: service.clone(), reference, tags: Vec::new() });
            pushed.images.insert(service, done);
        }
        self.keep(&pushed)?;
        Ok(published)
    }

    async fn push_one(&self, image: &Image) -> Result<PushedImage, Refusal> {
        let service = &image.service;
        let Some(id) = &image.id else {
            let message = format!("there is no image of `{service}` to push");
            return Err(Refusal::environment("release-not-built", message, "cargo xtask ci images"));
        };
        let repository = self.repository(image)?;
        let digest = match self.there(&repository, image).await? {
            Some(manifest) => {
                self.say(format!("{service}: {} is there", manifest.digest()));
                manifest.digest()
            }
            None => self.upload(service, &repository, id).await?,
        };
        self.say(format!("{service}: sign {digest}"));
        sign::sign(self.registry, &repository, &digest, self.key).await?;
        let sbom = Some(self.attach_sbom(service, &repository, id, &digest).await?);
        Ok(PushedImage { digest, id: id.clone(), sbom })
    }

    /// Uploads what the registry lacks; the manifest last, since it is refused before all else is there.
    async fn upload(&self, service: &str, repository: &Repository, id: &Digest) -> Result<Digest, Refusal> {
        self.say(format!("{service}: save {id}"));
        let saved = Saved::of(id, &self.order.folder.join("images").join(service)).await?;
        for blob in &saved.blobs {
            self.say(format!("{service}: blob {}, {} bytes", blob.digest, blob.size));
            let done = self.registry.push_blob(repository, blob).await?;
            if done == registry::Pushed::Present {
                self.say(format!("{service}: blob {} was there", blob.digest));
            }
        }
        let digest = saved.manifest.digest();
        self.say(format!("{service}: manifest {digest}"));
        self.registry.put_manifest(repository, &At::Digest(digest.clone()), &saved.manifest).await?;
        Ok(digest)
    }

    /// Says beside the image what it is made of; the same image has the same document.
    async fn attach_sbom(
        &self,
        service: &str,
        repository: &Repository,
        id: &Digest,
        digest: &Digest,
    ) -> Result<Digest, Refusal> {
        self.say(format!("{service}: attach the SBOM"));
        let archive = self.order.folder.join("images").join(format!("{service}.tar"));
        saved::clear(&archive)?;
        let failed = format!("cannot take {id} out of podman's store");
        let place = archive.to_string_lossy();
        let save = ["save", "--quiet", "--format=docker-archive", "--output", &place, id.hex()];
        let read = podman(&failed, &save).await.map(|_| sbom::of_image(&archive));
        std::fs::remove_file(&archive).ok();
        let document = read?.map_err(Error::from)?.to_json();
        attach::attach(self.registry, repository, digest, &Document::sbom(document.clone())).await?;
        Ok(Digest::of(document.as_bytes()))
    }

    /// The manifest of what was pushed, as the registry has it now.
    pub(super) async fn manifest_of(
        &self,
        repository: &Repository,
        pushed: &PushedImage,
    ) -> Result<Manifest, Refusal> {
        let found = self.registry.manifest(repository, &At::Digest(pushed.digest.clone())).await?;
        let gone = || {
            let message = format!("`{}` was pushed and is gone", repository.at_digest(&pushed.digest));
            Refusal::environment(
                "release-registry-digest",
                message,
                "run it again; find out who deletes there",
            )
        };
        let manifest = found.ok_or_else(gone)?;
        let ours = ImageManifest::read(&manifest.bytes).is_some_and(|it| it.config.digest == pushed.id);
        if ours {
            return Ok(manifest);
        }
        let message = format!("`{}` is not the image that was pushed", repository.at_digest(&pushed.digest));
        Err(Refusal::fault("release-registry-digest", message, "find out who writes there"))
    }
}

impl Publishing<'_> {
    /// What an earlier part pushed of an image.
    pub(super) fn pushed(&self, image: &Image) -> Result<PushedImage, Refusal> {
        let path = self.order.folder.join(PUSHED);
        let text = std::fs::read(&path).unwrap_or_default();
        let pushed: Pushed = serde_json::from_slice(&text).unwrap_or_default();
        let found = pushed.images.get(&image.service).filter(|it| Some(&it.id) == image.id.as_ref());
        found.cloned().ok_or_else(|| {
            let message = format!("nothing tells what was pushed of `{}`", image.service);
            Refusal::environment("release-not-pushed", message, "push again")
        })
    }

    fn keep(&self, pushed: &Pushed) -> Result<(), Refusal> {
        let text = serde_json::to_vec_pretty(pushed).unwrap_or_default();
        refusal::written(&self.order.folder.join(PUSHED), &text)
    }
}
