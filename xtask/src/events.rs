//! What happens in a run, as one stream from one thread; terminal and report only listen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Instant,
};

use serde::Serialize;

use crate::{
    mask::masked,
    outcome::{EXIT_USAGE, Finding, MISUSED, Status, Verdict},
    steps::{Lane, Step},
};

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event<'a> {
    RunStarted {
        run: &'a RunRecord,
    },
    StepStarted {
        step: &'static str,
    },
    /// It waits for something that somebody else holds or makes, such as cargo's build directory.
    StepWaiting {
        step: &'static str,
        on: &'a str,
    },
    /// What it waited for is there.
    StepResumed {
        step: &'static str,
    },
    /// A line that one of its children wrote, as it is written.
    StepOutput {
        step: &'static str,
        line: &'a str,
    },
    StepFinished {
        step: &'a StepRecord,
        output: Option<&'a str>,
    },
    /// Comes about ten times a second while steps run.
    Tick,
    RunFinished {
        run: &'a RunRecord,
    },
}

/// Someone who is told what happens, in order, and decides nothing.
pub(crate) trait Listener {
    /// # Errors
    /// When what it keeps cannot be written; the run goes on, and is not green.
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()>;
}

/// What a lane tells the run's thread.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) step: &'static str,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Started {
        at_ms: u64,
    },
    Waiting {
        on: String,
    },
    Resumed,
    Output(String),
    /// It will not run, because the run ends before.
    NotStarted {
        reason: String,
    },
    Finished {
        record: Box<StepRecord>,
        output: Option<String>,
    },
}

/// A running step's way to tell what happens in it; cloned into whatever works for the step.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    step: &'static str,
    news: Sender<News>,
    waited_ms: Arc<AtomicU64>,
}

impl Voice {
    pub(crate) fn new(step: &'static str, news: Sender<News>) -> Self {
        Self { step, news, waited_ms: Arc::default() }
    }

    pub(crate) fn say(&self, what: What) {
        // Once nobody listens any more the run is over.
        self.news.send(News { step: self.step, what }).ok();
    }

    /// Says that the step waits, until the returned value is dropped.
    pub(crate) fn wait(&self, on: &str) -> Wait {
        self.say(What::Waiting { on: on.into() });
        Wait { voice: self.clone(), began: Instant::now() }
    }

    /// How long the step has waited so far.
    pub(crate) fn waited_ms(&self) -> u64 {
        self.waited_ms.load(Ordering::SeqCst)
    }
}

/// Time that a step spends waiting, counted when it is over.
#[derive(Debug)]
pub(crate) struct Wait {
    voice: Voice,
    began: Instant,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waited = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.voice.waited_ms.fetch_add(waited, Ordering::SeqCst);
        self.voice.say(What::Resumed);
    }
}

/// A step as the report has it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepRecord {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    pub(crate) status: Status,
    /// When it began, after the run's own beginning.
    pub(crate) started_ms: u64,
    /// Work and waits.
    pub(crate) duration_ms: u64,
    /// The part of the duration that it waited for what others held or made.
    pub(crate) waited_ms: u64,
    /// What its own last run took, where a kept verdict saved that.
    pub(crate) saved_ms: u64,
    /// What it usually takes on this machine, where it ran before.
    pub(crate) usual_ms: Option<u64>,
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
    /// What there is to say of the run as a whole; never an error.
    pub(crate) findings: Vec<Finding>,
    pub(crate) steps: Vec<StepRecord>,
}

impl RunRecord {
    pub(crate) fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Environment if self.steps.iter().any(StepRecord::is_misused) => EXIT_USAGE,
            verdict => verdict.exit_code(),
        }
    }
}

impl StepRecord {
    /// Whether nothing was judged because of what was typed.
    pub(crate) fn is_misused(&self) -> bool {
        self.findings.iter().any(|it| it.code == MISUSED)
    }

    /// The record without the secrets of the environment, as it is shown and kept.
    pub(crate) fn masked(self) -> Self {
        let clean = |text: String| masked(&text).into_owned();
        let findings = self.findings.into_iter().map(|it| Finding {
            file: it.file.map(clean),
            message: clean(it.message),
            fix: it.fix.map(clean),
            ..it
        });
        Self { findings: findings.collect(), reason: clean(self.reason), fix: self.fix.map(clean), ..self }
    }

    /// A step that has not come to anything yet.
    pub(crate) fn waiting(step: &Step) -> Self {
        Self {
            name: step.name,
            lane: step.lane,
            status: Status::Cancelled,
            started_ms: 0,
            duration_ms: 0,
            waited_ms: 0,
            saved_ms: 0,
            usual_ms: None,
            reason: "the run ended before".into(),
            fingerprint: None,
            log: String::new(),
            fix: step.fix.map(Into::into),
            findings: Vec::new(),
        }
    }
}
