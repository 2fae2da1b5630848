//! Why a run ended without doing what it was asked, by exit code.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migration};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use crate::plan::{Refusal, title};

/// Waited longer than `lock_timeout` for a table.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The server's trouble and not the migration's: broken connections, nothing left of some resource, a server that
/// starts or stops, a standby.
const SERVER_TROUBLE: &[&str] = &["08", "53", "57P", "25006"];

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The environment or the command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Files and ledger contradict each other.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A migration does not run.
    #[error("migration {title} failed{place}: {message}; {state}")]
    Migration { title: String, place: String, message: String, state: &'static str },
    /// The database is not there, or turns the login away.
    #[error(
        "cannot reach the database that `{variable}` names: {reason}; check that it runs and the login is right"
    )]
    Unreachable { variable: &'static str, reason: String },
    /// The connection broke, or the database is not in a state to work with.
    #[error("the database failed: {0}; run the migrator again once it is healthy")]
    Database(String),
    /// A table is in use.
    #[error(
        "migration {title} gave up waiting for a table that is in use, and left nothing behind; \
         run the migrator again when long transactions have ended"
    )]
    Busy { title: String },
    /// Somebody has locked the ledger itself.
    #[error("the ledger is locked: a transaction holds it exclusively; look again when that has ended")]
    LedgerBusy,
    /// Another migrator does not come to its end.
    #[error(
        "another migrator still holds the lock after {} s; see what it does with `migrator status`, or wait longer with `MIGRATOR_WAIT_S`",
        .0.as_secs()
    )]
    Locked(Duration),
    /// TERM or Ctrl-C.
    #[error(
        "interrupted; run the migrator again, it goes on with the first migration that is not in the ledger"
    )]
    Interrupted,
}

impl Failure {
    /// The exit code that scripts rely on.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Migration { .. } => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. }
            | Self::Database(_)
            | Self::Busy { .. }
            | Self::LedgerBusy
            | Self::Locked(_) => 3,
            Self::Interrupted => 130,
        }
    }

    /// What reading the ledger ended with.
    pub(crate) fn of_look(error: &sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else { return Self::Database(error.to_string()) };
        if database.code().as_deref() == Some(LOCK_NOT_AVAILABLE) {
            return Self::LedgerBusy;
        }
        Self::Database(message_of(database))
    }

    /// What applying `migration` ended with.
    pub(crate) fn of_migration(migration: &Migration, error: MigrateError) -> Self {
        let error = match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
            other => return Self::Database(other.to_string()),
        };
        let title = title(migration.version, &migration.description);
        let Some(database) = error.as_database_error() else { return Self::Database(error.to_string()) };
        let code = database.code().unwrap_or_default();
        if code == LOCK_NOT_AVAILABLE && !migration.no_tx {
            return Self::Busy { title };
        }
        if SERVER_TROUBLE.iter().any(|trouble| code.starts_with(trouble)) {
            return Self::Database(message_of(database));
        }
        let place = line_of(database, migration.sql.as_str());
        Self::Migration {
            title,
            place: place.map(|line| format!(" at line {line}")).unwrap_or_default(),
            message: message_of(database),
            state: if migration.no_tx {
                "it runs outside a transaction: see what it left behind before running it again"
            } else {
                "nothing of it was applied"
            },
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(match error.as_database_error() {
            Some(database) => message_of(database),
            None => error.to_string(),
        })
    }
}

/// What the server said, with the code that one can look up.
pub(crate) fn message_of(error: &dyn DatabaseError) -> String {
    match error.code() {
        Some(code) => format!("{} (SQLSTATE {code})", error.message()),
        None => error.message().to_owned(),
    }
}

fn line_of(error: &dyn DatabaseError, sql: &str) -> Option<usize> {
    let Some(PgErrorPosition::Original(position)) =
        error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::position)
    else {
        return None;
    };
    Some(sql.chars().take(position.saturating_sub(1)).filter(|c| *c == '\n').count() + 1)
}
