//! What a run leaves for later: `report.json`, JUnit, a Markdown summary and a page, all below `target/xtask/`.

mod html;
mod json;
mod junit;
mod markdown;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

pub(crate) use json::{Report, write_whole};

use crate::{
    context::Context,
    events::{Event, Listener, RunRecord},
    mask::masked,
    outcome::Status,
    steps,
};

/// A runner takes no summary above this size.
const SUMMARY_BYTES: usize = 1 << 20;

/// A run that ended, as the readable reports tell it.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) run: &'a RunRecord,
    /// What the tools of failed steps said, by step.
    pub(crate) outputs: &'a BTreeMap<&'static str, String>,
    /// What each step waited for, and when.
    pub(crate) waits: &'a BTreeMap<&'static str, Vec<Waited>>,
    /// What a person types in front of a step to run it again.
    pub(crate) again: &'a str,
}

/// A time in which a step waited, in milliseconds after the run's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waited {
    pub(crate) on: String,
    pub(crate) from_ms: u64,
    /// Nothing while it lasts.
    pub(crate) to_ms: Option<u64>,
}

/// Writes the readable reports when the run ends. What cannot be written is told, and changes no verdict.
#[derive(Debug)]
pub(crate) struct Pages {
    folder: PathBuf,
    again: String,
    began: Instant,
    outputs: BTreeMap<&'static str, String>,
    waits: BTreeMap<&'static str, Vec<Waited>>,
    pub(crate) warnings: Vec<String>,
}

impl Pages {
    pub(crate) fn new(cx: &Context) -> Self {
        Self {
            folder: cx.target(),
            again: cx.again(),
            began: Instant::now(),
            outputs: BTreeMap::new(),
            waits: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn write(&mut self, run: &RunRecord) {
        let told = Told { run, outputs: &self.outputs, waits: &self.waits, again: &self.again };
        let tested = run
            .steps
            .iter()
            .any(|it| it.name == "test" && matches!(it.status, Status::Passed | Status::Failed));
        let tests = tested.then(|| fs::read_to_string(steps::test::results(&self.folder)).ok()).flatten();
        let summary = markdown::summary(&told, SUMMARY_BYTES / 2);
        let files = [
            ("junit.xml", junit::report(&told, tests.as_deref().map(masked).as_deref())),
            ("summary.md", summary.clone()),
            ("report.html", html::page(&told)),
        ];
        for (name, text) in files {
            let path = self.folder.join(name);
            if let Err(error) = fs::write(&path, text) {
                self.warnings.push(format!("cannot write `{}`: {error}", path.display()));
            }
        }
        for variable in ["GITHUB_STEP_SUMMARY", "GITEA_STEP_SUMMARY"] {
            let Some(path) = std::env::var_os(variable).filter(|it| !it.is_empty()) else { continue };
            match append(Path::new(&path), &summary) {
                Ok(()) => break,
                Err(error) => self.warnings.push(format!("cannot write the job's summary: {error}")),
            }
        }
    }
}

/// Adds to the job's summary, which earlier runs of the job may have begun, unless that would make it too large.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let size = fs::metadata(path).map_or(0, |it| it.len());
    if size + text.len() as u64 >= SUMMARY_BYTES as u64 {
        return Err(io::Error::other("it would grow above 1 MiB"));
    }
    File::options().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

impl Listener for Pages {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        match event {
            Event::StepFinished { step, output: Some(output) } => {
                self.outputs.insert(step.name, (*output).to_owned());
            }
            Event::RunStarted { .. } => self.began = Instant::now(),
            Event::StepWaiting { step, on } => {
                let wait = Waited { on: (*on).to_owned(), from_ms: self.now_ms(), to_ms: None };
                self.waits.entry(step).or_default().push(wait);
            }
            Event::StepResumed { step } => {
                let now = self.now_ms();
                if let Some(wait) = self.waits.get_mut(step).and_then(|it| it.last_mut()) {
                    wait.to_ms = Some(now);
                }
            }
            Event::RunFinished { run } => self.write(run),
            Event::StepStarted { .. }
            | Event::StepOutput { .. }
            | Event::StepFinished { .. }
            | Event::Tick => {}
        }
        Ok(())
    }
}
