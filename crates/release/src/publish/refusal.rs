//! Why a release does not go on, with the way out, as the one who asked tells it on.

use std::{fs, path::Path};

use serde::Serialize;

use crate::{error::Error, keys::KeyError, registry::RegistryError};

/// A refusal by its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// A name that scripts can rely on.
    pub code: &'static str,
    pub kind: Kind,
    pub message: String,
    /// A command, or what to do.
    pub fix: String,
}

/// Whose matter a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What would be released, or what is there already.
    Fault,
    /// What was typed or configured.
    Usage,
    /// The environment lacks something.
    Environment,
}

impl Refusal {
    pub(super) fn fault(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, kind: Kind::Fault, message: message.into(), fix: fix.into() }
    }

    pub(super) fn usage(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::fault(code, message, fix) }
    }

    pub(super) fn environment(
        code: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { kind: Kind::Environment, ..Self::fault(code, message, fix) }
    }

    /// The exit code of a program that ends with this.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Fault => crate::error::FAULT,
            Kind::Usage => crate::error::USAGE,
            Kind::Environment => crate::error::ENVIRONMENT,
        }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        let code = match &error {
            RegistryError::Anonymous { .. }
            | RegistryError::Unauthorized { .. }
            | RegistryError::Forbidden { .. }
            | RegistryError::Credentials(_) => "release-credentials",
            RegistryError::WrongContent { .. } => "release-registry-digest",
            _ => "release-registry",
        };
        told(code, error.exit_code(), &error.to_string())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Registry(error) => error.into(),
            Error::Refused(refusal) => refusal,
            Error::Refusal(_) | Error::Record(_) => {
                told("release-not-verified", error.exit_code(), &error.to_string())
            }
            Error::Key(KeyError::NotGiven) => {
                told("release-no-signing-key", crate::error::ENVIRONMENT, &error.to_string())
            }
            Error::Key(_) => told("release-signing-key", error.exit_code(), &error.to_string()),
            error => told("release-publisher", error.exit_code(), &error.to_string()),
        }
    }
}

/// An error whose message ends in what helps, after the last semicolon.
fn told(code: &'static str, exit_code: u8, text: &str) -> Refusal {
    let kind = match exit_code {
        crate::error::FAULT => Kind::Fault,
        crate::error::USAGE => Kind::Usage,
        _ => Kind::Environment,
    };
    let (message, fix) =
        text.rsplit_once("; ").unwrap_or((text, "run it again: what is done already stays done"));
    Refusal { code, kind, message: message.to_owned(), fix: fix.to_owned() }
}

/// Writes a file whole.
pub(super) fn written(path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    let beside = path.with_extension("part");
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let result = folder.and_then(|()| fs::write(&beside, bytes)).and_then(|()| fs::rename(&beside, path));
    result.map_err(|error| {
        let message = format!("cannot write `{}`: {error}", path.display());
        Refusal::environment("release-file", message, "df -h")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_stands_apart_from_what_is_wrong() {
        let error = RegistryError::Full { what: "upload x".into(), host: "r.example".into() };
        let refusal = Refusal::from(error);
        assert_eq!((refusal.code, refusal.kind), ("release-registry", Kind::Environment));
        assert_eq!(refusal.message, "cannot upload x: `r.example` has no space left");
        assert_eq!(refusal.fix, "free some, or run its garbage collection");
    }
}
