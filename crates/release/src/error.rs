//! What can go wrong, and which exit code says so.

use std::{io, path::PathBuf};

use crate::{
    credentials::CredentialsError, digest::NoDigest, keys::KeyError, record::RecordError,
    reference::NoReference, registry::RegistryError, verify::Refusal,
};

/// A release's own errors; each message ends in what helps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that names no image.
    #[error(transparent)]
    Reference(#[from] NoReference),
    /// Text that is no digest.
    #[error(transparent)]
    Digest(#[from] NoDigest),
    /// Credentials that cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A registry that refused, or did not answer well.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A record that is none, or not signed by whom it should be.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A release that cannot be published as it is.
    #[cfg(feature = "cli")]
    #[error("{}; {}", .0.message, .0.fix)]
    Refused(crate::publish::Refusal),
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An image that is not what it should be.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// An image that cannot be read, or does not say what it is made of.
    #[cfg(feature = "sbom")]
    #[error(transparent)]
    Image(#[from] crate::sbom::SbomError),
    /// Wrong use of a command.
    #[error("{0}")]
    Usage(String),
    /// A file of this machine.
    #[error("cannot {doing} `{}`: {error}", path.display())]
    File {
        /// Such as `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Ctrl-C or TERM.
    #[error("interrupted")]
    Interrupted,
}

/// A check found a fault in what was released.
pub(crate) const FAULT: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// The environment lacks something: a registry, a file, a program.
pub(crate) const ENVIRONMENT: u8 = 3;
/// Ctrl-C or TERM.
pub(crate) const INTERRUPTED: u8 = 130;

impl Error {
    /// The exit code of a program that ends with this.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Reference(_) | Self::Digest(_) | Self::Credentials(_) | Self::Usage(_) | Self::Key(_) => {
                USAGE
            }
            Self::Refusal(_) => FAULT,
            Self::Registry(error) => error.exit_code(),
            Self::Record(error) => error.exit_code(),
            #[cfg(feature = "cli")]
            Self::Refused(refusal) => refusal.exit_code(),
            #[cfg(feature = "sbom")]
            Self::Image(error) => error.exit_code(),
            Self::File { .. } => ENVIRONMENT,
            Self::Interrupted => INTERRUPTED,
        }
    }
}
