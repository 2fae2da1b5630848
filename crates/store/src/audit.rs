//! The append-only record of who did what to what.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::database::{Connection, Database};
use crate::{Error, Origin, Page, PageSize};

/// Something that was done, before it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// What was done, as noun and past participle: `release.recorded`.
    pub action: String,
    /// To what: `release/0190…`.
    pub subject: String,
    /// The particulars, a JSON object.
    pub details: Value,
}

/// A recorded entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Grows with every entry, with gaps.
    pub id: i64,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// In the course of which request.
    pub request_id: Option<String>,
    /// The particulars, a JSON object.
    pub details: Value,
}

/// Which entries are listed: those of which everything holds that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What was done to this.
    pub subject: Option<String>,
    /// What they did.
    pub actor: Option<String>,
    /// What was done: this, or with a dot at its end everything that begins so.
    pub action: Option<String>,
    /// What was done in the course of this request.
    pub request_id: Option<String>,
    /// Not before this.
    pub since: Option<OffsetDateTime>,
    /// Before this.
    pub until: Option<OffsetDateTime>,
}

/// The audit record; see [`crate::Store::audit`].
#[derive(Debug)]
pub struct Audit<'a> {
    database: &'a Database,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Adds an entry and returns its number.
    ///
    /// # Errors
    /// The entry breaks the record's rules, or the database fails.
    pub async fn append(&self, entry: &NewEntry, origin: &Origin) -> Result<i64, Error> {
        let mut connection = self.database.acquire().await?;
        insert(&mut connection, entry, origin).await
    }

    /// Lists entries, newest first, from the newest or those before an entry.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(
        &self,
        filter: &Filter,
        before: Option<i64>,
        size: PageSize,
    ) -> Result<Page<Entry, i64>, Error> {
        let mut connection = self.database.acquire().await?;
        let entries = sqlx::query_as!(
            Entry,
            "SELECT id, at, actor, action, subject, request_id, details
             FROM audit_entries
             WHERE ($1::bigint IS NULL OR id < $1)
               AND ($2::text IS NULL OR subject = $2)
               AND ($3::text IS NULL OR actor = $3)
               AND ($4::text IS NULL OR action = $4 OR (right($4, 1) = '.' AND starts_with(action, $4)))
               AND ($5::text IS NULL OR request_id = $5)
               AND ($6::timestamptz IS NULL OR at >= $6)
               AND ($7::timestamptz IS NULL OR at < $7)
             ORDER BY id DESC
             LIMIT $8",
            before,
            filter.subject.as_deref(),
            filter.actor.as_deref(),
            filter.action.as_deref(),
            filter.request_id.as_deref(),
            filter.since,
            filter.until,
            size.probe(),
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(Page::cut(entries, size, |entry| entry.id))
    }
}

/// Adds an entry in the transaction of what it tells.
pub(crate) async fn insert(
    connection: &mut Connection,
    entry: &NewEntry,
    origin: &Origin,
) -> Result<i64, Error> {
    let id = sqlx::query_scalar!(
        "INSERT INTO audit_entries (actor, action, subject, request_id, details)
         VALUES ($1, $2, $3, $4, $5)
         RETURNING id",
        origin.actor,
        entry.action,
        entry.subject,
        origin.request_id,
        entry.details,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}
