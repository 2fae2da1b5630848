//! Events to tell the outside world: written together with what they tell, handed over to the jobs that deliver them.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

use crate::database::{Connection, Database};
use crate::events::Fact;
use crate::jobs::{self, NewJob};
use crate::{Error, Origin};

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

/// An event that waits to be handed over.
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
    /// The number under which followers of events hear of it, where they do.
    pub event_id: Option<i64>,
    /// In which span it was caused.
    pub traceparent: Option<String>,
}

/// How many events wait, and how long the oldest one has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// Events that are not handed over yet.
    pub events: i64,
    /// Seconds since the oldest one of them happened; 0 where none waits.
    pub oldest_age_s: f64,
}

/// The outbox; see [`crate::Store::outbox`].
#[derive(Debug)]
pub struct Outbox<'a> {
    database: &'a Database,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Adds an event and returns its number.
    ///
    /// # Errors
    /// The event breaks the outbox's rules, or the database fails.
    pub async fn enqueue(&self, event: &NewEvent) -> Result<i64, Error> {
        let mut connection = self.database.acquire().await?;
        insert(&mut connection, event, None).await
    }

    /// Events that are not handed over yet, the oldest first; at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn waiting(&self, limit: u32) -> Result<Vec<Event>, Error> {
        let mut connection = self.database.acquire().await?;
        let events = sqlx::query_as!(
            Event,
            "SELECT id, event, payload, request_id, created_at, event_id, traceparent
             FROM webhook_outbox
             WHERE delivered_at IS NULL
             ORDER BY next_attempt_at, id
             LIMIT $1",
            i64::from(limit),
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(events)
    }

    /// Hands events over to the jobs that `jobs_of` makes of each, at most `limit`: an event that counts as handed over
    /// has its jobs, and one that does not has none. Several may do this at once. Returns how many events these were.
    ///
    /// # Errors
    /// A job breaks the schema's rules, or the database fails; nothing is handed over then.
    pub async fn hand_over(
        &self,
        limit: u32,
        jobs_of: impl Fn(&Event) -> Vec<NewJob> + Send + Sync,
    ) -> Result<usize, Error> {
        let mut transaction = self.database.begin().await?;
        let events = sqlx::query_as!(
            Event,
            "SELECT id, event, payload, request_id, created_at, event_id, traceparent
             FROM webhook_outbox
             WHERE delivered_at IS NULL
             ORDER BY next_attempt_at, id
             LIMIT $1
             FOR UPDATE SKIP LOCKED",
            i64::from(limit),
        )
        .fetch_all(&mut transaction)
        .await?;
        for job in events.iter().flat_map(&jobs_of) {
            jobs::insert(&mut transaction, &job).await?;
        }
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        sqlx::query!("UPDATE webhook_outbox SET delivered_at = now() WHERE id = ANY($1)", &ids)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(events.len())
    }

    /// How much waits to be handed over.
    ///
    /// # Errors
    /// The database fails.
    pub async fn figures(&self) -> Result<Waiting, Error> {
        let mut connection = self.database.acquire().await?;
        let waiting = sqlx::query_as!(
            Waiting,
            r#"SELECT count(*) AS "events!",
                      COALESCE(EXTRACT(EPOCH FROM now() - min(created_at)), 0)::float8 AS "oldest_age_s!"
               FROM webhook_outbox WHERE delivered_at IS NULL"#,
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(waiting)
    }

    /// Removes events that were handed over longer than `keep` ago, at most `limit`. Returns how many these were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sweep(&self, keep: Duration, limit: u32) -> Result<u64, Error> {
        let mut connection = self.database.acquire().await?;
        let swept = sqlx::query!(
            "DELETE FROM webhook_outbox WHERE id IN (
                 SELECT id FROM webhook_outbox
                 WHERE delivered_at < now() - make_interval(secs => $1)
                 LIMIT $2
                 FOR UPDATE SKIP LOCKED
             )",
            keep.as_secs_f64(),
            i64::from(limit),
        )
        .execute(&mut connection)
        .await?;
        Ok(swept.rows_affected())
    }
}

/// Adds what was done to what the outside world is told, under the event's number.
pub(crate) async fn tell(
    connection: &mut Connection,
    fact: &Fact,
    event_id: i64,
    origin: &Origin,
) -> Result<(), Error> {
    let event = NewEvent {
        event: fact.kind.name().to_owned(),
        payload: fact.details.clone(),
        request_id: origin.request_id.clone(),
    };
    insert(connection, &event, Some(event_id)).await?;
    Ok(())
}

async fn insert(connection: &mut Connection, event: &NewEvent, event_id: Option<i64>) -> Result<i64, Error> {
    let id = sqlx::query_scalar!(
        "INSERT INTO webhook_outbox (event, payload, request_id, event_id, traceparent)
         VALUES ($1, $2, $3, $4, $5)
         RETURNING id",
        event.event,
        event.payload,
        event.request_id,
        event_id,
        connection.traceparent(),
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}
