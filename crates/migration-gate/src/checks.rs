//! The checks, one file each, in the order in which they look.
//!
//! To add a check of files and ledger, add a module and a line in [`OF_FILES`]. Checks that execute something are
//! called by [`crate::upgrade`], which brings the schema to where they need it.

pub(crate) mod apply;
mod bad_bytes;
mod bad_version;
mod base;
pub(crate) mod down;
mod edited_after_apply;
mod foreign_ownership;
pub(crate) mod framing;
mod grant_ignored;
mod ignored_file;
pub(crate) mod indexes;
mod invalid_index;
mod late_version;
mod ledger_unproven;
pub(crate) mod lint;
pub(crate) mod locks;
mod missing_applied;
mod nested_transaction;
mod no_down;
pub(crate) mod no_lock_timeout;
pub(crate) mod not_judged;
pub(crate) mod order_drift;
pub(crate) mod owner_drift;
pub(crate) mod queries;
mod releases;
mod renamed_after_apply;
mod replication;
mod rls_gap;
pub(crate) mod role_escape;
pub(crate) mod rollback;
pub(crate) mod rows;
pub(crate) mod schema;
mod slot_applied;
mod slot_duplicate;
pub(crate) mod swallowed_error;
mod waivers;

use crate::{
    codes::{self, Code},
    conduct::Conduct,
    files::MigrationFile,
    finding::Finding,
    project::Project,
};

/// Checks that need no server.
const OF_FILES: &[fn(&Project) -> Vec<Finding>] = &[
    ledger_unproven::check,
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

/// What other revisions make of the files; the ledger, which is production itself, has the first word.
const OF_LINEAGE: &[fn(&Project) -> Vec<Finding>] = &[releases::check, base::check];

/// Codes that all say that a file is not what it was in its slot: one of them is enough for a file.
const OF_PLACE: [&Code; 5] = [
    &codes::SLOT_DUPLICATE,
    &codes::SLOT_APPLIED,
    &codes::EDITED_AFTER_APPLY,
    &codes::MISSING_APPLIED,
    &codes::RENAMED_AFTER_APPLY,
];

/// Everything that files, ledger and git alone tell.
pub(crate) fn of_files(project: &Project) -> Vec<Finding> {
    let mut findings: Vec<Finding> = OF_FILES.iter().flat_map(|check| check(project)).collect();
    for finding in OF_LINEAGE.iter().flat_map(|check| check(project)) {
        if !findings.iter().any(|it| says_the_same(it, &finding)) {
            findings.push(finding);
        }
    }
    findings.extend(waivers::check(project));
    findings
}

fn says_the_same(earlier: &Finding, later: &Finding) -> bool {
    let is_of_place = |finding: &Finding| OF_PLACE.iter().any(|code| code.name == finding.code);
    earlier.file == later.file && (earlier.code == later.code || is_of_place(earlier) && is_of_place(later))
}

/// What the way tells in which the deployer ran `file`, whether it was refused or not.
pub(crate) fn of_conduct(project: &Project, file: &MigrationFile, conduct: &Conduct) -> Vec<Finding> {
    let role = &project.roles.deployer;
    let mut findings = framing::check(file, conduct);
    findings.extend(nested_transaction::check(file, conduct));
    findings.extend(grant_ignored::check(file, role, conduct));
    findings.extend(role_escape::check(project, file, conduct));
    findings
}
