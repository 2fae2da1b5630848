//! Runs the selected steps, lanes side by side, and tells its listeners what happens; it prints and writes nothing.

mod judge;
mod lanes;

use std::{
    collections::BTreeMap,
    fs,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;

use self::lanes::{Lanes, millis};
use crate::{
    context::Context,
    events::{Event, Listener, News, RunRecord, StepRecord, What},
    history::History,
    interrupt,
    mask::masked,
    outcome::{Interrupted, Status, StepError, StepResult, Verdict},
    process::Log,
    steps::{Lane, Step},
    verdict::{Decision, Key, Verdicts, tree::Tree},
};

/// How often listeners are told that time goes on.
const TICK: Duration = Duration::from_millis(100);

/// Runs a step; the table's own function, unless a command narrows it.
pub(crate) type Run<'a> = &'a (dyn Fn(&Step, &Context, &Log) -> StepResult + Sync);

/// What to run, and how.
pub(crate) struct Plan<'a> {
    /// The command as the report names it.
    pub(crate) command: &'static str,
    pub(crate) steps: Vec<&'static Step>,
    pub(crate) on_failure: OnFailure,
    pub(crate) verdicts: Policy,
    /// Steps that run on a part of what they judge, and on which; no verdict of theirs is kept.
    pub(crate) narrowed: BTreeMap<&'static str, String>,
    /// What this machine lacks for those of the steps that must run, by step; such a step is not started.
    pub(crate) lacks: &'a dyn Fn(&[&'static Step]) -> BTreeMap<&'static str, StepError>,
    pub(crate) run: Run<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Stop,
    KeepGoing,
}

/// What becomes of kept verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A step that was green on the same inputs does not run.
    Use,
    /// Every step runs, and what comes out is kept.
    Renew,
    /// Every step runs, and nothing is kept: it is not what the step is in the table.
    Leave,
}

/// A step that must run.
pub(crate) struct Due {
    step: &'static Step,
    reason: String,
    /// What its verdict is kept under, if it is green.
    key: Option<Key>,
    usual_ms: Option<u64>,
}

/// Runs the plan to its end and returns the run's record.
///
/// # Errors
/// When a listener could not keep what it was told, such as the report on a full disk.
pub(crate) fn run(
    cx: &Context,
    plan: &Plan<'_>,
    tree: Option<Tree>,
    listeners: &mut [&mut dyn Listener],
) -> anyhow::Result<RunRecord> {
    let mut going = Going::begin(cx, plan.command, &plan.steps, tree.as_ref(), listeners)?;
    going.phase(cx, plan, tree)?;
    going.end()
}

/// A run that goes on, phase by phase.
pub(crate) struct Going<'a, 'l> {
    cx: &'a Context,
    began: Instant,
    history: History,
    run: RunRecord,
    listeners: &'a mut [&'l mut dyn Listener],
}

impl<'a, 'l> Going<'a, 'l> {
    /// Begins a run of these steps, in whatever phases.
    ///
    /// # Errors
    /// When a listener could not keep what it was told.
    pub(crate) fn begin(
        cx: &'a Context,
        command: &'static str,
        steps: &[&'static Step],
        tree: Option<&Tree>,
        listeners: &'a mut [&'l mut dyn Listener],
    ) -> anyhow::Result<Self> {
        let history = History::read(cx);
        let mut run = RunRecord {
            schema: 1,
            command,
            commit: tree.and_then(|it| it.commit.clone()),
            dirty: tree.is_none_or(|it| it.dirty),
            verdict: Verdict::Interrupted,
            started_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            duration_ms: 0,
            findings: Vec::new(),
            steps: steps.iter().map(|step| StepRecord::waiting(step)).collect(),
        };
        run.steps.iter_mut().for_each(|it| it.usual_ms = history.usual_ms(it.name));
        tell(listeners, &Event::RunStarted { run: &run })?;
        Ok(Self { cx, began: Instant::now(), history, run, listeners })
    }

    /// Runs the steps of a plan to their end, on a tree that was just read; whether every step so far is as it should be.
    ///
    /// # Errors
    /// When a listener could not keep what it was told.
    pub(crate) fn phase(
        &mut self,
        cx: &Context,
        plan: &Plan<'_>,
        tree: Option<Tree>,
    ) -> anyhow::Result<bool> {
        if let Some(tree) = &tree {
            self.run.commit.clone_from(&tree.commit);
            self.run.dirty = tree.dirty;
        }
        let due = due(cx, plan, tree, &mut self.run.steps, self.listeners)?;
        let steps: Vec<&'static Step> = due.iter().map(|it| it.step).collect();
        clear_logs(cx, &steps).with_context(|| format!("cannot write `{}`", cx.shown(&cx.target())))?;
        let missing = (plan.lacks)(&steps);
        let lanes = Lanes::new(cx, plan, due, missing, self.began);
        in_lanes(&lanes, &mut self.run.steps, self.listeners)?;
        let over = |it: &StepRecord| matches!(it.status, Status::Passed | Status::Cached | Status::Skipped);
        let planned = |it: &&StepRecord| plan.steps.iter().any(|step| step.name == it.name);
        Ok(!interrupt::requested() && self.run.steps.iter().filter(planned).all(over))
    }

    /// The steps so far.
    pub(crate) fn steps(&self) -> &[StepRecord] {
        &self.run.steps
    }

