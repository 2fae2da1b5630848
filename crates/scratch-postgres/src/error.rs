//! What can go wrong, told apart by who has to act.

use std::fmt;

use crate::options::Provider;

/// How much of a server's log is shown when it does not start.
const LOG_LINES: usize = 6;

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
    /// The last lines of the server's own log, where it had begun to speak.
    pub log: Vec<String>,
}

impl Lack {
    pub(crate) fn new(provider: Provider, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { provider, reason: reason.into(), fix: fix.into(), log: Vec::new() }
    }

    /// With the end of the server's log.
    pub(crate) fn with_log(mut self, text: &str) -> Self {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        self.log = last.iter().map(|&line| line.to_owned()).collect();
        self
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.provider, self.reason, self.fix)?;
        self.log.iter().try_for_each(|line| write!(f, "\n    | {line}"))
    }
}

fn told(lacks: &[Lack]) -> String {
    lacks.iter().map(|lack| format!("\n  {lack}")).collect()
}
