//! The checks, one file each, in the order in which they look.
//!
//! To add a check of files and ledger, add a module and a line in [`OF_FILES`]. Checks that execute something are
//! called by [`crate::upgrade`], which brings the schema to where they need it.

pub(crate) mod apply;
mod bad_bytes;
mod bad_version;
pub(crate) mod down;
mod edited_after_apply;
mod ignored_file;
mod late_version;
mod missing_applied;
mod no_down;
pub(crate) mod not_judged;
mod renamed_after_apply;
mod slot_applied;
mod slot_duplicate;

use crate::{finding::Finding, project::Project};

/// Checks that need no server.
const OF_FILES: &[fn(&Project) -> Vec<Finding>] = &[
    ignored_file::check,
    bad_version::check,
    bad_bytes::check,
    slot_duplicate::check,
    slot_applied::check,
    edited_after_apply::check,
    missing_applied::check,
    renamed_after_apply::check,
    late_version::check,
    no_down::check,
];

/// Everything that files and ledger alone tell.
pub(crate) fn of_files(project: &Project) -> Vec<Finding> {
    OF_FILES.iter().flat_map(|check| check(project)).collect()
}
