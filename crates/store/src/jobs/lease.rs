//! Taking a job, keeping it, and ending it; all but the first guarded by the lease's fencing token.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::change::Change;
use crate::events::Fact;
use crate::{Error, Origin};

use super::dead::Dead;
use super::{Jobs, NewJob, backoff, insert};

/// The right to work on a job, until it runs out or someone else takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    job_id: Uuid,
    /// Invariant: the job's `fencing_token` when the lease was taken; no two leases have the same.
    token: i64,
}

/// A job and the right to work on it.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedJob {
    /// The right to work on it.
    pub lease: Lease,
    /// What kind of work it is.
    pub kind: String,
    /// What the work is about, a JSON object.
    pub payload: Value,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// In which span it was caused.
    pub traceparent: Option<String>,
    /// The how-manieth attempt this is, from 1.
    pub attempt: i32,
}

/// Why a job's work did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go better later: the job is tried again until its attempts are used up.
    Retry(String),
    /// As [`Failure::Retry`], not before that time is over: whoever refused said so.
    RetryAfter(String, Duration),
    /// It will not go better: the job is given up.
    Permanent(String),
}

/// What a job does to the record when it ends well: written together with its end, so that a job which runs twice does
/// it once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// What was done: it goes on the audit record, and everybody hears of it.
    pub facts: Vec<Fact>,
    /// The work that comes next.
    pub jobs: Vec<NewJob>,
}

/// What became of a job that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It will be tried again.
    WillRetry,
    /// It counts as failed.
    GivenUp,
}

/// Why a holder's write was not made. In either case nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The lease is not the newest one any more: the holder stops, what it does is no longer its business.
    #[error("the lease on job `{job_id}` is lost: another holder has taken the job, or it is finished")]
    Lost {
        /// The job that the lease was for.
        job_id: Uuid,
    },
    /// The record failed, the lease may still be good.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Failure {
    /// What went wrong.
    pub fn error(&self) -> &str {
        match self {
            Self::Retry(error) | Self::RetryAfter(error, _) | Self::Permanent(error) => error,
        }
    }
}

impl Lease {
    /// The job that it is for.
    pub fn job_id(&self) -> Uuid {
        self.job_id
    }

    /// Grows from lease to lease, over all jobs: give it along to whatever must refuse a stale holder.
    pub fn token(&self) -> i64 {
        self.token
    }

    /// Whether the write of a guarded statement was made.
    fn held(&self, rows: u64) -> Result<(), LeaseError> {
        if rows == 1 { Ok(()) } else { Err(LeaseError::Lost { job_id: self.job_id }) }
    }
}

impl From<sqlx::Error> for LeaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(Error::from(error))
    }
}

