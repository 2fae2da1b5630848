//! The pre-push hook: the cheap lane of the gate before a push leaves this machine.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context as _, bail};

use crate::{
    context::Context,
    steps::{Lane, Step},
};

/// By this line a hook is known as ours.
const MARK: &str =
    "# Written by `cargo xtask hooks install`; `cargo xtask hooks install --uninstall` removes it.";

/// Installs the hook, or brings ours up to date; returns where it is.
///
/// # Errors
/// When this is no git repository, or a hook is there that somebody else wrote.
pub(crate) fn install(cx: &Context) -> anyhow::Result<String> {
    let path = path(cx)?;
    if let Ok(found) = fs::read_to_string(&path)
        && !found.contains(MARK)
    {
        bail!("`{}` is another hook; let it call `{}`, or move it away", cx.shown(&path), line(cx));
    }
    let failed = || format!("cannot write `{}`", cx.shown(&path));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(&path, format!("#!/bin/sh\n{MARK}\nexec {}\n", line(cx))).with_context(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).with_context(failed)?;
    Ok(cx.shown(&path))
}

/// Removes our hook; returns where it was, or nothing where there was none.
///
/// # Errors
/// When the hook that is there is not ours.
pub(crate) fn uninstall(cx: &Context) -> anyhow::Result<Option<String>> {
    let path = path(cx)?;
    match fs::read_to_string(&path) {
        Ok(found) if found.contains(MARK) => {
            fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", cx.shown(&path)))?;
            Ok(Some(cx.shown(&path)))
        }
        Ok(_) => bail!("`{}` is another hook; it stays", cx.shown(&path)),
        Err(_) => Ok(None),
    }
}

/// What the hook runs: git starts it with variables that would lead other git commands astray.
fn line(cx: &Context) -> String {
    let steps = Step::all(cx);
    let names: Vec<&str> = steps.iter().filter(|it| it.lane == Lane::Source).map(|it| it.name).collect();
    format!("env -u GIT_DIR -u GIT_INDEX_FILE -u GIT_WORK_TREE cargo xtask ci {}", names.join(" "))
}

/// Where git looks for it, also with `core.hooksPath` and in a linked working tree.
fn path(cx: &Context) -> anyhow::Result<PathBuf> {
    let finished = cx.process("git").args(["rev-parse", "--git-path", "hooks/pre-push"]).run()?;
    if !finished.success() {
        bail!("`{}` is not a git repository; `git init` makes one", cx.root.display());
    }
    Ok(cx.root.join(finished.stdout.trim()))
}
