//! The images that this checkout built last and what was found of each: `target/xtask/images.json`.
//!
//! What is green here is what a release pushes.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{context::Context, report::write_whole};

/// Below `target/xtask`.
const FILE: &str = "images.json";
const SCHEMA: u32 = 2;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    schema: u32,
    /// In the order in which they start.
    pub(crate) images: Vec<Recorded>,
    /// Names of before that are still to be taken away.
    #[serde(default)]
    pub(super) older: Vec<String>,
}

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) service: String,
    /// The Containerfile's target.
    pub(crate) target: String,
    /// Name and tag in podman's store; the tag is the beginning of the image's own id.
    pub(crate) reference: String,
    /// `sha256:…` of its configuration, as podman names images.
    pub(crate) id: String,
    /// Names what it was made of; nothing outside of a git repository.
    pub(crate) fingerprint: Option<String>,
    /// The last commit that changed what it is made of, with `-dirty` where that was not committed.
    pub(crate) revision: Option<String>,
    pub(crate) version: String,
    /// Whether a base was made from packages, because the genuine one could not be pulled.
    pub(crate) stand_in_base: bool,
    /// Bytes of its layers by their digests, the lowest first.
    #[serde(default)]
    pub(crate) layers: Vec<(String, u64)>,
    /// Names what it was found good on: itself, what it was started with, the tool. Nothing until then.
    #[serde(default)]
    pub(crate) green: Option<String>,
}

impl Default for Record {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

impl Record {
    /// Of these images, with names of before that are still to be taken away.
    pub(super) fn new(images: Vec<Recorded>, older: Vec<String>) -> Self {
        Self { schema: SCHEMA, images, older }
    }

    /// The checkout's; an empty one where nothing was built, or another version of the tool wrote it.
    pub(crate) fn read(cx: &Context) -> Self {
        Self::at(&cx.root).unwrap_or_default()
    }

    /// That of the checkout with this root, if it has one.
    pub(super) fn at(root: &Path) -> Option<Self> {
        let text = fs::read(Context::target_of(root).join(FILE)).ok()?;
        let record: Option<Self> = serde_json::from_slice(&text).ok();
        record.filter(|it| it.schema == SCHEMA)
    }

    pub(super) fn write(&self, cx: &Context) -> anyhow::Result<()> {
        self.write_at(&cx.root)
    }

    pub(super) fn write_at(&self, root: &Path) -> anyhow::Result<()> {
        write_whole(&Context::target_of(root).join(FILE), self)
    }

    pub(crate) fn references(&self) -> Vec<String> {
        self.images.iter().map(|it| it.reference.clone()).collect()
    }

    pub(super) fn of(&self, service: &str) -> Option<&Recorded> {
        self.images.iter().find(|it| it.service == service)
    }
}

/// Bytes of the layers of all images, what they share counted once.
pub(super) fn together<'a>(images: impl IntoIterator<Item = &'a Recorded>) -> u64 {
    let layers: BTreeMap<&str, u64> =
        images.into_iter().flat_map(|it| &it.layers).map(|(id, size)| (id.as_str(), *size)).collect();
    layers.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_images_share_counts_once() {
        let image = |layers: &[(&str, u64)]| Recorded {
            layers: layers.iter().map(|(id, size)| ((*id).to_owned(), *size)).collect(),
            ..Recorded::default()
        };
        let images = [image(&[("base", 5), ("a", 2)]), image(&[("base", 5), ("b", 3)])];
        assert_eq!(together(&images), 10);
    }
}
