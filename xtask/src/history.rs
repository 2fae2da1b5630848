//! How long each step took lately on this machine, `target/xtask/history.json`: what an estimate is made of.

use std::{collections::BTreeMap, fs};

use crate::{
    context::Context,
    events::RunRecord,
    outcome::{Status, Verdict},
    report::write_whole,
};

const FILE: &str = "history.json";
/// How many runs of a step count.
const RUNS: usize = 7;

/// Milliseconds of work of each step's last runs, the newest last.
#[derive(Debug, Default)]
pub(crate) struct History(BTreeMap<String, Vec<u64>>);

impl History {
    /// What cannot be read was not there.
    pub(crate) fn read(cx: &Context) -> Self {
        let text = fs::read(cx.target().join(FILE)).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// What the step usually takes: the middle one of its last runs.
    pub(crate) fn usual_ms(&self, step: &str) -> Option<u64> {
        let mut runs = self.0.get(step)?.clone();
        runs.sort_unstable();
        runs.get(runs.len() / 2).copied()
    }

    /// Adds the steps of a run that came to their end by themselves.
    pub(crate) fn add(mut self, cx: &Context, run: &RunRecord) {
        let ended = run.steps.iter().filter(|it| matches!(it.status, Status::Passed | Status::Failed));
        let mut any = false;
        for step in ended.filter(|_| run.verdict != Verdict::Interrupted) {
            let runs = self.0.entry(step.name.into()).or_default();
            runs.push(step.duration_ms.saturating_sub(step.waited_ms));
            let over = runs.len().saturating_sub(RUNS);
            runs.drain(..over);
            any = true;
        }
        if any {
            // An estimate that is lost changes no verdict.
            write_whole(&cx.target().join(FILE), &self.0).ok();
        }
    }
}
