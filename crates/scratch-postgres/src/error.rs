//! What can go wrong, told apart by who has to act.

use std::fmt;

use crate::options::Provider;

/// Why there is no server or no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting has a value that means nothing.
    #[error("{0}")]
    Usage(String),
    /// No provider works on this host; each one's reason, in the order in which they were tried.
    #[error("no scratch Postgres{}", told(.0))]
    Environment(Vec<Lack>),
    /// The server refused what was asked of it.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was attempted, as in "create database `x`".
        doing: String,
        /// What the server or the connection said.
        source: sqlx::Error,
    },
    /// The server, or the thread that speaks with it, is gone.
    #[error("cannot {0}: the scratch server has ended; start another one")]
    Gone(String),
}

/// Why one provider does not work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The provider.
    pub provider: Provider,
    /// What is the matter, in words.
    pub reason: String,
    /// What helps, with the command where there is one.
    pub fix: String,
}

impl Lack {
    pub(crate) fn new(provider: Provider, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { provider, reason: reason.into(), fix: fix.into() }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.provider, self.reason, self.fix)
    }
}

fn told(lacks: &[Lack]) -> String {
    lacks.iter().map(|lack| format!("\n  {lack}")).collect()
}
