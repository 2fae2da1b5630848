//! Events to tell the outside world: written together with what they tell, delivered later.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::Error;

/// Something that happened and that others want to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened, as noun and past participle: `release.recorded`.
    pub event: String,
    /// What is told, a JSON object.
    pub payload: Value,
    /// The request that caused it.
    pub request_id: Option<String>,
}

/// An event that waits to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Grows with every event, with gaps.
    pub id: i64,
    /// What happened.
    pub event: String,
    /// What is told, a JSON object.
    pub payload: Value,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// When it happened, by the database's clock.
    pub created_at: OffsetDateTime,
    /// How often delivery was tried.
    pub attempts: i32,
}

/// The outbox; see [`crate::Store::outbox`].
#[derive(Debug)]
pub struct Outbox<'a> {
    pool: &'a PgPool,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(pool: &'a PgPool) -> Self {
        Self { pool }
    }

    /// Adds an event and returns its number.
    ///
    /// # Errors
    /// The event breaks the outbox's rules, or the database fails.
    pub async fn enqueue(&self, event: &NewEvent) -> Result<i64, Error> {
        let mut connection = self.pool.acquire().await?;
        insert(&mut connection, event).await
    }

    /// Events that are not delivered yet, the one that has waited longest first; at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn undelivered(&self, limit: u32) -> Result<Vec<Event>, Error> {
        let events = sqlx::query_as!(
            Event,
            "SELECT id, event, payload, request_id, created_at, attempts
             FROM webhook_outbox
             WHERE delivered_at IS NULL
             ORDER BY next_attempt_at, id
             LIMIT $1",
            i64::from(limit),
        )
        .fetch_all(self.pool)
        .await?;
        Ok(events)
    }
}

/// Adds an event in the transaction of what it tells.
pub(crate) async fn insert(connection: &mut PgConnection, event: &NewEvent) -> Result<i64, Error> {
    let id = sqlx::query_scalar!(
        "INSERT INTO webhook_outbox (event, payload, request_id) VALUES ($1, $2, $3) RETURNING id",
        event.event,
        event.payload,
        event.request_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}
