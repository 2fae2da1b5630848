//! The table of what this worker can do: one line per kind of job, one module per line.

mod verify_release;

use std::pin::Pin;

use serde_json::Value;
use store::Store;
use store::audit::NewEntry;
use store::jobs::{Failure, VerifyRelease};

/// What a job did, for the record: written together with the job's end.
pub(crate) type Done = Result<Vec<NewEntry>, Failure>;

/// A job being worked on.
pub(crate) type Effort = Pin<Box<dyn Future<Output = Done> + Send>>;

/// One kind of job. A job may run more than once: whatever it does elsewhere must bear that.
pub(crate) struct Handler {
    /// Its name in the record.
    pub(crate) kind: &'static str,
    /// Does the work that the payload describes.
    pub(crate) run: fn(Store, Value) -> Effort,
}

/// Every kind that this worker takes.
const JOBS: &[Handler] = &[Handler {
    kind: VerifyRelease::KIND,
    run: |store, payload| Box::pin(verify_release::run(store, payload)),
}];

/// The names of all kinds, for leasing.
pub(crate) fn kinds() -> Vec<String> {
    JOBS.iter().map(|handler| handler.kind.to_owned()).collect()
}

/// What does jobs of that kind.
pub(crate) fn handler(kind: &str) -> Option<&'static Handler> {
    JOBS.iter().find(|handler| handler.kind == kind)
}
