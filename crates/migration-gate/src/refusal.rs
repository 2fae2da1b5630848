//! What the server said when it refused SQL, taken apart.

use std::fmt;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use tokio_postgres::error::{DbError, ErrorPosition};

/// Severe trouble of the server itself, whatever SQL it was given: no space, no memory, no connections, no disk.
const SERVER_TROUBLE: &[&str] = &["53100", "53200", "53300", "58030", "57P03"];

/// An error that the SQL is to blame for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// In characters from 1, into the whole file.
    pub(crate) position: Option<usize>,
    /// When it happened.
    pub(crate) moment: Moment,
}

/// What was being done when the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// sqlx opens `_sqlx_migrations`, before any migration.
    OpeningLedger,
    /// The file itself.
    File,
    /// The line in the ledger, and the commit.
    Recording,
}

impl Refusal {
    /// Takes apart what the server said; the error itself where it is not about the SQL.
    pub(crate) fn of(error: sqlx::Error) -> Result<Self, sqlx::Error> {
        let sqlx::Error::Database(said) = &error else { return Err(error) };
        let Some(said) = said.try_downcast_ref::<PgDatabaseError>() else { return Err(error) };
        if SERVER_TROUBLE.contains(&said.code()) {
            return Err(error);
        }
        let position = match said.position() {
            Some(PgErrorPosition::Original(position)) => Some(position),
            _ => None,
        };
        Ok(Self {
            sqlstate: said.code().into(),
            message: without_database(said.message()),
            detail: said.detail().map(Into::into),
            hint: said.hint().map(Into::into),
            position,
            moment: Moment::File,
        })
    }

    /// The same of what a login was told; nothing where it is not about the SQL.
    pub(crate) fn said_by(said: &DbError) -> Option<Self> {
        if SERVER_TROUBLE.contains(&said.code().code()) {
            return None;
        }
        let position = match said.position() {
            Some(ErrorPosition::Original(position)) => usize::try_from(*position).ok(),
            _ => None,
        };
        Some(Self {
            sqlstate: said.code().code().into(),
            message: without_database(said.message()),
            detail: said.detail().map(Into::into),
            hint: said.hint().map(Into::into),
            position,
            moment: Moment::File,
        })
    }

    /// The server asked for something that a migration cannot give, such as the data of a `COPY … FROM STDIN`.
    pub(crate) fn unanswerable(error: &tokio_postgres::Error) -> Self {
        Self {
            sqlstate: "08P01".into(),
            message: format!("the server waits for what sqlx cannot send ({error})"),
            detail: None,
            hint: None,
            position: None,
            moment: Moment::File,
        }
    }

    /// The connection ended under a server that lives: the SQL ended it.
    pub(crate) fn connection_cut() -> Self {
        Self {
            sqlstate: "57P01".into(),
            message: "the connection was ended while the file ran".into(),
            detail: None,
            hint: None,
            position: None,
            moment: Moment::File,
        }
    }

    pub(crate) fn during(mut self, moment: Moment) -> Self {
        self.moment = moment;
        self
    }

    /// Whether the session that ran it is gone.
    pub(crate) fn cuts_connection(&self) -> bool {
        matches!(self.sqlstate.as_str(), "57P01" | "57P02")
    }

    /// Whether only the owner of an object may do what was tried.
    pub(crate) fn asks_for_owner(&self) -> bool {
        self.sqlstate == "42501" && self.message.starts_with("must be owner of ")
    }

    /// Whether only a member of another role may turn into it.
    pub(crate) fn asks_for_another_role(&self) -> bool {
        self.sqlstate == "42501"
            && ["permission denied to set role", "permission denied to set session authorization"]
                .iter()
                .any(|it| self.message.starts_with(it))
    }

    /// Whether only a superuser may do what was tried.
    pub(crate) fn asks_for_superuser(&self) -> bool {
        let says = |text: &str| text.to_lowercase().contains("superuser");
        self.sqlstate == "42501" && (says(&self.message) || self.hint.as_deref().is_some_and(says))
    }

    /// Table and column, where a row's NULL is what it is about: `column "x" of relation "t" contains null values`.
    pub(crate) fn null_column(&self) -> Option<(&str, &str)> {
        let rest = self.message.strip_prefix("column \"").filter(|_| self.sqlstate == "23502")?;
        let (column, rest) = rest.split_once("\" of relation \"")?;
        Some((rest.strip_suffix("\" contains null values")?, column))
    }

    /// Whether this is the same refusal as `other`, wherever it was met.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        (&self.sqlstate, &self.message) == (&other.sqlstate, &other.message)
    }
}

/// What the gate calls its database tells nobody anything.
fn without_database(message: &str) -> String {
    match message.strip_prefix("permission denied for database ") {
        Some(_) => "permission denied for the database".into(),
        None => message.into(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)?;
        match self.detail.as_deref().map(|it| it.lines().next().unwrap_or_default()) {
            Some(detail) => write!(f, ": {}", detail.trim_end_matches('.')),
            None => Ok(()),
        }
    }
}
