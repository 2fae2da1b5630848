//! Leased jobs: each is held by one worker at a time, for a time that the database's clock measures.
//!
//! A lease carries a fencing token. Whatever its holder wants to write is refused once a later lease exists,
//! so a worker that was thought dead and wakes up changes nothing.

mod dead;
mod kinds;
mod lease;
mod operate;

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::database::{Connection, Database};

use operate::JobRow;

pub use kinds::{DeliverWebhook, VerifyRelease};
pub use lease::{Effects, Ended, Failure, Lease, LeaseError, LeasedJob};
pub use operate::{Figures, Filter, State};

/// How often a job is tried before it counts as failed, where nothing else is said.
pub const DEFAULT_MAX_ATTEMPTS: u16 = 5;

/// The wait before the second attempt; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// The longest wait between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// Work to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What kind of work: a worker takes only the kinds it knows.
    pub kind: String,
    /// What the work is about, a JSON object.
    pub payload: Value,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// In which span it was caused; without it, in the one in which it is added.
    pub traceparent: Option<String>,
    /// How long it waits before it may be taken.
    pub delay: Duration,
    /// How often it is tried.
    pub max_attempts: u16,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its work is done.
    Succeeded,
    /// It was given up.
    Failed,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its identifier.
    pub id: Uuid,
    /// What kind of work it is.
    pub kind: String,
    /// What the work is about.
    pub payload: Value,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// When it was added, by the database's clock.
    pub created_at: OffsetDateTime,
    /// How often it was taken.
    pub attempts: i32,
    /// How often it may be taken.
    pub max_attempts: i32,
    /// Who holds it, or held it last and let the lease run out.
    pub lease_holder: Option<String>,
    /// Whether the lease still ran when this was read.
    pub is_held: bool,
    /// The earliest time at which it may be taken.
    pub run_after: OffsetDateTime,
    /// When it ended, if it has.
    pub finished_at: Option<OffsetDateTime>,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
    /// What went wrong the last time it did.
    pub last_error: Option<String>,
}

/// The jobs; see [`crate::Store::jobs`].
#[derive(Debug)]
pub struct Jobs<'a> {
    database: &'a Database,
}

impl NewJob {
    /// A job that may be taken at once.
    pub fn new(kind: impl Into<String>, payload: Value) -> Self {
        Self {
            kind: kind.into(),
            payload,
            request_id: None,
            traceparent: None,
            delay: Duration::ZERO,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
        }
    }
}

impl<'a> Jobs<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Adds a job and returns its identifier.
    ///
    /// # Errors
    /// The job breaks the schema's rules, or the database fails.
    pub async fn enqueue(&self, job: &NewJob) -> Result<Uuid, Error> {
        let mut connection = self.database.acquire().await?;
        insert(&mut connection, job).await
    }

    /// Where the job of that identifier stands.
    ///
    /// # Errors
    /// The database fails.
    pub async fn get(&self, id: Uuid) -> Result<Option<Job>, Error> {
        let mut connection = self.database.acquire().await?;
        let row = sqlx::query_as!(
            JobRow,
            r#"SELECT id, kind, payload, request_id, created_at, attempts, max_attempts, lease_holder, run_after,
                      COALESCE(lease_expires_at > now(), false) AS "is_held!", finished_at, outcome, last_error
               FROM jobs WHERE id = $1"#,
            id,
        )
        .fetch_optional(&mut connection)
        .await?;
        Ok(row.map(Job::from))
    }
}

impl Outcome {
    /// The schema's check allows no third value.
    fn from_column(value: &str) -> Self {
        if value == "succeeded" { Self::Succeeded } else { Self::Failed }
    }
}

/// Adds a job in the transaction of what causes it.
pub(crate) async fn insert(connection: &mut Connection, job: &NewJob) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO jobs (id, kind, payload, request_id, run_after, max_attempts, traceparent)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), $6, $7)",
        id,
        job.kind,
        job.payload,
        job.request_id,
        job.delay.as_secs_f64(),
        i32::from(job.max_attempts),
        job.traceparent.clone().or_else(|| connection.traceparent()),
    )
    .execute(connection)
    .await?;
    Ok(id)
}

/// How long a job waits at most after its `attempt`th attempt failed.
fn backoff(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(16);
    (FIRST_RETRY * 2_u32.pow(doublings)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_two_seconds_up_to_ten_minutes() {
        let seconds: Vec<u64> = [1, 2, 3, 8, 9, 10, i32::MAX].map(|n| backoff(n).as_secs()).to_vec();
        assert_eq!(seconds, [2, 4, 8, 256, 512, 600, 600]);
    }
}
