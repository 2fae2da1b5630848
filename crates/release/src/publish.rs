//! Publishing a release: the images that the gate tested, pushed once, signed, verified as a host would, and tagged.
//!
//! Every part asks the registry what is there already and does the rest, so that whatever was killed is gone on with by
//! doing it again. What is there under a name that never moves and is something else is refused, never replaced.

mod announce;
mod auth;
mod engine;
mod look;
mod order;
mod push;
mod record;
mod refusal;
mod saved;
mod tags;
mod verify;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use announce::{Slipway, TOKEN_VARIABLE, URL_VARIABLE};
pub use look::{Seen, SeenImage, SeenTag, TagState};
pub use order::{Accepted, Image, Order};
pub use refusal::{Kind, Refusal};

use crate::{Digest, Logins, Registry, Repository, SigningKey, TrustedKeys};

/// What was pushed, for the parts that come after.
const PUSHED: &str = "pushed.json";

/// A release that is being published.
pub struct Publishing<'a> {
    pub registry: &'a Registry,
    pub logins: &'a Logins,
    pub order: &'a Order,
    /// Signs images and the record.
    pub key: &'a SigningKey,
    /// What hosts verify with; the key's public half is among them.
    pub trusted: &'a TrustedKeys,
    /// Told what is about to be done, before it is done.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// What there is after a part of the publishing.
#[derive(Debug, Default, Serialize)]
pub struct Published {
    pub images: Vec<PublishedImage>,
    /// The file of the release's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<PathBuf>,
}

/// One image, by the name that never changes.
#[derive(Debug, Serialize)]
pub struct PublishedImage {
    pub service: String,
    /// `registry/path@sha256:…`
    pub reference: String,
    pub tags: Vec<String>,
}

/// What `push` found out, by service.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Pushed {
    images: BTreeMap<String, PushedImage>,
}

/// An image on the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PushedImage {
    /// The manifest's digest: the image's identity.
    digest: Digest,
    /// The configuration's digest: what podman calls the image's id.
    id: Digest,
    sbom: Option<Digest>,
}

impl std::fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publishing").field("order", self.order).finish_non_exhaustive()
    }
}

impl Publishing<'_> {
    fn say(&self, text: impl AsRef<str>) {
        (self.say)(text.as_ref());
    }

    /// Where an image lies.
    fn repository(&self, image: &Image) -> Result<Repository, Refusal> {
        let order = self.order;
        let text = format!("{}/{}/{}", order.registry, order.path.trim_matches('/'), image.service);
        text.parse().map_err(|error| Refusal::usage("release-registry", format!("{error}"), NAME_FIX))
    }
}

/// What helps against a name that is none.
const NAME_FIX: &str = "correct `registry` and `path` under `[release]` in `.config/xtask.toml`";
