//! How one file behaved: what it did to its session, and what the server said beside its answers.

use sqlx::{Connection as _, PgConnection};
use tokio_postgres::error::{DbError, Severity};

use crate::{
    error::Error,
    target::{Target, lost},
};

/// What the server says, at its most talkative, when a handler has caught an error: the subtransaction that the
/// handler guards is cleaned up as aborted although nobody asked to roll back.
const CAUGHT: [&str; 2] = ["CleanupSubTransaction", "blockState: SUBINPROGRESS; state: ABORT"];

/// The level at which the server says it.
pub(crate) const TALKATIVE: (&str, &str) = ("client_min_messages", "debug5");

/// What a file did.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    /// Notices and warnings, in order.
    pub(crate) notices: Vec<DbError>,
    /// Errors that handlers caught.
    pub(crate) caught: usize,
    /// How many statements the file turned out to hold.
    pub(crate) statements: usize,
    /// Whether the transaction that it was given is still the one it ended in.
    pub(crate) kept_transaction: bool,
    /// Tables that production has and that it locked against reading or writing.
    pub(crate) locked: Vec<String>,
    /// `lock_timeout` when it ended.
    pub(crate) lock_timeout: String,
    /// What the session was before it, and what it left.
    pub(crate) before: Identity,
    pub(crate) after: Identity,
}

/// Who a session is, and where it looks for names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) current_user: String,
    pub(crate) session_user: String,
    pub(crate) search_path: String,
}

/// A superuser who looks at a session from outside and leaves it as it is.
#[derive(Debug)]
pub(crate) struct Watch {
    admin: PgConnection,
    /// What the schema held when the watch began.
    existing: Vec<i64>,
}

impl Conduct {
    /// Takes in what the server said while the file ran.
    pub(crate) fn hear(&mut self, said: Vec<DbError>) {
        for notice in said {
            match notice.parsed_severity() {
                Some(Severity::Notice | Severity::Warning) => self.notices.push(notice),
                _ if CAUGHT.iter().all(|it| notice.message().contains(it)) => self.caught += 1,
                _ => {}
            }
        }
    }

    /// Notices with this SQLSTATE.
    pub(crate) fn said(&self, sqlstate: &str) -> impl Iterator<Item = &DbError> {
        self.notices.iter().filter(move |it| it.code().code() == sqlstate)
    }
}

impl Identity {
    pub(crate) const QUERY: &str = "SELECT current_user, session_user, pg_catalog.current_setting('search_path'), \
                                    pg_catalog.current_setting('lock_timeout')";

    /// Reads the answer to [`Self::QUERY`]; the last field is the lock timeout.
    pub(crate) fn of(row: Vec<String>) -> (Self, String) {
        let mut fields = row.into_iter();
        let mut next = || fields.next().unwrap_or_default();
        let identity = Self { current_user: next(), session_user: next(), search_path: next() };
        (identity, next())
    }
}

impl Watch {
    pub(crate) async fn begin(target: &Target) -> Result<Self, Error> {
        let mut admin = target.admin().await?;
        let existing = sqlx::query_scalar(
            "SELECT c.oid::int8 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
        )
        .fetch_all(&mut admin)
        .await
        .map_err(|error| lost("reading which tables there are", &error))?;
        Ok(Self { admin, existing })
    }

    /// The transaction that `process` is in.
    pub(crate) async fn transaction(&mut self, process: i32) -> Result<Option<String>, Error> {
        sqlx::query_scalar(
            "SELECT virtualxid FROM pg_locks WHERE locktype = 'virtualxid' AND granted AND pid = $1 \
             AND virtualxid = virtualtransaction",
        )
        .bind(process)
        .fetch_optional(&mut self.admin)
        .await
        .map_err(|error| lost("looking at a session's transaction", &error))
    }

    /// The tables that were there and that `process` has locked so that others cannot write, or not even read.
    pub(crate) async fn locked(&mut self, process: i32, ledger: &str) -> Result<Vec<String>, Error> {
        sqlx::query_scalar(
            "SELECT DISTINCT relation::regclass::text FROM pg_locks \
             WHERE locktype = 'relation' AND granted AND pid = $1 AND relation::int8 = ANY ($2) \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
             AND relation IS DISTINCT FROM to_regclass($3)::oid ORDER BY 1",
        )
        .bind(process)
        .bind(&self.existing)
        .bind(ledger)
        .fetch_all(&mut self.admin)
        .await
        .map_err(|error| lost("looking at a session's locks", &error))
    }

    /// Whether `process` is still inside of a transaction, also of one that has failed.
    pub(crate) async fn is_inside(&mut self, process: i32) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT state LIKE 'idle in transaction%' FROM pg_stat_activity WHERE pid = $1")
            .bind(process)
            .fetch_optional(&mut self.admin)
            .await
            .map(|inside: Option<bool>| inside.unwrap_or(true))
            .map_err(|error| lost("looking at a session's transaction", &error))
    }

    pub(crate) async fn close(self) {
        drop(self.admin.close().await);
    }
}
