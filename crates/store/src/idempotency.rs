//! Keys under which a request makes its change once, however often it is sent.

use crate::database::{Connection, Database};
use crate::{Error, Origin};

/// A key, and which request was sent under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the client calls its request; keys of different actors have nothing to do with each other.
    pub text: String,
    /// SHA-256 of everything that tells the request from another.
    pub request: [u8; 32],
}

/// Whether something was made by this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// By this one.
    New,
    /// By an earlier one under the same key: whoever asks is to be answered as then.
    Replayed,
    /// By another one, with the same content.
    Known,
}

/// Something that was made, now or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made<T> {
    /// What was made.
    pub value: T,
    /// Whether by this request.
    pub novelty: Novelty,
}

/// The keys; see [`crate::Store::idempotency_keys`].
#[derive(Debug)]
pub struct Keys<'a> {
    database: &'a Database,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Forgets the oldest keys, at most `limit`, as far as they are older than so many days, and than the day that the
    /// schema keeps them in any case. Returns how many these were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, keep_days: u16, limit: u32) -> Result<u64, Error> {
        let mut connection = self.database.acquire().await?;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let forgotten =
            sqlx::query_scalar!("SELECT forget_idempotency_keys($1, $2)", i32::from(keep_days), limit)
                .fetch_one(&mut connection)
                .await?;
        Ok(forgotten.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0))
    }
}

/// Takes the key for what is about to be made. A second request under the same key waits here until the first has
/// come to its end; then it is told what that one made, or takes the key itself because that one made nothing.
///
/// Returns what was made under the key before.
pub(crate) async fn claim(
    connection: &mut Connection,
    key: Option<&Key>,
    subject: &str,
    origin: &Origin,
) -> Result<Option<String>, Error> {
    let Some(key) = key else { return Ok(None) };
    let claimed = sqlx::query!(
        "INSERT INTO idempotency_keys (actor, key, request, subject) VALUES ($1, $2, $3, $4)
         ON CONFLICT (actor, key) DO NOTHING",
        origin.actor,
        key.text,
        &key.request[..],
        subject,
    )
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(None);
    }
    let taken = sqlx::query!(
        "SELECT request, subject FROM idempotency_keys WHERE actor = $1 AND key = $2",
        origin.actor,
        key.text,
    )
    .fetch_one(connection)
    .await?;
    if taken.request == key.request { Ok(Some(taken.subject)) } else { Err(Error::KeyReused) }
}

/// What stands behind the slash of a subject.
pub(crate) fn identifier(subject: &str) -> &str {
    subject.split_once('/').map_or(subject, |(_, identifier)| identifier)
}