    /// Ends the run and returns its record.
    ///
    /// # Errors
    /// When a listener could not keep what it was told.
    pub(crate) fn end(self) -> anyhow::Result<RunRecord> {
        let Self { cx, began, history, mut run, listeners } = self;
        let interrupted = if interrupt::requested() { Interrupted::Yes } else { Interrupted::No };
        run.verdict = Verdict::of(run.steps.iter().map(|it| it.status), interrupted);
        run.duration_ms = millis(began);
        history.add(cx, &run);
        run.findings = cx.config.budget.run(run.duration_ms).into_iter().collect();
        tell(listeners, &Event::RunFinished { run: &run })?;
        Ok(run)
    }
}

/// Tells of the steps that need not run, in the table's order, and returns the others.
fn due(
    cx: &Context,
    plan: &Plan<'_>,
    tree: Option<Tree>,
    records: &mut [StepRecord],
    listeners: &mut [&mut dyn Listener],
) -> anyhow::Result<Vec<Due>> {
    let verdicts = Verdicts::of(cx, tree);
    if plan.verdicts == Policy::Use && plan.steps.iter().any(|it| it.lane == Lane::Image) {
        verdicts.ask_for_images();
    }
    let mut due = Vec::new();
    for &step in &plan.steps {
        let Some(record) = records.iter_mut().find(|it| it.name == step.name) else { continue };
        let usual_ms = record.usual_ms;
        if let Some(reason) = (step.skip)(cx) {
            record.status = Status::Skipped;
            record.reason = reason;
            tell(listeners, &Event::StepFinished { step: record, output: None })?;
            continue;
        }
        let (reason, key) = match plan.verdicts {
            Policy::Use => match verdicts.decide(step) {
                Decision::Hit(hit) => {
                    *record = StepRecord { usual_ms, ..*hit };
                    tell(listeners, &Event::StepFinished { step: record, output: None })?;
                    continue;
                }
                Decision::Run { reason, key } => (reason, key),
            },
            Policy::Renew => match verdicts.key(step) {
                Ok(key) => ("--force".into(), Some(key)),
                Err(reason) => (reason, None),
            },
            Policy::Leave => ("it was asked for by itself".into(), None),
        };
        due.push(match plan.narrowed.get(step.name) {
            Some(part) => Due { step, reason: part.clone(), key: None, usual_ms },
            None => Due { step, reason, key, usual_ms },
        });
    }
    Ok(due)
}

/// Runs the steps in their lanes and keeps the records as news come in.
fn in_lanes(
    lanes: &Lanes<'_>,
    records: &mut [StepRecord],
    listeners: &mut [&mut dyn Listener],
) -> anyhow::Result<()> {
    let (news, heard) = mpsc::channel();
    thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .split()
            .map(|steps| {
                let news = news.clone();
                scope.spawn(move || lanes.run(steps, &news))
            })
            .collect();
        drop(news);
        // The first listener that fails decides, but the lanes are heard to their end.
        let mut told = Ok(());
        let mut ticked = Instant::now();
        loop {
            let over = threads.iter().all(thread::ScopedJoinHandle::is_finished);
            let next = if over { heard.try_recv().ok() } else { next(&heard) };
            if next.is_none() && over {
                break;
            }
            if let Some(news) = next {
                let result = hear(news, records, listeners);
                told = told.and(result);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                told = told.and(tell(listeners, &Event::Tick));
            }
        }
        told
    })
}

fn next(heard: &mpsc::Receiver<News>) -> Option<News> {
    match heard.recv_timeout(TICK) {
        Ok(news) => Some(news),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            // All lanes are about to end.
            thread::sleep(Duration::from_millis(1));
            None
        }
    }
}

/// Keeps what a lane says in the run's record, and tells it.
fn hear(news: News, records: &mut [StepRecord], listeners: &mut [&mut dyn Listener]) -> anyhow::Result<()> {
    let News { step, what } = news;
    let Some(record) = records.iter_mut().find(|it| it.name == step) else { return Ok(()) };
    match what {
        What::Started { at_ms } => {
            record.started_ms = at_ms;
            tell(listeners, &Event::StepStarted { step })
        }
        What::Waiting { on } => tell(listeners, &Event::StepWaiting { step, on: &on }),
        What::Resumed => tell(listeners, &Event::StepResumed { step }),
        What::Output(line) => tell(listeners, &Event::StepOutput { step, line: &line }),
        What::NotStarted { reason } => {
            record.reason = reason;
            Ok(())
        }
        What::Finished { record: finished, output } => {
            let started_ms = record.started_ms;
            *record = StepRecord { started_ms, ..*finished }.masked();
            let output = output.as_deref().map(masked);
            tell(listeners, &Event::StepFinished { step: record, output: output.as_deref() })
        }
    }
}

fn tell(listeners: &mut [&mut dyn Listener], event: &Event<'_>) -> anyhow::Result<()> {
    listeners.iter_mut().try_for_each(|listener| listener.on(event))
}

/// Begins anew what earlier runs left of logs, so that a log is always this run's.
///
/// # Errors
/// When the folder cannot be written.
fn clear_logs(cx: &Context, steps: &[&Step]) -> std::io::Result<()> {
    let folder = cx.target().join("logs");
    fs::create_dir_all(&folder)?;
    for step in steps {
        match fs::remove_file(folder.join(format!("{}.log", step.name))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
