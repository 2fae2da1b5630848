//! The crates that a lock file names.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;

use super::SbomError;

/// Names and versions of a `Cargo.lock`.
#[derive(Debug)]
pub struct Lock(BTreeSet<(String, String)>);

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// When it is not there or is no lock file.
    pub fn read(path: &Path) -> Result<Self, SbomError> {
        let text =
            fs::read_to_string(path).map_err(|source| SbomError::Read { path: path.into(), source })?;
        let file: File =
            toml::from_str(&text).map_err(|error| SbomError::Lock { reason: error.message().to_owned() })?;
        Ok(Self(file.package.into_iter().map(|it| (it.name, it.version)).collect()))
    }

    pub(super) fn knows(&self, name: &str, version: &str) -> bool {
        self.0.contains(&(name.to_owned(), version.to_owned()))
    }
}
