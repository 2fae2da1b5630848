//! What an image is made of, as a CycloneDX document: read out of its binaries and layers, not out of what was meant to
//! go in.
//!
//! The crates are those that each Rust binary names in its section `.dep-v0`, the Debian packages those of
//! `/var/lib/dpkg/status.d`, and every file that belongs to neither is listed by itself. The same image gives the same
//! bytes: nothing in the document is drawn by chance or read from a clock.

mod archive;
mod cyclonedx;
mod debian;
mod document;
mod files;
mod lock;
mod program;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::{cyclonedx::Bom, lock::Lock};
use self::{files::Files, program::Program};
use crate::error::{ENVIRONMENT, FAULT, USAGE};

/// What helps against a program that does not name its crates.
const ADD_A_LIST: &str =
    "have the builder add the list, as `dependency-list` or `cargo auditable build` does";

/// An image as it was read.
#[derive(Debug)]
pub struct Contents {
    /// `sha256:…` of its configuration, which is what podman calls the image's id.
    id: String,
    title: Option<String>,
    version: Option<String>,
    files: Files,
}

/// Why an image cannot be read.
#[derive(Debug, Error)]
pub enum SbomError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// No archive of `podman save` and no folder in OCI's layout.
    #[error("`{path}` is no image: {reason}")]
    NotAnImage { path: PathBuf, reason: String },
    #[error("`{path}` holds {count} images; save one of them alone")]
    SeveralImages { path: PathBuf, count: usize },
    #[error("a layer is compressed in a way that is not read here; save the image without `--compress`")]
    Compression,
    #[error("the layer `{digest}` is not what its digest says")]
    WrongDigest { digest: String },
    #[error("`{file}` in the image holds a list of crates that cannot be read: {reason}")]
    List { file: String, reason: String },
    #[error("the lock file cannot be read: {reason}")]
    Lock { reason: String },
    /// The image can be read, and does not say all that it is made of.
    #[error("{}", gaps.iter().map(Gap::to_string).collect::<Vec<_>>().join("\n"))]
    Gaps { gaps: Vec<Gap> },
}

impl SbomError {
    /// The exit code of a program that ends with this.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::WrongDigest { .. } | Self::List { .. } | Self::Gaps { .. } => FAULT,
            Self::NotAnImage { .. } | Self::SeveralImages { .. } | Self::Compression | Self::Lock { .. } => {
                USAGE
            }
            Self::Read { .. } => ENVIRONMENT,
        }
    }
}

/// What keeps a document from naming all that an image is made of; ends in what helps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Gap {
    /// A Rust binary that does not name its crates.
    #[error("`{file}` is a Rust program that does not say which crates it is made of; {ADD_A_LIST}")]
    NoList { file: String },
    /// A list that names no crate that the binary is of.
    #[error("the list of crates in `{file}` does not say which one it is of; {ADD_A_LIST}")]
    NoRoot { file: String },
    /// A crate that the lock file does not know: the image is of another tree.
    #[error(
        "`{file}` is made of crates that `Cargo.lock` does not name ({}); build the image from this tree",
        crates.join(", ")
    )]
    NotLocked { file: String, crates: Vec<String> },
}

impl Contents {
    /// Reads an image as `podman save` writes it: a docker-archive, an oci-archive, or a folder in OCI's layout.
    ///
    /// # Errors
    /// When it is none of these, holds several images, or is damaged.
    pub fn read(path: &Path) -> Result<Self, SbomError> {
        archive::read(path)
    }

    /// The document.
    #[must_use]
    pub fn bom(&self) -> Bom {
        document::of(self)
    }

    /// What keeps the document from naming all crates; with a lock file, also what that does not know.
    #[must_use]
    pub fn gaps(&self, lock: Option<&Lock>) -> Vec<Gap> {
        let programs = self.files.iter().filter_map(|(path, file)| Some((path, file.program.as_ref()?)));
        programs.filter_map(|(path, program)| gap(path, program, lock)).collect()
    }

    /// Whether the document names all crates.
    ///
    /// # Errors
    /// When there are gaps: all of them.
    pub fn complete(&self, lock: Option<&Lock>) -> Result<(), SbomError> {
        let gaps = self.gaps(lock);
        if gaps.is_empty() { Ok(()) } else { Err(SbomError::Gaps { gaps }) }
    }
}

/// The document of the image in an archive or a folder.
///
/// # Errors
/// When there is no image that can be read.
pub fn of_image(path: &Path) -> Result<Bom, SbomError> {
    Ok(Contents::read(path)?.bom())
}

fn gap(path: &str, program: &Program, lock: Option<&Lock>) -> Option<Gap> {
    let file = format!("/{path}");
    let Some(crates) = &program.crates else {
        return program.is_rust.then_some(Gap::NoList { file });
    };
    if !crates.iter().any(|it| it.root) {
        return Some(Gap::NoRoot { file });
    }
    let lock = lock?;
    let unknown = crates.iter().filter(|it| !lock.knows(&it.name, &it.version));
    let unknown: Vec<String> = unknown.map(|it| format!("{} {}", it.name, it.version)).collect();
    (!unknown.is_empty()).then_some(Gap::NotLocked { file, crates: unknown })
}
