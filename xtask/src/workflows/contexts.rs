//! The status contexts that branch protection should require.

use super::write;
use crate::context::Context;

/// Gitea names a job's status `WORKFLOW / JOB (EVENT)`; a pull request is protected by those of its own event.
pub(crate) fn contexts(cx: &Context) -> Vec<String> {
    write::jobs(cx).iter().map(|job| format!("ci / {} (pull_request)", job.name)).collect()
}
