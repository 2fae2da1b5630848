//! What keeps the gate from judging at all, and the exit code that it means.

use std::{io, path::Path};

use crate::document::DocumentError;

/// Why nothing, or not everything, could be judged. A fault in the migrations is a finding, never an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path, role or prelude that cannot be used.
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    NoServer(#[from] scratch_postgres::Error),
    #[error(
        "lost the server while {doing}: {cause}; the migrations are not to blame: see why it ended and run again"
    )]
    Lost { doing: String, cause: String },
    #[error(
        "the scratch server has no room left while {doing}: {cause}; free some, or set `XTASK_POSTGRES_DIR` to a place with room"
    )]
    NoRoom { doing: String, cause: String },
    #[error("{message}, which `{file}` needs; {help}")]
    MissingExtension { message: String, file: String, help: String },
    /// The database that a snapshot is to be taken of.
    #[error(
        "cannot connect to the live database: {0}; see that the address is right and reachable from here"
    )]
    NoLiveDatabase(String),
    /// git cannot be run, or fails where it has no reason to.
    #[error("{0}; see that `git log` works there")]
    NoGit(String),
    #[error("cannot write the findings: {0}")]
    Output(#[from] io::Error),
    #[error("interrupted; the scratch server is gone")]
    Interrupted,
}

impl Error {
    /// The exit code that scripts rely on: 2 usage or configuration, 3 environment, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_)
            | Self::Document(_)
            | Self::NoServer(scratch_postgres::Error::Usage(_)) => 2,
            Self::NoServer(_)
            | Self::Lost { .. }
            | Self::NoRoom { .. }
            | Self::MissingExtension { .. }
            | Self::NoGit(_)
            | Self::NoLiveDatabase(_)
            | Self::Output(_) => 3,
            Self::Interrupted => 130,
        }
    }

    /// What the server said when it gave up `doing`, which no SQL is to blame for.
    pub(crate) fn gave_up(doing: &str, sqlstate: Option<&str>, cause: String) -> Self {
        let doing = doing.into();
        match sqlstate {
            Some("53100") => Self::NoRoom { doing, cause },
            _ => Self::Lost { doing, cause },
        }
    }

    /// `what` and `path` could not be read.
    pub(crate) fn unreadable(what: &str, path: &Path, error: &io::Error) -> Self {
        let (is_link, path) = (path.is_symlink(), path.display());
        Self::Configuration(match error.kind() {
            io::ErrorKind::NotFound if is_link => {
                format!("{what} `{path}` is a symbolic link to what does not exist; correct or remove it")
            }
            io::ErrorKind::NotFound => format!("{what} `{path}` does not exist; correct the path"),
            io::ErrorKind::NotADirectory => format!("{what} `{path}` is no directory; correct the path"),
            io::ErrorKind::IsADirectory => format!("{what} `{path}` is a directory; name a file"),
            _ => format!("cannot read {what} `{path}`: {error}; see that it can be read"),
        })
    }
}
