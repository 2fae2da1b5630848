//! `target/xtask/report.json`: the run for machines, whole on disk at every moment of the run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Serialize;

use crate::events::{Event, Listener};

/// Writes the report when the run begins and when it ends.
///
/// The first one says `interrupted`: that is what a run that is killed was, and no earlier green outlives it.
#[derive(Debug)]
pub(crate) struct Report {
    path: PathBuf,
}

impl Report {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join("report.json") }
    }
}

impl Listener for Report {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        match event {
            Event::RunStarted { run } | Event::RunFinished { run } => write_whole(&self.path, run),
            _ => Ok(()),
        }
    }
}

/// Writes JSON beside the file and renames it into place, so that nobody reads half of it.
pub(crate) fn write_whole(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let beside = path.with_extension("json.part");
    let text = serde_json::to_string_pretty(value).with_context(failed)?;
    let written = fs::write(&beside, text + "\n").and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // On a full disk neither half a report nor the one of an earlier run may stay.
        fs::remove_file(&beside).ok();
        fs::remove_file(path).ok();
    }
    written.with_context(failed)
}
