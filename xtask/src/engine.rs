//! Runs the selected steps in the table's order and tells its listeners what happens; it prints and writes nothing.

use std::{
    collections::BTreeMap,
    fs,
    time::{Instant, SystemTime},
};

use xshell::{Shell, cmd};

use crate::{
    context::Context,
    events::{Event, Listener, RunRecord, StepRecord},
    interrupt,
    outcome::{Finding, Interrupted, Level, Outcome, Status, StepError, StepResult, Verdict},
    process::Log,
    steps::Step,
};

/// What the operating system says when a disk is full, in every tool's words.
const DISK_FULL: &str = "No space left on device";

/// What to run, and how.
pub(crate) struct Plan<'a> {
    /// The command as the report names it.
    pub(crate) command: &'static str,
    pub(crate) steps: Vec<&'static Step>,
    pub(crate) on_failure: OnFailure,
    /// What this machine lacks, by step; such a step is not started.
    pub(crate) missing: BTreeMap<&'static str, StepError>,
    /// Runs a step; the table's own function, unless a command narrows it.
    pub(crate) run: &'a dyn Fn(&Step, &Context, &Log) -> StepResult,
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
    mut plan: Plan<'_>,
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
        steps: plan.steps.iter().map(|step| StepRecord::waiting(step)).collect(),
    };
    tell(listeners, &Event::RunStarted { run: &run })?;
    let mut failed = None;
    for (index, step) in plan.steps.iter().enumerate() {
        if interrupt::requested() {
            run.steps[index].reason = "interrupted".into();
            continue;
        }
        if let (Some(first), OnFailure::Stop) = (failed, plan.on_failure) {
            run.steps[index].reason = format!("`{first}` failed before; `--keep-going` runs all");
            continue;
        }
        tell(listeners, &Event::StepStarted { step: step.name })?;
        let missing = plan.missing.remove(step.name);
        let output = judge(cx, step, missing, plan.run, &mut run.steps[index]);
        tell(listeners, &Event::StepFinished { step: &run.steps[index], output: output.as_deref() })?;
        if run.steps[index].status == Status::Failed {
            failed = failed.or(Some(step.name));
        }
    }
    let interrupted = if interrupt::requested() { Interrupted::Yes } else { Interrupted::No };
    run.verdict = Verdict::of(run.steps.iter().map(|it| it.status), interrupted);
    run.duration_ms = millis(began);
    tell(listeners, &Event::RunFinished { run: &run })?;
    Ok(run)
}

/// Runs one step and fills its record; returns what the tool itself had to say, if that matters.
fn judge(
    cx: &Context,
    step: &Step,
    missing: Option<StepError>,
    run: &dyn Fn(&Step, &Context, &Log) -> StepResult,
    record: &mut StepRecord,
) -> Option<String> {
    if let Some(reason) = (step.skip)(cx) {
        record.status = Status::Skipped;
        record.reason = reason;
        return None;
    }
    let began = Instant::now();
    let path = cx.target().join("logs").join(format!("{}.log", step.name));
    let result = match (missing, Log::create(&path)) {
        (Some(missing), _) => Err(missing),
        (None, Ok(log)) => {
            record.log = cx.shown(log.path());
            let result = run(step, cx, &log);
            result.iter().flat_map(Outcome::findings).for_each(|it| log.line(&it.to_string()));
            result
        }
        (None, Err(error)) => Err(StepError::Other(
            anyhow::Error::new(error).context(format!("cannot write `{}`", cx.shown(&path))),
        )),
    };
    record.duration_ms = millis(began);
    settle(result, record)
}

/// Lowers a step's result into its record.
fn settle(result: StepResult, record: &mut StepRecord) -> Option<String> {
    record.reason = "no verdict is kept from earlier runs".into();
    match result {
        Ok(Outcome::Judged(findings)) => {
            let red = findings.iter().any(|it| it.level == Level::Error);
            record.status = if red { Status::Failed } else { Status::Passed };
            record.findings = findings;
            None
        }
        Ok(Outcome::ToolFailed { output, .. }) if output.contains(DISK_FULL) => {
            environment(record, "the disk is full", "free some space; `df -h` shows where");
            Some(output)
        }
        Ok(Outcome::ToolFailed { findings, output }) => {
            record.status = Status::Failed;
            record.findings = findings;
            Some(output)
        }
        Ok(Outcome::Skipped(reason)) => {
            record.status = Status::Skipped;
            record.reason = reason;
            None
        }
        Err(StepError::Interrupted) => {
            record.status = Status::Cancelled;
            record.reason = "interrupted".into();
            None
        }
        Err(StepError::Environment { lacks, fix }) => {
            environment(record, &lacks, &fix);
            None
        }
        Err(StepError::Other(_)) if interrupt::requested() => {
            record.status = Status::Cancelled;
            record.reason = "interrupted".into();
            None
        }
        Err(StepError::Other(error)) => {
            let text = format!("{error:#}");
            if text.contains(DISK_FULL) {
                environment(record, "the disk is full", "free some space; `df -h` shows where");
            } else {
                environment(record, &text, "cargo xtask doctor");
            }
            None
        }
    }
}

fn environment(record: &mut StepRecord, lacks: &str, fix: &str) {
    record.status = Status::Environment;
    record.reason = lacks.into();
    record.fix = Some(fix.into());
    record.findings = vec![Finding::error("environment", lacks).fix(fix)];
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

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
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
