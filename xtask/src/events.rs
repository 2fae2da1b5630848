//! What happens in a run, as one stream; terminal and report only listen.

use serde::Serialize;

use crate::{
    outcome::{Finding, Status, Verdict},
    steps::{Lane, Step},
};

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event<'a> {
    RunStarted { run: &'a RunRecord },
    StepStarted { step: &'static str },
    StepFinished { step: &'a StepRecord, output: Option<&'a str> },
    RunFinished { run: &'a RunRecord },
}

/// Someone who is told what happens, in order, and decides nothing.
pub(crate) trait Listener {
    /// # Errors
    /// When what it keeps cannot be written; the run goes on, and is not green.
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()>;
}

/// A step as the report has it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepRecord {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    pub(crate) status: Status,
    pub(crate) duration_ms: u64,
    pub(crate) waited_ms: u64,
    pub(crate) saved_ms: u64,
    /// Why it ran, was skipped, or could not be judged.
    pub(crate) reason: String,
    pub(crate) fingerprint: Option<String>,
    /// Relative to the workspace's root; empty when the step did not run.
    pub(crate) log: String,
    /// The command that mends it, where one does.
    pub(crate) fix: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

/// A run as the report has it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunRecord {
    pub(crate) schema: u32,
    pub(crate) command: &'static str,
    pub(crate) commit: Option<String>,
    pub(crate) dirty: bool,
    pub(crate) verdict: Verdict,
    /// RFC 3339.
    pub(crate) started_at: String,
    pub(crate) duration_ms: u64,
    pub(crate) steps: Vec<StepRecord>,
}

impl StepRecord {
    /// A step that has not come to anything yet.
    pub(crate) fn waiting(step: &Step) -> Self {
        Self {
            name: step.name,
            lane: step.lane,
            status: Status::Cancelled,
            duration_ms: 0,
            waited_ms: 0,
            saved_ms: 0,
            reason: "the run ended before".into(),
            fingerprint: None,
            log: String::new(),
            fix: step.fix.map(Into::into),
            findings: Vec::new(),
        }
    }
}
