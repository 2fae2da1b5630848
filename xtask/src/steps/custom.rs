//! Steps that a workspace adds in its configuration: a command, what it reads, and the lane that it waits in.

use super::{STEPS, Step, never, nothing};
use crate::{
    config::CustomStep,
    context::Context,
    outcome::{Finding, Outcome, StepResult},
    process::Log,
    verdict::inputs::Inputs,
};

/// How much of a failed command's output is shown.
const SHOWN_LINES: usize = 60;

/// The table of a workspace: each of its own steps stands behind the built-in ones of its lane.
///
/// The steps live as long as the process; a process has one configuration.
pub(crate) fn table(own: &[CustomStep]) -> Vec<&'static Step> {
    let mut table: Vec<&'static Step> = STEPS.iter().collect();
    for settings in own {
        let place = table.iter().rposition(|it| it.lane == settings.lane).map_or(table.len(), |it| it + 1);
        table.insert(place, step(settings));
    }
    table
}

fn step(settings: &CustomStep) -> &'static Step {
    let settings: &'static CustomStep = Box::leak(Box::new(settings.clone()));
    Box::leak(Box::new(Step {
        name: &settings.name,
        lane: settings.lane,
        proves: settings.proves.as_deref().unwrap_or("the command that the configuration names succeeds"),
        fix: settings.fix.as_deref(),
        skip: &never,
        inputs: Box::leak(Box::new(|_: &Context| inputs(settings))),
        needs: &nothing,
        run: Box::leak(Box::new(|cx: &Context, log: &Log| check(cx, log, settings))),
    }))
}

fn inputs(settings: &CustomStep) -> Inputs {
    let program = settings.command.first().cloned();
    Inputs { programs: program.into_iter().collect(), ..Inputs::files(&settings.inputs) }.setting(settings)
}

fn check(cx: &Context, log: &Log, settings: &CustomStep) -> StepResult {
    let Some((program, arguments)) = settings.command.split_first() else {
        return Ok(Outcome::Skipped("its command is empty".into()));
    };
    let folder = cx.root.join(settings.folder.as_deref().unwrap_or_default());
    let process = cx.process(program).args(arguments).folder(folder).log(log);
    let finished = process.run()?;
    if finished.success() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    let finding =
        Finding::error("command-failed", format!("`{}` ended with {}", process.display(), finished.code()));
    let lines: Vec<&str> = finished.stdout.lines().chain(finished.stderr.lines()).collect();
    let output = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    Ok(Outcome::ToolFailed { findings: vec![finding], output })
}
