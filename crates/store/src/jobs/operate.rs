//! Looking at jobs, and what people and the worker's housekeeping do about those that have ended.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::change::Change;
use crate::events::{Fact, Kind};
use crate::{Error, Origin, object};

use super::{Job, Jobs, Outcome};

/// Where a job stands, as people ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits to be taken, for the first time or again.
    Queued,
    /// Somebody holds a lease on it that has not run out.
    Running,
    /// It was given up, and waits for a person.
    Dead,
    /// Its work is done.
    Done,
}

/// Which jobs to look at.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those that stand there.
    pub state: Option<State>,
    /// Only those of this kind.
    pub kind: Option<String>,
}

/// How many jobs of a kind stand where, and how long the oldest one that is due has waited.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// What kind of work it is.
    pub kind: String,
    /// Waiting to be taken.
    pub queued: i64,
    /// Held by somebody.
    pub running: i64,
    /// Given up.
    pub dead: i64,
    /// Seconds since the oldest one of those waiting became due; 0 where none is.
    pub oldest_age_s: f64,
}

impl State {
    /// Every state, with its name.
    pub const ALL: &[(&str, Self)] =
        &[("queued", Self::Queued), ("running", Self::Running), ("dead", Self::Dead), ("done", Self::Done)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }
}

impl Job {
    /// Where it stood when it was read.
    pub fn state(&self) -> State {
        match (self.outcome, self.is_held) {
            (Some(Outcome::Failed), _) => State::Dead,
            (Some(Outcome::Succeeded), _) => State::Done,
            (None, true) => State::Running,
            (None, false) => State::Queued,
        }
    }
}

impl Jobs<'_> {
    /// The jobs that the filter lets through, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Job>, Error> {
        let mut connection = self.database.acquire().await?;
        let rows = sqlx::query_as!(
            JobRow,
            r#"SELECT id, kind, payload, request_id, created_at, attempts, max_attempts, lease_holder, run_after,
                      COALESCE(lease_expires_at > now(), false) AS "is_held!", finished_at, outcome, last_error
               FROM jobs
               WHERE ($1::text IS NULL OR kind = $1)
                 AND ($2::text IS NULL OR $2 = CASE
                     WHEN outcome = 'failed' THEN 'dead'
                     WHEN outcome = 'succeeded' THEN 'done'
                     WHEN lease_expires_at > now() THEN 'running'
                     ELSE 'queued'
                 END)
               ORDER BY id DESC
               LIMIT $3"#,
            filter.kind,
            filter.state.map(State::name),
            i64::from(limit),
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(rows.into_iter().map(Job::from).collect())
    }

    /// How many jobs of each kind stand where; kinds of which nothing waits, runs or is dead are left out.
    ///
    /// # Errors
    /// The database fails.
    pub async fn figures(&self) -> Result<Vec<Figures>, Error> {
        let mut connection = self.database.acquire().await?;
        let figures = sqlx::query_as!(
            Figures,
            r#"SELECT kind,
                      count(*) FILTER (WHERE finished_at IS NULL
                          AND (lease_expires_at IS NULL OR lease_expires_at <= now())) AS "queued!",
                      count(*) FILTER (WHERE lease_expires_at > now()) AS "running!",
                      count(*) FILTER (WHERE outcome = 'failed') AS "dead!",
                      COALESCE(EXTRACT(EPOCH FROM now() - min(run_after) FILTER (WHERE finished_at IS NULL
                          AND run_after <= now() AND (lease_expires_at IS NULL OR lease_expires_at <= now()))), 0)
                          ::float8 AS "oldest_age_s!"
               FROM jobs
               WHERE finished_at IS NULL OR outcome = 'failed'
               GROUP BY kind
               ORDER BY kind"#,
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(figures)
    }

    /// Gives a dead job all its attempts back, to be taken at once, and puts on the record who said so. Returns
    /// whether there is such a job and it was dead.
    ///
    /// # Errors
    /// The database fails.
    pub async fn requeue(&self, id: Uuid, origin: &Origin) -> Result<bool, Error> {
        let mut change = Change::begin(self.database, origin).await?;
        let kind = sqlx::query_scalar!(
            "UPDATE jobs
             SET finished_at = NULL, outcome = NULL, attempts = 0, run_after = now()
             WHERE id = $1 AND outcome = 'failed'
             RETURNING kind",
            id,
        )
        .fetch_optional(change.connection())
        .await?;
        let Some(kind) = kind else { return Ok(false) };
        change.tell(fact(Kind::JobRequeued, id, [("job_id", json!(id)), ("kind", json!(kind))]));
        change.commit().await?;
        Ok(true)
    }

    /// Removes a dead job for good; the record keeps what it was. Returns whether there is such a job and it was dead.
    ///
    /// # Errors
    /// The database fails.
    pub async fn discard(&self, id: Uuid, origin: &Origin) -> Result<bool, Error> {
        let mut change = Change::begin(self.database, origin).await?;
        let row = sqlx::query!(
            "DELETE FROM jobs WHERE id = $1 AND outcome = 'failed' RETURNING kind, payload, last_error",
            id,
        )
        .fetch_optional(change.connection())
        .await?;
        let Some(row) = row else { return Ok(false) };
        let details = [
            ("job_id", json!(id)),
            ("kind", json!(row.kind)),
            ("payload", row.payload),
            ("last_error", json!(row.last_error)),
        ];
        change.tell(fact(Kind::JobDiscarded, id, details));
        change.commit().await?;
        Ok(true)
    }

    /// Removes jobs that were done longer than `keep` ago, at most `limit`; dead ones stay. Returns how many these were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sweep(&self, keep: Duration, limit: u32) -> Result<u64, Error> {
        let mut connection = self.database.acquire().await?;
        let swept = sqlx::query!(
            "DELETE FROM jobs WHERE id IN (
                 SELECT id FROM jobs
                 WHERE outcome = 'succeeded' AND finished_at < now() - make_interval(secs => $1)
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

fn fact<const N: usize>(kind: Kind, id: Uuid, details: [(&str, serde_json::Value); N]) -> Fact {
    Fact { kind, subject: format!("job/{id}"), details: object(details) }
}

/// A row of the table, as queries bring it.
pub(super) struct JobRow {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) payload: serde_json::Value,
    pub(super) request_id: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) attempts: i32,
    pub(super) max_attempts: i32,
    pub(super) lease_holder: Option<String>,
    pub(super) run_after: OffsetDateTime,
    pub(super) is_held: bool,
    pub(super) finished_at: Option<OffsetDateTime>,
    pub(super) outcome: Option<String>,
    pub(super) last_error: Option<String>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            payload: row.payload,
            request_id: row.request_id,
            created_at: row.created_at,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            lease_holder: row.lease_holder,
            is_held: row.is_held,
            run_after: row.run_after,
            finished_at: row.finished_at,
            outcome: row.outcome.map(|outcome| Outcome::from_column(&outcome)),
            last_error: row.last_error,
        }
    }
}
