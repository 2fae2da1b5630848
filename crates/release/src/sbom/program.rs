//! Programs and libraries: whether a file is one, whether it is made of Rust, and the list of crates that it holds.

use serde::Deserialize;

use super::SbomError;

/// What an ELF file begins with.
pub(super) const MAGIC: &[u8] = b"\x7fELF";
/// What `.comment` of a Rust program says; `strip` leaves it.
const COMPILER: &[u8] = b"rustc version ";
/// Where panics of the standard library come from, in every program that can panic.
const STANDARD_LIBRARY: &[u8] = b"/rustc/";
/// Bytes that a list may take when it is spelled out: more is an attack, not a program.
const LIST_MAX_BYTES: usize = 8 << 20;

/// A program or a shared library.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) is_rust: bool,
    /// What it says that it is made of; the order is the list's.
    pub(super) crates: Option<Vec<Crate>>,
}

/// A crate as a program names it, in the form of cargo-auditable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// `crates.io`, `local`, `git`, `registry`, or what else the list says.
    pub(super) source: String,
    #[serde(default)]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) root: bool,
    /// Places in the list.
    #[serde(default)]
    pub(super) dependencies: Vec<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Its code is in the program.
    #[default]
    Runtime,
    /// It ran during the build only.
    Build,
}

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

impl Program {
    /// Looks into a file; nothing where it is no ELF.
    pub(super) fn of(name: &str, content: &[u8]) -> Result<Option<Self>, SbomError> {
        if !content.starts_with(MAGIC) {
            return Ok(None);
        }
        let unreadable = |reason: String| SbomError::List { file: format!("/{name}"), reason };
        let crates = match auditable_info::json_from_slice(content, LIST_MAX_BYTES) {
            Ok(json) => {
                let list: List =
                    serde_json::from_str(&json).map_err(|error| unreadable(error.to_string()))?;
                Some(list.packages)
            }
            // What is cut off or made up runs nowhere, and says nothing of itself.
            Err(auditable_info::Error::NoAuditData | auditable_info::Error::BinaryParsing(_)) => None,
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Ok(Some(Self { is_rust: crates.is_some() || is_rust(content), crates }))
    }
}

fn is_rust(content: &[u8]) -> bool {
    let holds = |wanted: &[u8]| content.windows(wanted.len()).any(|it| it == wanted);
    holds(COMPILER) || holds(STANDARD_LIBRARY)
}
