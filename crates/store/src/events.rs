//! Changes in the order in which they became visible, for whoever follows them.
//!
//! Invariant: a number that became visible is greater than every one that was visible before. So a follower who
//! remembers the last one that it saw misses none. The schema's trigger sees to it: from drawing its number until it is
//! committed, a transaction is alone.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use time::OffsetDateTime;

use crate::change::Fact;
use crate::database::Database;
use crate::{Error, Origin};

/// Where the schema sends its hints.
const CHANNEL: &str = "slipway_events";

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Grows in the order in which events became visible, with gaps.
    pub id: i64,
    /// When, by the database's clock.
    pub at: OffsetDateTime,
    /// What, as noun and past participle: `release.recorded`.
    pub event: String,
    /// To what: `release/0190…`.
    pub subject: String,
    /// Who did it.
    pub actor: String,
    /// In the course of which request.
    pub request_id: Option<String>,
    /// The particulars, a JSON object.
    pub details: Value,
}

/// The events; see [`crate::Store::events`].
#[derive(Debug)]
pub struct Events<'a> {
    database: &'a Database,
}

/// Says that it may be worth looking: by the server's notifications while they come, by the clock otherwise.
#[derive(Debug)]
pub struct Hints {
    database: Database,
    listener: Option<PgListener>,
}

impl<'a> Events<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// The events behind one, in their order; at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn after(&self, id: i64, limit: u32) -> Result<Vec<Event>, Error> {
        let mut connection = self.database.acquire().await?;
        let events = sqlx::query_as!(
            Event,
            "SELECT id, at, event, subject, actor, request_id, details
             FROM events WHERE id > $1 ORDER BY id LIMIT $2",
            id,
            i64::from(limit),
        )
        .fetch_all(&mut *connection)
        .await?;
        Ok(events)
    }

    /// The number of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// The database fails.
    pub async fn newest(&self) -> Result<i64, Error> {
        let mut connection = self.database.acquire().await?;
        let newest = sqlx::query_scalar!(r#"SELECT coalesce(max(id), 0) AS "newest!" FROM events"#)
            .fetch_one(&mut *connection)
            .await?;
        Ok(newest)
    }

    /// Hints for a follower. They keep a connection of the pool.
    pub fn hints(&self) -> Hints {
        Hints { database: self.database.clone(), listener: None }
    }
}

impl Hints {
    /// Returns when it may be worth looking for events, at the latest after `at_most`. Whoever does not look because
    /// of an error of its own calls again: a hint is never owed.
    pub async fn wait(&mut self, at_most: Duration) {
        // An error has cost the connection; until the next one stands, the clock does it.
        let waited = tokio::time::timeout(at_most, self.hint()).await;
        if let Ok(Err(_)) = waited {
            self.listener = None;
            tokio::time::sleep(at_most).await;
        }
    }

    async fn hint(&mut self) -> Result<(), sqlx::Error> {
        if self.listener.is_none() {
            let mut listener = PgListener::connect_with(self.database.pool()).await?;
            listener.listen(CHANNEL).await?;
            self.listener = Some(listener);
            // What happened before it listened gave no hint.
            return Ok(());
        }
        match &mut self.listener {
            Some(listener) => listener.recv().await.map(drop),
            None => Ok(()),
        }
    }
}

/// Adds an event at the end of the transaction of what it tells; it waits for its turn.
pub(crate) async fn insert(connection: &mut PgConnection, fact: &Fact, origin: &Origin) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO events (event, subject, actor, request_id, details) VALUES ($1, $2, $3, $4, $5)",
        fact.name,
        fact.subject,
        origin.actor,
        origin.request_id,
        fact.details,
    )
    .execute(connection)
    .await?;
    Ok(())
}
