//! The kinds of jobs that the record itself causes, with their payloads.

use serde::{Deserialize, Serialize};
use serde_json::json;
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