impl Jobs<'_> {
    /// Takes the job of one of these kinds that has waited longest, if any is due and not held.
    ///
    /// # Errors
    /// The database fails.
    pub async fn lease(
        &self,
        kinds: &[String],
        holder: &str,
        duration: Duration,
    ) -> Result<Option<LeasedJob>, Error> {
        let mut connection = self.database.acquire().await?;
        let row = sqlx::query!(
            "WITH due AS (
                 SELECT id FROM jobs
                 WHERE finished_at IS NULL
                   AND kind = ANY($1)
                   AND run_after <= now()
                   AND attempts < max_attempts
                   AND (lease_expires_at IS NULL OR lease_expires_at <= now())
                 ORDER BY run_after, id
                 LIMIT 1
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE jobs
             SET lease_holder = $2, lease_expires_at = now() + make_interval(secs => $3),
                 fencing_token = nextval('job_fencing_tokens'), attempts = attempts + 1
             FROM due
             WHERE jobs.id = due.id
             RETURNING jobs.id, kind, payload, request_id, traceparent, attempts, fencing_token",
            kinds,
            holder,
            duration.as_secs_f64(),
        )
        .fetch_optional(&mut connection)
        .await?;
        Ok(row.map(|row| LeasedJob {
            lease: Lease { job_id: row.id, token: row.fencing_token },
            kind: row.kind,
            payload: row.payload,
            request_id: row.request_id,
            traceparent: row.traceparent,
            attempt: row.attempts,
        }))
    }

    /// Lets the lease run for `duration` from now.
    ///
    /// # Errors
    /// The lease is lost, or the database fails.
    pub async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), LeaseError> {
        let mut connection = self.database.acquire().await?;
        let renewed = sqlx::query!(
            "UPDATE jobs SET lease_expires_at = now() + make_interval(secs => $3)
             WHERE id = $1 AND fencing_token = $2 AND lease_holder IS NOT NULL",
            lease.job_id,
            lease.token,
            duration.as_secs_f64(),
        )
        .execute(&mut connection)
        .await?;
        lease.held(renewed.rows_affected())
    }

    /// Ends the job as done, together with what it does to the record: both or neither.
    ///
    /// # Errors
    /// The lease is lost, an effect breaks the record's rules, or the database fails.
    pub async fn finish(&self, lease: &Lease, effects: &Effects, origin: &Origin) -> Result<(), LeaseError> {
        let mut change = Change::begin(self.database, origin).await?;
        let finished = sqlx::query!(
            "UPDATE jobs
             SET finished_at = now(), outcome = 'succeeded', lease_holder = NULL, lease_expires_at = NULL
             WHERE id = $1 AND fencing_token = $2 AND lease_holder IS NOT NULL",
            lease.job_id,
            lease.token,
        )
        .execute(change.connection())
        .await?;
        lease.held(finished.rows_affected())?;
        for job in &effects.jobs {
            insert(change.connection(), job).await?;
        }
        for fact in &effects.facts {
            change.tell(fact.clone());
        }
        Ok(change.commit().await?)
    }

    /// Ends the attempt as failed. The job is given up, or tried again after a wait that doubles with each attempt; of
    /// that wait, between half and all, so that jobs which failed together do not come back together. That a job is given
    /// up goes on the record with it.
    ///
    /// # Errors
    /// The lease is lost, or the database fails.
    pub async fn fail(
        &self,
        job: &LeasedJob,
        failure: &Failure,
        origin: &Origin,
    ) -> Result<Ended, LeaseError> {
        let (retry, at_least) = match failure {
            Failure::Retry(_) => (true, Duration::ZERO),
            Failure::RetryAfter(_, wait) => (true, *wait),
            Failure::Permanent(_) => (false, Duration::ZERO),
        };
        let mut change = Change::begin(self.database, origin).await?;
        let given_up = sqlx::query_scalar!(
            r#"UPDATE jobs
               SET lease_holder = NULL, lease_expires_at = NULL, last_error = $3,
                   run_after = now() + make_interval(secs => GREATEST($4 * (0.5 + random() / 2), $6)),
                   finished_at = CASE WHEN $5 AND attempts < max_attempts THEN NULL ELSE now() END,
                   outcome = CASE WHEN $5 AND attempts < max_attempts THEN NULL ELSE 'failed' END
               WHERE id = $1 AND fencing_token = $2 AND lease_holder IS NOT NULL
               RETURNING finished_at IS NOT NULL AS "given_up!""#,
            job.lease.job_id,
            job.lease.token,
            failure.error(),
            backoff(job.attempt).as_secs_f64(),
            retry,
            at_least.as_secs_f64(),
        )
        .fetch_optional(change.connection())
        .await?;
        job.lease.held(u64::from(given_up.is_some()))?;
        if given_up == Some(true) {
            let (kind, payload) = (job.kind.clone(), job.payload.clone());
            let last_error = Some(failure.error().to_owned());
            Dead { id: job.lease.job_id, kind, payload, attempts: job.attempt, last_error }.tell(&mut change);
        }
        change.commit().await?;
        Ok(if given_up == Some(true) { Ended::GivenUp } else { Ended::WillRetry })
    }

    /// Gives the job back untouched, for whoever comes next: the attempt does not count.
    ///
    /// # Errors
    /// The lease is lost, or the database fails.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), LeaseError> {
        let mut connection = self.database.acquire().await?;
        let given_back = sqlx::query!(
            "UPDATE jobs SET lease_holder = NULL, lease_expires_at = NULL, attempts = attempts - 1
             WHERE id = $1 AND fencing_token = $2 AND lease_holder IS NOT NULL",
            lease.job_id,
            lease.token,
        )
        .execute(&mut connection)
        .await?;
        lease.held(given_back.rows_affected())
    }
}
