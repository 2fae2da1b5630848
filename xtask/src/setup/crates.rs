//! cargo tools at pinned versions, each whole in its own folder or not there at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::progress::Progress;
use crate::{context::Context, tools::PinnedCrate};

/// Besides the tool's own `opt-level`: for nextest, 0 is less than half of the compilation of 1, and costs a run of the
/// tests 0.15 s; a scanner is ten times slower with it.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];
/// Prefix of what an interrupted set-up may leave; removed by the next one.
const UNFINISHED: &str = ".unfinished-";

/// Builds the crates. The caller holds the lock of `tools`.
///
/// # Errors
/// When a crate does not build; what was built before stays.
pub(super) fn install(
    cx: &Context,
    tools: &Path,
    crates: &[&PinnedCrate],
    progress: &Progress,
) -> anyhow::Result<()> {
    sweep(tools)?;
    if crates.is_empty() {
        return Ok(());
    }
    // One build folder for all of them: they share dependencies.
    let work = Work::create(tools)?;
    for pinned in crates {
        let root = work.0.join(pinned.folder());
        let mut command =
            cx.process("cargo").args(pinned.arguments()).arg("--no-track").arg("--root").arg(&root);
        command = command.env("CARGO_TARGET_DIR", work.0.join("target")).env("CARGO_TERM_COLOR", "never");
        command = command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", pinned.opt_level);
        for (name, value) in PROFILE {
            command = command.env(name, value);
        }
        progress
            .run(&format!("building {} {}, which takes minutes", pinned.name, pinned.version), &command)?;
        let place = tools.join(pinned.folder());
        let failed = || format!("cannot put `{}` in place", place.display());
        // A folder without its program is what an older set-up left.
        if place.exists() {
            fs::remove_dir_all(&place).with_context(failed)?;
        }
        fs::rename(&root, &place).with_context(failed)?;
    }
    Ok(())
}

/// A folder to build in, gone with this value.
struct Work(PathBuf);

impl Work {
    fn create(tools: &Path) -> anyhow::Result<Self> {
        let folder = tools.join(format!("{UNFINISHED}{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot write `{}`", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next set-up.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Removes what killed set-ups left; whoever holds the lock knows that none is at work.
fn sweep(tools: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(tools).with_context(|| format!("cannot read `{}`", tools.display()))?;
    for path in entries.flatten().map(|it| it.path()) {
        if path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(UNFINISHED)) {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_set_up_left_is_removed_and_whole_tools_stay() {
        let tools = tempfile::tempdir().unwrap();
        fs::create_dir_all(tools.path().join(".unfinished-1/target")).unwrap();
        fs::create_dir_all(tools.path().join("sqlx-cli-0.9.0/bin")).unwrap();
        sweep(tools.path()).unwrap();
        let left: Vec<_> = fs::read_dir(tools.path()).unwrap().flatten().map(|it| it.file_name()).collect();
        assert_eq!(left, ["sqlx-cli-0.9.0"]);
    }

    #[test]
    fn a_work_folder_is_gone_when_the_set_up_ends() {
        let tools = tempfile::tempdir().unwrap();
        let work = Work::create(tools.path()).unwrap();
        assert!(work.0.is_dir());
        drop(work);
        assert_eq!(fs::read_dir(tools.path()).unwrap().count(), 0);
    }
}
