//! What a host does before it runs an image: it pulls by digest into a store that has nothing, and looks at what it got.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Image, Published, PublishedImage, Publishing, PushedImage, Refusal, auth::AuthInMemory, engine::podman,
    saved,
};
use crate::{
    Digest, Repository,
    verify::{self, Policy, SERVICE_LABEL, Sbom},
};

/// The version that an image says of itself.
const VERSION: &str = "org.opencontainers.image.version";

/// Characters of the folder that podman keeps its running state in; it refuses a longer one.
const RUNNING_MAX: usize = 50;

/// An empty store of podman's; dropping it removes it.
#[derive(Debug)]
struct Store {
    folder: PathBuf,
    /// What podman keeps while it runs lies in a folder with a short name, or it refuses.
    running: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Publishing<'_> {
    /// Pulls every image by digest and compares it with what the gate tested.
    ///
    /// # Errors
    /// When it cannot be pulled, or is not what it should be.
    pub async fn verify(&self) -> Result<Published, Refusal> {
        let store = Store::new(&self.order.folder.join("store"))?;
        let mut published = Published::default();
        for image in &self.order.images {
            let repository = self.repository(image)?;
            let pushed = self.pushed(image)?;
            let reference = repository.at_digest(&pushed.digest).to_string();
            self.say(format!("{}: pull {reference} into an empty store", image.service));
            self.pull(&store, &repository, &reference).await?;
            let got = store.inspect(&reference).await?;
            self.judge(image, &pushed, &reference, &got)?;
            let policy = Policy { keys: self.trusted.clone(), sbom: Sbom::Optional, ..Policy::default() };
            verify::verify(self.registry, &repository, &pushed.digest, &policy).await?;
            published.images.push(PublishedImage {
                service: image.service.clone(),
                reference,
                tags: Vec::new(),
            });
        }
        Ok(published)
    }

    async fn pull(&self, store: &Store, repository: &Repository, reference: &str) -> Result<(), Refusal> {
        let registry = repository.registry();
        let credentials = self.logins.of(repository).map_err(crate::registry::RegistryError::from)?;
        let auth = AuthInMemory::new(registry, credentials.as_ref())?;
        let mut arguments = store.arguments();
        arguments.extend(["pull".into(), "--quiet".into(), format!("--authfile={}", auth.path().display())]);
        if self.registry.speaks_plain(registry) {
            arguments.push("--tls-verify=false".into());
        }
        arguments.push(reference.to_owned());
        podman(&format!("a host could not pull `{reference}`"), &arguments).await?;
        Ok(())
    }

    /// Whether what a host gets is what was tested, by what it is and by what it says.
    fn judge(
        &self,
        image: &Image,
        pushed: &PushedImage,
        reference: &str,
        got: &Inspected,
    ) -> Result<(), Refusal> {
        let refuse = |what: String| {
            let message = format!("`{reference}`, as a host pulls it, {what}");
            Err(Refusal::fault("release-not-verified", message, "find out who changes what lies there"))
        };
        if got.id.trim_start_matches("sha256:") != pushed.id.hex() {
            return refuse(format!("is {}, and the gate tested {}", got.id, pushed.id));
        }
        let labels = got.labels.clone().unwrap_or_default();
        let expected = [(SERVICE_LABEL, Some(&image.service)), (VERSION, self.order.version.as_ref())];
        for (name, expected) in expected {
            // An image without the label says nothing that could be wrong.
            let said = labels.get(name).filter(|it| !it.is_empty());
            if let (Some(said), Some(expected)) = (said, expected)
                && said != expected
            {
                return refuse(format!(
                    "says `{said}` of itself in `{name}`, and is released as `{expected}`"
                ));
            }
        }
        Ok(())
    }
}

impl Store {
    /// Both folders are named after the release's own, so that what a killed run left is what the next one removes.
    fn new(folder: &Path) -> Result<Self, Refusal> {
        let name = Digest::of(folder.as_os_str().as_encoded_bytes());
        let name = format!("slipway-{}", name.hex().get(..12).unwrap_or_default());
        let running = std::env::temp_dir().join(&name);
        // A runner's own folder for temporary files may be deep.
        let is_short = running.as_os_str().len() <= RUNNING_MAX;
        let running = if is_short { running } else { Path::new("/tmp").join(name) };
        saved::clear(folder)?;
        saved::clear(&running)?;
        Ok(Self { folder: folder.to_owned(), running })
    }

    /// A driver that mounts nothing, so that nothing stays mounted.
    fn arguments(&self) -> Vec<String> {
        let (root, running) = (self.folder.display(), self.running.display());
        vec![format!("--root={root}"), format!("--runroot={running}"), "--storage-driver=vfs".into()]
    }

    async fn inspect(&self, reference: &str) -> Result<Inspected, Refusal> {
        let failed = format!("podman does not say what `{reference}` is");
        let mut arguments = self.arguments();
        arguments.extend(["image", "inspect", reference].map(str::to_owned));
        let text = podman(&failed, &arguments).await?;
        let found: Option<Vec<Inspected>> = serde_json::from_str(&text).ok();
        let first = found.and_then(|it| it.into_iter().next());
        first.ok_or_else(|| Refusal::environment("release-podman", failed, "podman info"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        std::fs::remove_dir_all(&self.folder).ok();
        std::fs::remove_dir_all(&self.running).ok();
    }
}
