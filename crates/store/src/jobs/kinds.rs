//! The kinds of jobs that the record itself causes, with their payloads.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::object;

use super::NewJob;

/// Check that a recorded release has what each environment runs, and put the verdict on the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRelease {
    /// The release to verify.
    pub release_id: Uuid,
}

impl VerifyRelease {
    /// The kind's name in the record.
    pub const KIND: &str = "verify_release";

    /// The job that does it.
    pub fn job(self) -> NewJob {
        NewJob::new(Self::KIND, object([("release_id", json!(self.release_id))]))
    }
}

/// Tell a receiver of what happened. The job holds all that is told: it does not depend on the outbox any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverWebhook {
    /// Who is told, by the name that the worker's configuration gives it.
    pub receiver: String,
    /// The event's number, as followers know it: the same for every attempt and every receiver.
    pub event_id: i64,
    /// What happened: `release.recorded`.
    pub event: String,
    /// When, RFC 3339.
    pub occurred_at: String,
    /// What is told.
    pub data: Value,
}

impl DeliverWebhook {
    /// The kind's name in the record.
    pub const KIND: &str = "deliver_webhook";

    /// How often a receiver is tried: with waits that end at ten minutes each, for about two and a half hours.
    const ATTEMPTS: u16 = 20;

    /// The payload of such a job, if it is one.
    pub(super) fn of(payload: &Value) -> Option<Self> {
        Self::deserialize(payload).ok()
    }

    /// The job that does it, for the request and in the span that caused the event.
    pub fn job(&self, request_id: Option<String>, traceparent: Option<String>) -> NewJob {
        let payload = object([
            ("receiver", json!(self.receiver)),
            ("event_id", json!(self.event_id)),
            ("event", json!(self.event)),
            ("occurred_at", json!(self.occurred_at)),
            ("data", self.data.clone()),
        ]);
        let job = NewJob::new(Self::KIND, payload);
        NewJob { request_id, traceparent, max_attempts: Self::ATTEMPTS, ..job }
    }
}
