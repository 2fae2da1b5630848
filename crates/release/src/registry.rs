//! A client of registries over the OCI distribution API, with bounded patience.
//!
//! It knows no image builder and no file but the blobs that it is given. One client serves any number of registries;
//! what is asked names its repository, and credentials go only to the registry that they are for.

mod auth;
mod blobs;
mod connect;
mod error;
mod manifests;
mod patience;
mod referrers;
mod transport;
mod upload;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[cfg(feature = "cli")]
pub(crate) use connect::Connections;
pub use error::RegistryError;
pub use referrers::{EMPTY, EMPTY_TYPE};

use crate::{credentials::Logins, digest::Digest, reference::Repository};
use patience::Patience;
use transport::Transport;

/// Bytes of a manifest or an index; the specification asks registries to take no less than 4 MiB.
pub const MANIFEST_MAX: usize = 4 * 1024 * 1024;
/// An image's manifest, or an artifact's.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Several manifests under one name.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's form of an image's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's form of an index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A client of registries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    transport: Arc<Transport>,
}

/// How a client asks.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who asks.
    pub logins: Logins,
    /// Hosts that are spoken to without TLS, with their port or for any port. Loopback is too.
    pub insecure: BTreeSet<String>,
    /// How long and how often.
    pub limits: Limits,
}

/// How long and how often a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Attempts without progress.
    pub attempts: u32,
    /// The first pause between two attempts; each further one is twice as long, and up to a half is left to chance.
    pub pause: Duration,
    /// The longest of these pauses. One that the registry asks for is kept, or given up on where time is too short for it.
    pub pause_max: Duration,
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Without a byte from the registry.
    pub idle: Duration,
    /// A whole operation that moves no blob, with all its attempts.
    pub operation: Duration,
    /// What a blob adds to that: a registry that is slower than this many bytes a second is given up.
    pub bytes_per_s_min: u64,
    /// Bytes of a blob in one request; more go in chunks.
    pub chunk_bytes: usize,
}

/// What a manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The content's type.
    pub media_type: String,
    /// The content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is for, where it describes a manifest that refers to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest: exactly the bytes that its digest is the digest of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// One of [`OCI_MANIFEST`], [`OCI_INDEX`] and docker's two.
    pub media_type: String,
    /// What was stored, byte for byte.
    pub bytes: Bytes,
}

/// A blob to be pushed.
#[derive(Debug, Clone)]
pub struct Blob {
    /// What it must be.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where it comes from.
    pub content: Content,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Bytes(Bytes),
    /// In a file, from an offset on: a layer of an archive needs no copy.
    File {
        /// The file.
        path: PathBuf,
        /// Where the blob begins in it.
        offset: u64,
    },
}

/// What pushing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The registry had it.
    Present,
    /// It is there now.
    Uploaded,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: 6,
            pause: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            operation: Duration::from_secs(180),
            bytes_per_s_min: 64 * 1024,
            chunk_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Manifest {
    /// The manifest's identity.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// What refers to it writes this.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest(),
            size: self.bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Blob {
    /// A blob of these bytes.
    #[must_use]
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), size: bytes.len() as u64, content: Content::Bytes(bytes) }
    }
}

impl Registry {
    /// A client; no registry is asked yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        Ok(Self { transport: Arc::new(Transport::new(options)?) })
    }

    /// Whether this host is spoken to without TLS: loopback, and what the options name.
    #[must_use]
    pub fn speaks_plain(&self, host: &str) -> bool {
        self.transport.may_be_plain(host)
    }

    /// Patience for an operation on a repository that moves this many bytes.
    fn patience(&self, repository: &Repository, what: String, bytes: u64) -> Patience<'_> {
        Patience::new(&self.transport.options.limits, repository.registry(), what, bytes)
    }
}
