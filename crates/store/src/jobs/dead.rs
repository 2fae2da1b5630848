//! Jobs that are given up: each is on the record, and whoever follows or is told of events hears of it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::change::{Audience, Change};
use crate::events::{Fact, Kind};
use crate::{Error, Origin, object};

use super::{DeliverWebhook, Jobs};

/// Characters of what went wrong that are told; the job itself holds all of it.
const TOLD_MAX: usize = 1000;

/// A job that was given up.
pub(super) struct Dead {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) payload: Value,
    pub(super) attempts: i32,
    pub(super) last_error: Option<String>,
}

impl Jobs<'_> {
    /// Gives up jobs whose last attempt ended with a lease that ran out, as `actor` has noticed, and returns how many these
    /// were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn give_up_exhausted(&self, actor: &str) -> Result<u64, Error> {
        let mut connection = self.database.acquire().await?;
        let exhausted = sqlx::query!(
            "SELECT id, request_id FROM jobs
             WHERE finished_at IS NULL AND attempts >= max_attempts AND lease_expires_at <= now()",
        )
        .fetch_all(&mut connection)
        .await?;
        drop(connection);
        let mut given_up = 0;
        for job in exhausted {
            let origin = Origin { actor: actor.to_owned(), request_id: job.request_id };
            given_up += u64::from(self.give_up(job.id, &origin).await?);
        }
        Ok(given_up)
    }

    /// Returns whether nobody else has done it meanwhile.
    async fn give_up(&self, id: Uuid, origin: &Origin) -> Result<bool, Error> {
        let mut change = Change::begin(self.database, origin).await?;
        let dead = sqlx::query_as!(
            Dead,
            "UPDATE jobs
             SET finished_at = now(), outcome = 'failed', lease_holder = NULL, lease_expires_at = NULL,
                 last_error = 'the lease of `' || lease_holder || '` ran out on the last attempt'
             WHERE id = $1 AND finished_at IS NULL AND attempts >= max_attempts AND lease_expires_at <= now()
             RETURNING id, kind, payload, attempts, last_error",
            id,
        )
        .fetch_optional(change.connection())
        .await?;
        let Some(dead) = dead else { return Ok(false) };
        dead.tell(&mut change);
        change.commit().await?;
        Ok(true)
    }
}

impl Dead {
    /// Notes it. What could not tell somebody of a dead job is not told by the same way: it would come back for ever.
    pub(super) fn tell(self, change: &mut Change<'_>) {
        let webhook =
            (self.kind == DeliverWebhook::KIND).then(|| DeliverWebhook::of(&self.payload)).flatten();
        let audience = match &webhook {
            Some(webhook) if webhook.event == Kind::JobDead.name() => Audience::Followers,
            _ => Audience::All,
        };
        let about = match webhook {
            Some(it) => object([
                ("receiver", json!(it.receiver)),
                ("event_id", json!(it.event_id)),
                ("event", json!(it.event)),
            ]),
            None => self.payload,
        };
        let error: Option<String> = self.last_error.map(|error| error.chars().take(TOLD_MAX).collect());
        let details = object([
            ("job_id", json!(self.id)),
            ("kind", json!(self.kind)),
            ("attempts", json!(self.attempts)),
            ("about", about),
            ("error", json!(error)),
        ]);
        let fact = Fact { kind: Kind::JobDead, subject: format!("job/{}", self.id), details };
        change.tell_to(audience, fact);
    }
}
