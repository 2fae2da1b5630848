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

use xshell::{Shell, cmd};

use self::lanes::{Lanes, millis};
use crate::{
    context::Context,
    events::{Event, Listener, News, RunRecord, StepRecord, What},
    interrupt,
    mask::masked,
    outcome::{Interrupted, Status, StepError, StepResult, Verdict},
    process::Log,
    steps::Step,
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
    /// What this machine lacks, by step; such a step is not started.
    pub(crate) missing: BTreeMap<&'static str, StepError>,
    pub(crate) run: Run<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Stop,
    KeepGoing,
}

/// Runs the plan to its end and returns the run's record.
///
/// # Errors
/// When a listener could not keep what it was told, such as the report on a full disk.
pub(crate) fn run(
    cx: &Context,
    plan: Plan<'_>,
    listeners: &mut [&mut dyn Listener],
) -> anyhow::Result<RunRecord> {
    let began = Instant::now();
    let mut run = RunRecord {
        schema: 1,
        command: plan.command,
        commit: git(cx, &["rev-parse", "HEAD"]),
        dirty: git(cx, &["status", "--porcelain"]).is_none_or(|it| !it.is_empty()),
        verdict: Verdict::Interrupted,
        started_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        duration_ms: 0,
        findings: Vec::new(),
        steps: plan.steps.iter().map(|step| StepRecord::waiting(step)).collect(),
    };
    tell(listeners, &Event::RunStarted { run: &run })?;
    let mut waiting = Vec::new();
    for (record, step) in run.steps.iter_mut().zip(&plan.steps) {
        match (step.skip)(cx) {
            Some(reason) => {
                record.status = Status::Skipped;
                record.reason = reason;
                tell(listeners, &Event::StepFinished { step: record, output: None })?;
            }
            None => waiting.push(*step),
        }
    }
    let lanes = Lanes::new(cx, plan, waiting, began);
    let told = in_lanes(&lanes, &mut run.steps, listeners);
    let interrupted = if interrupt::requested() { Interrupted::Yes } else { Interrupted::No };
    run.verdict = Verdict::of(run.steps.iter().map(|it| it.status), interrupted);
    run.duration_ms = millis(began);
    run.findings = cx.config.budget.run(run.duration_ms).into_iter().collect();
    told?;
    tell(listeners, &Event::RunFinished { run: &run })?;
    Ok(run)
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

/// Short questions to git, which may have no answer (no repository, no commit).
fn git(cx: &Context, arguments: &[&str]) -> Option<String> {
    let shell = Shell::new().ok()?;
    shell.change_dir(&cx.root);
    cmd!(shell, "git {arguments...}").quiet().ignore_stderr().read().ok()
}

/// Begins anew what earlier runs left of logs, so that a log is always this run's.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn clear_logs(cx: &Context, steps: &[&Step]) -> std::io::Result<()> {
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
