//! The workflows of Gitea Actions: written from the step table, a job a lane and a line a job.

mod contexts;
mod read;
mod replay;
mod runner;
mod write;

use std::fs;

use anyhow::Context as _;

pub(crate) use self::{contexts::contexts, replay::replay, write::FOLDER};
use crate::{context::Context, outcome::Finding};

/// The command that mends what [`differences`] finds.
pub(crate) const REFRESH: &str = "cargo xtask workflows";

/// Writes the files that the table asks for; returns those that changed.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn refresh(cx: &Context) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    for (path, text) in write::files(cx) {
        let file = cx.root.join(&path);
        if fs::read_to_string(&file).is_ok_and(|it| it == text) {
            continue;
        }
        let failed = || format!("cannot write `{path}`");
        fs::create_dir_all(cx.root.join(FOLDER)).with_context(failed)?;
        fs::write(&file, text).with_context(failed)?;
        changed.push(path);
    }
    for path in write::obsolete(cx) {
        fs::remove_file(cx.root.join(&path)).with_context(|| format!("cannot remove `{path}`"))?;
        changed.push(path);
    }
    Ok(changed)
}

/// Where the files are not what the table asks for.
pub(crate) fn differences(cx: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, wanted) in write::files(cx) {
        match fs::read_to_string(cx.root.join(&path)) {
            Ok(found) if found == wanted => {}
            Ok(found) => {
                let same = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
                let what = match (found.lines().nth(same), wanted.lines().nth(same)) {
                    (Some(found), Some(wanted)) => {
                        format!("is `{}`, but the step table asks for `{}`", found.trim(), wanted.trim())
                    }
                    (Some(found), None) => {
                        format!("`{}` is more than the step table asks for", found.trim())
                    }
                    (None, wanted) => {
                        format!(
                            "lacks `{}`, which the step table asks for",
                            wanted.unwrap_or_default().trim()
                        )
                    }
                };
                let line = u32::try_from(same + 1).unwrap_or(u32::MAX);
                findings.push(Finding::error("workflow-drift", what).at(path, line).fix(REFRESH));
            }
            Err(_) => {
                let what = "does not exist, although the gate runs on Gitea";
                findings.push(Finding::error("workflow-drift", what).at(path, None).fix(REFRESH));
            }
        }
    }
    for path in write::obsolete(cx) {
        let what = "is a workflow of the step table that it no longer asks for";
        findings.push(Finding::error("workflow-drift", what).at(path, None).fix(REFRESH));
    }
    findings
}
