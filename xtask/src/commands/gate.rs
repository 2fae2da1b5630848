//! A run of the gate as a command asks for it: the lock, the set-up, the listeners.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::say;
use crate::{
    cli::MessageFormat,
    compose,
    context::Context,
    engine::{self, OnFailure, Plan, Policy},
    events::RunRecord,
    images,
    lock::RunLock,
    outcome::{Status, StepError, StepResult},
    process::Log,
    report::{Pages, Report},
    setup,
    steps::{Lane, STEPS, Step},
    terminal::{self, Detail},
    tools,
    verdict::tree::Tree,
};

/// A run of the gate, as it was asked for.
pub(super) struct Wanted {
    pub(super) command: &'static str,
    pub(super) steps: Vec<&'static Step>,
    pub(super) on_failure: OnFailure,
    pub(super) format: MessageFormat,
    pub(super) detail: Detail,
    pub(super) setup: bool,
    pub(super) verdicts: Policy,
    pub(super) narrowed: BTreeMap<&'static str, String>,
}

impl Wanted {
    /// One step, as `ci` runs it when nothing else is asked for.
    pub(super) fn step(name: &str) -> Self {
        Self {
            command: "ci",
            steps: STEPS.iter().filter(|step| step.name == name).collect(),
            on_failure: OnFailure::Stop,
            format: MessageFormat::Human,
            detail: Detail::Usual,
            setup: false,
            verdicts: Policy::Renew,
            narrowed: BTreeMap::new(),
        }
    }
}

pub(super) fn as_in_the_table(step: &Step, cx: &Context, log: &Log) -> StepResult {
    (step.run)(cx, log)
}

pub(super) fn gate(cx: &Context, wanted: Wanted, run: engine::Run<'_>) -> anyhow::Result<RunRecord> {
    let lock = lock(cx)?;
    // Whoever held the checkout may have changed it.
    let tree = if lock.waited { Tree::read(&cx.root) } else { cx.tree() };
    if wanted.setup {
        let applies = |step: &&'static Step| (step.skip)(cx).is_none();
        set_up(cx, &wanted.steps.iter().copied().filter(applies).collect::<Vec<_>>())?;
    }
    let plan = Plan {
        command: wanted.command,
        steps: wanted.steps,
        on_failure: wanted.on_failure,
        verdicts: wanted.verdicts,
        narrowed: wanted.narrowed,
        lacks: &|steps| missing(cx, wanted.command, steps),
        run,
    };
    let mut report = Report::new(&cx.target());
    let mut pages = Pages::new(cx);
    let mut terminal = terminal::listener(cx, wanted.format, wanted.detail);
    let run = engine::run(cx, &plan, tree, &mut [&mut report, &mut pages, terminal.as_mut()])?;
    pages.warnings.iter().for_each(|it| eprintln!("warning: {it}"));
    Ok(run)
}

/// One run at a time in a checkout.
pub(super) fn lock(cx: &Context) -> anyhow::Result<RunLock> {
    RunLock::take(cx, |holder| eprintln!("another run holds this checkout ({holder}); waiting for it"))
}

/// Gets what the steps lack: tools first, then the base images, for which the tools are needed.
pub(super) fn set_up(cx: &Context, steps: &[&'static Step]) -> anyhow::Result<()> {
    setup::run(cx, &names(steps))?;
    let builds = steps.iter().any(|step| step.lane == Lane::Image || step.name == "test");
    if !builds || images::skip(cx).is_some() {
        return Ok(());
    }
    let path = cx.target().join("logs").join("bases.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    say("set-up: base images");
    match images::bases(cx, &log) {
        Ok(outcome) => outcome.findings().iter().for_each(|it| say(&it.to_string())),
        Err(StepError::Other(error)) => return Err(error.context("cannot make the base images")),
        Err(error) => return Err(error.into_error()),
    }
    Ok(())
}

/// What this machine lacks for each step, told before anything runs.
pub(super) fn missing(
    cx: &Context,
    command: &str,
    steps: &[&'static Step],
) -> BTreeMap<&'static str, StepError> {
    let mut found = BTreeMap::new();
    for step in steps {
        let missing = tools::missing(cx, &[step.name]);
        if missing.is_empty() {
            continue;
        }
        let lacks: Vec<String> =
            missing.iter().map(|it| format!("`{}` is missing: {}", it.name, it.command)).collect();
        let fix = match command {
            compose::COMMAND => format!("cargo xtask {command} --setup"),
            _ => format!("cargo xtask ci --setup {}", step.name),
        };
        found.insert(step.name, StepError::environment(lacks.join("\n"), fix));
    }
    found
}

/// Runs one piece of work outside the gate, with a log of its own, and says how it ended.
pub(super) fn alone(
    cx: &Context,
    name: &'static str,
    done: &str,
    work: &(dyn Fn(&Context, &Log) -> StepResult + Sync),
) -> anyhow::Result<u8> {
    let table = |_: &Step, cx: &Context, log: &Log| work(cx, log);
    let wanted = Wanted { command: name, verdicts: Policy::Leave, ..Wanted::step(name) };
    let run = gate(cx, wanted, &table)?;
    // What does not apply here was not done either.
    if run.steps.iter().all(|step| step.status == Status::Passed) {
        say(done);
    }
    Ok(run.verdict.exit_code())
}

fn names(steps: &[&'static Step]) -> Vec<&'static str> {
    steps.iter().map(|step| step.name).collect()
}
