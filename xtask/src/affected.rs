//! `ci --affected REV`: the crates that a diff reaches, for a first answer before the whole gate.

use std::collections::BTreeSet;

use anyhow::bail;

use crate::{context::Context, process::Process, verdict::inputs::Inputs};

/// What a diff reaches.
#[derive(Debug)]
pub(crate) enum Reach {
    /// A path that belongs to no crate changed, such as the lock file.
    Everything { because: String },
    /// The crates that changed and those that stand on them.
    Crates(BTreeSet<String>),
}

/// What the working tree changes since `revision`.
///
/// # Errors
/// When git does not know the revision.
pub(crate) fn reach(cx: &Context, revision: &str) -> anyhow::Result<Reach> {
    let git = |arguments: &[&str]| Process::new("git").folder(&cx.root).args(arguments).answer();
    let commit = format!("{revision}^{{commit}}");
    let known = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
    let Some(commit) = known else {
        bail!("git knows no revision `{revision}`; `git fetch` gets what others pushed")
    };
    let changed = git(&["diff", "--name-only", "--no-renames", "--relative", "-z", commit.trim()]);
    let new = git(&["ls-files", "--others", "--exclude-standard", "-z"]);
    let (Some(changed), Some(new)) = (changed, new) else {
        bail!("git cannot tell what changed since `{revision}`")
    };
    let documents = Inputs::of_workspace();
    let mut folders: Vec<(String, String)> = Vec::new();
    for package in cx.metadata.workspace_packages() {
        folders.extend(cx.folder_of(&package.name).map(|it| (it, package.name.to_string())));
    }
    let mut crates = BTreeSet::new();
    for path in changed.split('\0').chain(new.split('\0')).filter(|it| documents.reads(it)) {
        // The innermost folder is the crate's own.
        let holder = folders.iter().filter(|(folder, _)| !folder.is_empty() && path.starts_with(folder));
        match holder.max_by_key(|(folder, _)| folder.len()) {
            Some((_, name)) => drop(crates.insert(name.as_str())),
            None if path.is_empty() => {}
            None => return Ok(Reach::Everything { because: path.to_owned() }),
        }
    }
    Ok(Reach::Crates(cx.crates_above(crates)))
}
