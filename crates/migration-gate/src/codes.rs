//! The one table of finding codes; what people read about a code derives from it.
//!
//! To add a code, add a constant to the group that it belongs to and its name in [`CODES`]. Names are a contract that
//! scripts rely on.

mod apply;
mod files;
mod locks;
mod prepared;
mod queries;
mod rollback;
mod schema;

use std::fmt;

use serde::Serialize;

pub use self::{apply::*, files::*, locks::*, prepared::*, queries::*, rollback::*, schema::*};

/// How much a finding weighs; only an error fails the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
    Info,
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    pub name: &'static str,
    pub level: Level,
    /// One line: what is wrong.
    pub title: &'static str,
    /// How it comes about and what it costs, with an example.
    pub story: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Every code, in the order in which the gate looks.
pub static CODES: &[&Code] = &[
    &LEDGER_UNPROVEN,
    &IGNORED_FILE,
    &BAD_VERSION,
    &BAD_BYTES,
    &SLOT_DUPLICATE,
    &SLOT_APPLIED,
    &EDITED_AFTER_APPLY,
    &MISSING_APPLIED,
    &RENAMED_AFTER_APPLY,
    &LATE_VERSION,
    &NO_DOWN,
    &APPLY_FAILED,
    &NOT_OWNER,
    &FRAMING,
    &NESTED_TRANSACTION,
    &GRANT_IGNORED,
    &SWALLOWED_ERROR,
    &ROLE_ESCAPE,
    &NO_LOCK_TIMEOUT,
    &CONCURRENT_BOOT,
    &DOWN_FAILS,
    &DOWN_LEAVES_DRIFT,
    &REUP_FAILS,
    &ORDER_DRIFT,
    &OWNER_DRIFT,
    &FOREIGN_OWNERSHIP,
    &INVALID_INDEX,
    &RLS_GAP,
    &QUERY_BROKEN,
    &QUERY_STALE,
    &QUERY_UNUSED,
    &QUERY_MISSING,
    &QUERY_UNSEEN,
    &MISSING_GRANT,
    &ROLLBACK_QUERY_BROKEN,
    &ROLLBACK_TYPE_CHANGE,
    &ROLLBACK_NULLABLE,
    &ROLLBACK_INSERT_NOT_NULL,
    &NOT_NULL_WITHOUT_DEFAULT,
    &LOCK_SCAN,
    &LOCK_REWRITE,
    &BACKFILL_UNDER_LOCK,
    &LINT,
    &WAIVER_EXPIRED,
    &WAIVER_UNUSED,
    &NOT_JUDGED,
];

/// The code called `name`.
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().copied().find(|code| code.name == name)
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name_a_story_and_a_remedy() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        for code in CODES {
            assert!(!code.title.ends_with('.'), "{}", code.name);
            assert!(code.story.ends_with('.') && code.remedy.ends_with([';', '.', '`']), "{}", code.name);
            assert!(code.remedy.len() > 5 && code.remedy.len() < code.story.len(), "{}", code.name);
        }
    }
}
