//! Where a branch would be merged, as far as git tells.

use std::path::Path;

use crate::process::Process;

/// The first of these that exists.
pub(crate) const REFERENCES: &[&str] = &[
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
];

/// The commit that the branch left its base at; nothing where there is no base.
pub(crate) fn left(root: &Path) -> Option<String> {
    let ask = |base: &&str| Process::new("git").folder(root).args(["merge-base", "HEAD", base]).answer();
    REFERENCES.iter().find_map(ask).map(|it| it.trim().to_owned())
}
