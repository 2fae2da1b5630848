//! Kept verdicts on disk, `target/xtask/verdicts/STEP/NAME.json` with the facts beside it; whole or not there.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Key;
use crate::{context::Context, events::StepRecord, outcome::Finding, report::write_whole};

/// How many verdicts a step keeps: going back and forth between branches stays free.
const MOST: usize = 12;

/// A green verdict.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The checkout that it was given in; a folder may have been copied.
    root: PathBuf,
    pub(super) fingerprint: String,
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) duration_ms: u64,
    /// What it found that is no error.
    pub(super) findings: Vec<Finding>,
    /// Images that must exist for it to hold.
    pub(super) images: Vec<String>,
}

impl Kept {
    pub(super) fn new(cx: &Context, key: &Key, record: &StepRecord, images: Vec<String>) -> Self {
        Self {
            root: cx.root.clone(),
            fingerprint: key.fingerprint(),
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            duration_ms: record.duration_ms.saturating_sub(record.waited_ms),
            findings: record.findings.clone(),
            images,
        }
    }
}

/// The verdict for a key, if there is one.
pub(super) fn find(cx: &Context, step: &str, key: &Key) -> Option<Kept> {
    let path = folder(cx, step).join(format!("{}.json", key.name()));
    let kept = read(cx, &path)?;
    // Two keys may share a name; the facts decide.
    if fs::read(path.with_extension("facts")).ok()? != key.0.as_bytes() {
        return None;
    }
    // What was of use last is compared with next, and forgotten last.
    fs::File::open(&path).and_then(|it| it.set_modified(SystemTime::now())).ok();
    Some(kept)
}

/// The newest verdict and what it was given on.
pub(super) fn newest(cx: &Context, step: &str) -> Option<(Kept, Key)> {
    let path = by_age(&folder(cx, step)).into_iter().find(|path| read(cx, path).is_some())?;
    let facts = fs::read_to_string(path.with_extension("facts")).ok()?;
    Some((read(cx, &path)?, Key(facts)))
}

/// Writes a verdict whole, and forgets those that are too many.
///
/// # Errors
/// When it cannot be written; then there is none.
pub(super) fn keep(cx: &Context, step: &str, key: &Key, kept: &Kept) -> anyhow::Result<()> {
    let folder = folder(cx, step);
    let path = folder.join(format!("{}.json", key.name()));
    let facts = path.with_extension("facts");
    let part = path.with_extension("facts.part");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&part, &key.0))
        .and_then(|()| fs::rename(&part, &facts))
        .with_context(|| format!("cannot write `{}`", cx.shown(&facts)))
        .inspect_err(|_| drop(fs::remove_file(&part)))?;
    // Last, because it is what is looked for.
    write_whole(&path, kept)?;
    for old in by_age(&folder).into_iter().skip(MOST) {
        fs::remove_file(&old).ok();
        fs::remove_file(old.with_extension("facts")).ok();
    }
    Ok(())
}

fn folder(cx: &Context, step: &str) -> PathBuf {
    cx.target().join("verdicts").join(step)
}

/// Half a file, or one of another checkout, is no verdict.
fn read(cx: &Context, path: &Path) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (kept.root == cx.root).then_some(kept)
}

/// The newest first.
fn by_age(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let json = |path: &PathBuf| path.extension().is_some_and(|it| it == "json");
    let mut found: Vec<PathBuf> = entries.map(|it| it.path()).filter(json).collect();
    found.sort_by_key(|path| {
        let time = fs::metadata(path).and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        std::cmp::Reverse(time)
    });
    found
}
