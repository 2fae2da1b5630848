//! The append-only record of who did what to what.

use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

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

/// The audit record; see [`crate::Store::audit`].
#[derive(Debug)]
pub struct Audit<'a> {
    pool: &'a PgPool,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(pool: &'a PgPool) -> Self {
        Self { pool }
    }

    /// Adds an entry and returns its number.
    ///
    /// # Errors
    /// The entry breaks the record's rules, or the database fails.
    pub async fn append(&self, entry: &NewEntry, origin: &Origin) -> Result<i64, Error> {
        let mut connection = self.pool.acquire().await?;
        insert(&mut connection, entry, origin).await
    }

    /// Lists entries, newest first: all, or those about one subject; from the newest, or those before an entry.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(
        &self,
        subject: Option<&str>,
        before: Option<i64>,
        size: PageSize,
    ) -> Result<Page<Entry, i64>, Error> {
        let entries = sqlx::query_as!(
            Entry,
            "SELECT id, at, actor, action, subject, request_id, details
             FROM audit_entries
             WHERE ($1::text IS NULL OR subject = $1) AND ($2::bigint IS NULL OR id < $2)
             ORDER BY id DESC
             LIMIT $3",
            subject,
            before,
            size.probe(),
        )
        .fetch_all(self.pool)
        .await?;
        Ok(Page::cut(entries, size, |entry| entry.id))
    }
}

/// Adds an entry in the transaction of what it tells.
pub(crate) async fn insert(
    connection: &mut PgConnection,
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
