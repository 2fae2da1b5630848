//! The table of what this worker can do: one line per kind of job, one module per line.

mod deliver_webhook;
mod verify_release;

use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use store::Store;
use store::jobs::{DeliverWebhook, Effects, Failure, VerifyRelease};

use crate::figures::Figures;
use crate::receivers::Receivers;
use crate::registries::Registries;
use crate::webhook::Sender;

/// What came of a job: what it does to the record, written together with the job's end; or why it did not come to it.
pub(crate) type Done = Result<Effects, Failure>;

/// A job being worked on.
pub(crate) type Effort = Pin<Box<dyn Future<Output = Done> + Send>>;

/// One kind of job. A job may run more than once: whatever it does elsewhere must bear that.
pub(crate) struct Handler {
    /// Its name in the record.
    pub(crate) kind: &'static str,
    /// Does the work that the payload describes.
    pub(crate) run: fn(Task) -> Effort,
}

/// What the handlers of all kinds work with.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) store: Store,
    pub(crate) receivers: Receivers,
    pub(crate) sender: Sender,
    pub(crate) registries: Registries,
    pub(crate) figures: Figures,
}

/// A job as its handler sees it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) tools: Arc<Tools>,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    /// The request that caused it.
    pub(crate) request_id: Option<String>,
}

/// Every kind that this worker takes.
const JOBS: &[Handler] = &[
    Handler { kind: VerifyRelease::KIND, run: |task| Box::pin(verify_release::run(task)) },
    Handler { kind: DeliverWebhook::KIND, run: |task| Box::pin(deliver_webhook::run(task)) },
];

/// The names of all kinds, for leasing.
pub(crate) fn kinds() -> Vec<String> {
    JOBS.iter().map(|handler| handler.kind.to_owned()).collect()
}

/// What does jobs of that kind.
pub(crate) fn handler(kind: &str) -> Option<&'static Handler> {
    JOBS.iter().find(|handler| handler.kind == kind)
}

impl Task {
    /// The payload as its kind writes it.
    fn payload<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.payload.clone()).map_err(|error| {
            Failure::Permanent(format!("the payload is not that of a `{}`: {error}", self.kind))
        })
    }
}
