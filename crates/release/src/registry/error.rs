//! How a registry fails, told so that one knows what to do.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    credentials::{CredentialsError, PASSWORD_VARIABLE, USER_VARIABLE},
    digest::Digest,
    error::{ENVIRONMENT, FAULT},
};

/// A registry that refused, or did not answer well. `what` is the operation, as the rest of "cannot …".
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// 401 and nobody to be.
    #[error(
        "cannot {what}: `{host}` wants to know who asks; `podman login --authfile FILE {host}` and `--authfile FILE`, \
         or set {USER_VARIABLE} and {PASSWORD_VARIABLE}"
    )]
    Anonymous {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
    },
    /// 401 with credentials.
    #[error(
        "cannot {what}: `{host}` does not take the user and password of `{user}` from {from}; `podman login --authfile \
         FILE {host}` tries them, a new token or password may be due"
    )]
    Unauthorized {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// Who asked.
        user: String,
        /// Where the credentials come from.
        from: String,
    },
    /// 403.
    #[error("cannot {what}: `{host}` does not let {user} do that ({detail}); ask its owner for the right to")]
    Forbidden {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// Who asked, such as "`ann`" or "just anybody".
        user: String,
        /// What the registry said.
        detail: String,
    },
    /// 404 where the thing is needed.
    #[error("cannot {what}: `{host}` has no such thing ({detail})")]
    NotFound {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// What the registry said.
        detail: String,
    },
    /// Every attempt failed in a way that might have passed.
    #[error("cannot {what}: {last}, in {attempts} attempts; try again when `{host}` is well")]
    Unavailable {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// How often it was tried.
        attempts: u32,
        /// How the last attempt failed.
        last: String,
    },
    /// It took longer than such an operation may.
    #[error(
        "cannot {what}: `{host}` was not done with it after {} s; it, or the network to it, is too slow", after.as_secs()
    )]
    Slow {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// Its disk is full.
    #[error("cannot {what}: `{host}` has no space left; free some, or run its garbage collection")]
    Full {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
    },
    /// Any other refusal.
    #[error("cannot {what}: `{host}` refused with {status} ({detail})")]
    Refused {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// HTTP's status code.
        status: u16,
        /// What the registry said.
        detail: String,
    },
    /// It served other content than was asked for.
    #[error("cannot {what}: `{host}` served {found} for {expected}; what it has was changed or is damaged")]
    WrongContent {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// What was asked for.
        expected: Digest,
        /// What came, a digest or a length.
        found: String,
    },
    /// More than such a thing may have.
    #[error("cannot {what}: `{host}` sent more than {max} bytes")]
    TooLarge {
        /// The operation.
        what: String,
        /// The registry.
        host: String,
        /// What would be taken.
        max: u64,
    },
    /// It does not speak as a registry does.
    #[error("`{host}` does not answer as a registry does: {why}")]
    Protocol {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// No credentials can be found for it.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A blob's file.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What a blob is streamed into.
    #[error("cannot write what was downloaded: {0}")]
    Sink(io::Error),
    /// The certificate authorities of this machine.
    #[error(
        "cannot use this machine's certificate authorities: {0}; install `ca-certificates` or set SSL_CERT_FILE"
    )]
    Authorities(String),
}

impl RegistryError {
    /// The exit code of a program that ends with this.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::WrongContent { .. } => FAULT,
            Self::Credentials(_) => crate::error::USAGE,
            _ => ENVIRONMENT,
        }
    }
}
