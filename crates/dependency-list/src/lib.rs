//! Writes into a binary which crates it was linked from, where scanners of software look for it.
//!
//! The list is what `cargo tree` says of the very packages that were built together, and goes into the section `.dep-v0`
//! in the form that cargo-auditable made common. It is added to the finished binary, so no compile knows of it: nothing
//! is compiled again because of the list, and no tool has to be fetched for it.

mod section;
mod tree;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tree::Edges;
pub use tree::{Kind, Listed, Tree};

/// Where scanners look.
pub const SECTION: &str = ".dep-v0";

/// Why a list could not be written.
#[derive(Debug)]
pub enum Error {
    /// A program could not be started.
    NotStarted { program: &'static str, source: io::Error },
    /// A program ended with an error; its own words.
    Refused { program: &'static str, words: String },
    /// A line of `cargo tree` that is no package.
    Unreadable { line: String },
    /// A package that `cargo tree` does not know.
    UnknownPackage { name: String },
    /// A file cannot be read or written.
    File { path: PathBuf, source: io::Error },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, source } => write!(f, "`{program}` cannot be started: {source}"),
            Self::Refused { program, words } => write!(f, "`{program}` failed: {words}"),
            Self::Unreadable { line } => write!(f, "`cargo tree` said `{line}`, which is no package"),
            Self::UnknownPackage { name } => write!(f, "`cargo tree` knows no package `{name}`"),
            Self::File { path, source } => write!(f, "`{}`: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// Copies the binary of each package from one folder into another, with its list in it.
///
/// `packages` are all that were built in one call of cargo in `workspace`: together they decide about features.
///
/// # Errors
/// When `cargo tree` or `objcopy` cannot be run, or there is no such binary.
pub fn embed(workspace: &Path, packages: &[String], from: &Path, to: &Path) -> Result<(), Error> {
    let tree = Tree::of(
        &cargo_tree(workspace, packages, Edges::Linked)?,
        &cargo_tree(workspace, packages, Edges::Built)?,
    )?;
    for name in packages {
        let list = tree.list(name).ok_or_else(|| Error::UnknownPackage { name: name.clone() })?;
        let content = to.join(format!("{name}{SECTION}"));
        let file = |source| Error::File { path: content.clone(), source };
        fs::write(&content, section::bytes(&list)).map_err(file)?;
        let added = format!("{SECTION}={}", content.display());
        let mut objcopy = Command::new("objcopy");
        said("objcopy", objcopy.args(["--add-section", &added]).arg(from.join(name)).arg(to.join(name)))?;
        fs::remove_file(&content).map_err(file)?;
    }
    Ok(())
}

fn cargo_tree(workspace: &Path, packages: &[String], edges: Edges) -> Result<String, Error> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace).args(["tree", "--locked", "--offline", "--charset", "ascii"]);
    // The depth, a blank, and the package: nothing has to be guessed from indentation.
    cargo.args(["--prefix", "depth", "--format", " {p}", "--edges", edges.argument()]);
    cargo.args(packages.iter().flat_map(|it| ["--package", it]));
    said("cargo tree", &mut cargo)
}

fn said(program: &'static str, command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|source| Error::NotStarted { program, source })?;
    let Output { status, stdout, stderr } = output;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(Error::Refused { program, words: String::from_utf8_lossy(&stderr).trim().to_owned() })
}
