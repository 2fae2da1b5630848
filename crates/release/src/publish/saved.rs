//! An image taken out of podman's store: the very files that a registry is given, so its digest is known before it is pushed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{engine::podman, refusal::Refusal};
use crate::{
    Digest,
    registry::{Blob, Content, Descriptor, Manifest},
};

/// A folder with a manifest, a configuration and compressed layers; dropping it removes it.
#[derive(Debug)]
pub(super) struct Saved {
    folder: PathBuf,
    pub(super) manifest: Manifest,
    /// The configuration last: without the layers it would be worth nothing.
    pub(super) blobs: Vec<Blob>,
}

/// The part of an image's manifest that a release reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageManifest {
    pub(super) media_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl ImageManifest {
    /// Nothing where it is not the manifest of one image.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl Saved {
    /// Takes the image with this id out of the store. The same image gives the same bytes.
    pub(super) async fn of(id: &Digest, folder: &Path) -> Result<Self, Refusal> {
        clear(folder)?;
        let failed = format!("cannot take {id} out of podman's store");
        let place = folder.to_string_lossy();
        let arguments =
            ["save", "--quiet", "--format=docker-dir", "--compress", "--output", &place, id.hex()];
        let saved = podman(&failed, &arguments).await;
        // From here on the folder is removed whatever happens.
        let mut saved = saved
            .map(|_| Self {
                folder: folder.to_owned(),
                manifest: Manifest { media_type: String::new(), bytes: bytes::Bytes::new() },
                blobs: Vec::new(),
            })
            .inspect_err(|_| drop(fs::remove_dir_all(folder)))?;
        saved.read(id, &failed)?;
        Ok(saved)
    }

    fn read(&mut self, id: &Digest, failed: &str) -> Result<(), Refusal> {
        let refuse =
            |why: String| Refusal::environment("release-podman", format!("{failed}: {why}"), "podman info");
        let bytes = fs::read(self.folder.join("manifest.json")).map_err(|error| refuse(error.to_string()))?;
        let manifest =
            ImageManifest::read(&bytes).ok_or_else(|| refuse("what it wrote is no manifest".into()))?;
        if manifest.config.digest != *id {
            return Err(refuse(format!("it wrote {} instead", manifest.config.digest)));
        }
        let blob = |it: &Descriptor| Blob {
            digest: it.digest.clone(),
            size: it.size,
            content: Content::File { path: self.folder.join(it.digest.hex()), offset: 0 },
        };
        self.blobs = manifest.layers.iter().chain([&manifest.config]).map(blob).collect();
        let media_type = manifest.media_type.unwrap_or_else(|| crate::registry::OCI_MANIFEST.to_owned());
        self.manifest = Manifest { media_type, bytes: bytes.into() };
        Ok(())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Removes what a killed run left, and makes room.
pub(super) fn clear(folder: &Path) -> Result<(), Refusal> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot make `{}` anew: {error}", folder.display());
        Refusal::environment("release-file", message, format!("rm -r {}", folder.display()))
    };
    let removed = if folder.is_file() { fs::remove_file(folder) } else { fs::remove_dir_all(folder) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    folder.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)
}
