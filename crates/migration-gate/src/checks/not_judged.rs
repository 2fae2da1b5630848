//! `not-judged`: what an earlier fault keeps from being judged is said, never passed over.

use crate::{codes, finding::Finding};

/// `files` could not be judged; nothing where there are none.
pub(crate) fn report(files: &[String], because: &str) -> Option<Finding> {
    if files.is_empty() {
        return None;
    }
    let what = format!("not run because {because}: {}", files.join(", "));
    let finding = Finding::new(&codes::NOT_JUDGED, what)
        .means("nobody knows yet whether it would accept them")
        .fix("correct what is reported as an error and check again");
    Some(finding)
}
