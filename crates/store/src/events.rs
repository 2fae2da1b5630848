//! Changes in the order in which they became visible, for whoever follows them.
//!
//! Invariant: a number that became visible is greater than every one that was visible before. So a follower who
//! remembers the last one that it saw misses none. The schema's trigger sees to it: from drawing its number until it is
//! committed, a transaction is alone.

mod kind;

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgListener;
use time::OffsetDateTime;

use crate::database::{Connection, Database};
use crate::{Error, Origin};

pub use kind::Kind;

/// Where the schema sends its hints.
const CHANNEL: &str = "slipway_events";

/// Something that was done, before it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What.
    pub kind: Kind,
    /// To what: `release/0190…`.
    pub subject: String,
    /// The particulars, a JSON object.
    pub details: Value,
}

/// Between which numbers the events lie that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Those up to this one are forgotten; 0 where none is.
    pub forgotten_up_to: i64,
    /// The newest one; what is forgotten where nothing came since, 0 where nothing ever happened.
    pub newest: i64,
}

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
    /// Events behind that one are forgotten, or the database fails.
    pub async fn after(&self, id: i64, limit: u32) -> Result<Vec<Event>, Error> {
        let mut connection = self.database.acquire().await?;
        // One statement: what is forgotten between two would be missed unknowingly.
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT id, at, event, subject, actor, request_id, details,
                      (SELECT forgotten_up_to FROM event_horizon) AS "forgotten_up_to!"
               FROM events WHERE id > $1 ORDER BY id LIMIT $2"#,
            id,
            i64::from(limit),
        )
        .fetch_all(&mut connection)
        .await?;
        drop(connection);
        let up_to = match rows.first() {
            Some(row) => row.forgotten_up_to,
            None => self.extent().await?.forgotten_up_to,
        };
        if up_to > id {
            return Err(Error::Forgotten { up_to });
        }
        Ok(rows.into_iter().map(Event::from).collect())
    }

    /// Between which numbers the events lie that can be followed.
    ///
    /// # Errors
    /// The database fails.
    pub async fn extent(&self) -> Result<Extent, Error> {
        let mut connection = self.database.acquire().await?;
        let extent = sqlx::query_as!(
            Extent,
            r#"SELECT forgotten_up_to, greatest(forgotten_up_to, (SELECT max(id) FROM events)) AS "newest!"
               FROM event_horizon"#,
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(extent)
    }

    /// The number of the newest event; 0 when there never was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn newest(&self) -> Result<i64, Error> {
        Ok(self.extent().await?.newest)
    }

    /// Forgets the oldest events, at most `limit`, as far as they are older than so many days, and than the week that the
    /// schema keeps them in any case. Returns how many these were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, keep_days: u16, limit: u32) -> Result<u64, Error> {
        let mut connection = self.database.acquire().await?;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let forgotten = sqlx::query_scalar!("SELECT forget_events($1, $2)", i32::from(keep_days), limit)
            .fetch_one(&mut connection)
            .await?;
        Ok(forgotten.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0))
    }

    /// Hints for a follower. They keep a connection of the pool.
    pub fn hints(&self) -> Hints {
        Hints { database: self.database.clone(), listener: None }
    }
}

/// An event as a query brings it.
struct Row {
    id: i64,
    at: OffsetDateTime,
    event: String,
    subject: String,
    actor: String,
    request_id: Option<String>,
    details: Value,
    forgotten_up_to: i64,
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.at,
            event: row.event,
            subject: row.subject,
            actor: row.actor,
            request_id: row.request_id,
            details: row.details,
        }
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

/// Adds an event at the end of the transaction of what it tells, and returns its number; it waits for its turn.
pub(crate) async fn insert(connection: &mut Connection, fact: &Fact, origin: &Origin) -> Result<i64, Error> {
    let id = sqlx::query_scalar!(
        "INSERT INTO events (event, subject, actor, request_id, details) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        fact.kind.name(),
        fact.subject,
        origin.actor,
        origin.request_id,
        fact.details,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}
