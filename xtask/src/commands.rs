//! What each command does; the one place that prints errors and decides the exit code.
#![expect(clippy::print_stderr, reason = "this is where the tool talks")]

mod database;
mod gate;
mod migrations;
mod release;
mod sbom;
mod stack;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use crate::{
    affected::{self, Reach},
    bench,
    cli::{
        CiArgs, Cli, Command, DbCommand, HooksCommand, ImagesCommand, TestArgs, WorkflowsArgs,
        WorkflowsCommand,
    },
    completions,
    compose::Volumes,
    config::ConfigError,
    context::Context,
    doctor,
    engine::{OnFailure, Policy},
    hooks, images, interrupt,
    mask::masked,
    outcome::{EXIT_ENVIRONMENT, EXIT_GREEN, EXIT_INTERRUPTED, EXIT_USAGE, StepError},
    overview::overview,
    process::{Log, ProcessError},
    steps::{self, Step},
    verdict::{self, Decision, Verdicts},
    workflows,
};

use self::gate::{Wanted, alone, as_in_the_table, gate, lock, set_up};

/// Runs what was typed and returns the exit code.
pub(crate) fn run(cli: Cli) -> u8 {
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            let code = exit_code(&error);
            if code == EXIT_INTERRUPTED {
                eprintln!("interrupted");
            } else {
                eprintln!("error: {}", masked(&format!("{error:#}")));
            }
            code
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<u8> {
    let Some(command) = cli.command else {
        say(overview().trim_end());
        return Ok(EXIT_GREEN);
    };
    interrupt::listen()?;
    let mut cx = Context::load(cli.directory.as_deref()).map_err(unusable)?;
    match command {
        Command::Ci(CiArgs { list: true, .. }) => {
            list(&cx);
            Ok(EXIT_GREEN)
        }
        Command::Ci(args) => ci(&cx, &args),
        Command::Test(args) => test(&cx, args),
        Command::Doctor { fix: true } => mend(&cx),
        Command::Doctor { fix: false } => doctor::run(&cx),
        Command::Explain { step } => {
            for step in Step::selected(&cx, &[step])? {
                verdict::explain(&cx, step).iter().for_each(|line| say(line));
            }
            Ok(EXIT_GREEN)
        }
        Command::Log { step } => log(&cx, &step),
        Command::Completions { shell } => {
            say(completions::script(shell).trim_end());
            Ok(EXIT_GREEN)
        }
        Command::Db(DbCommand::Prepare) => {
            let done = "`.sqlx` is what the queries say";
            alone(&cx, "sqlx", done, &steps::sqlx::refresh)
        }
        Command::Db(command) => database::run(&cx, command),
        Command::Migrations(command) => migrations::run(cx, *command),
        Command::Bench(args) => {
            let _lock = lock(&cx)?;
            bench::run(&cx, &args.cases, args.rounds, &mut say)?;
            Ok(EXIT_GREEN)
        }
        Command::Workflows(args) => workflow_files(&cx, args),
        Command::Hooks(HooksCommand::Install { uninstall: false }) => {
            say(&format!("installed {}", hooks::install(&cx)?));
            Ok(EXIT_GREEN)
        }
        Command::Hooks(HooksCommand::Install { uninstall: true }) => {
            match hooks::uninstall(&cx)? {
                Some(path) => say(&format!("removed {path}")),
                None => say("there is no hook"),
            }
            Ok(EXIT_GREEN)
        }
        Command::Images(command) => images_command(&mut cx, command),
        Command::Up(args) => stack::up(&cx, args),
        Command::Down { volumes } => stack::down(&cx, if volumes { Volumes::Remove } else { Volumes::Keep }),
        Command::Release(args) => release::run(&cx, args),
    }
}

/// Gets what is missing for every step that applies, and says what is still missing.
fn mend(cx: &Context) -> anyhow::Result<u8> {
    let steps: Vec<_> = Step::all(cx).into_iter().filter(|step| (step.skip)(cx).is_none()).collect();
    set_up(cx, &steps)?;
    doctor::run(cx)
}

fn images_command(cx: &mut Context, command: ImagesCommand) -> anyhow::Result<u8> {
    match command {
        ImagesCommand::Build(flags) => {
            let cache = &mut cx.config.images.cache;
            cache.from = flags.cache_from.or(cache.from.take());
            cache.to = flags.cache_to.or(cache.to.take());
            alone(cx, "images", "the images are built", &images::build)
        }
        ImagesCommand::Sbom { service } => sbom::run(cx, service.as_deref()),
        ImagesCommand::Inspect { service, message_format } => {
            let _lock = lock(cx)?;
            let log = Log::create(&cx.target().join("logs").join("inspect.log"))?;
            let text = images::inspect(cx, &log, service.as_deref(), message_format);
            say(text.map_err(StepError::into_error)?.trim_end());
            Ok(EXIT_GREEN)
        }
        ImagesCommand::Verify { from_scratch } => {
            let extent = if from_scratch { images::Extent::Everything } else { images::Extent::Images };
            let done = "every image came out the same";
            alone(cx, "images", done, &|cx, log| images::verify(cx, log, extent))
        }
        ImagesCommand::Bases => alone(cx, "images", "the bases are there", &images::bases),
    }
}

fn workflow_files(cx: &Context, args: WorkflowsArgs) -> anyhow::Result<u8> {
    match args {
        WorkflowsArgs { command: None, check: true } => {
            Ok(gate(cx, Wanted::step("workflows"), &as_in_the_table)?.exit_code())
        }
        WorkflowsArgs { command: None, check: false } => {
            let changed = workflows::refresh(cx)?;
            changed.iter().for_each(|path| say(path));
            if changed.is_empty() {
                say("the workflows are what the step table asks for");
            }
            Ok(EXIT_GREEN)
        }
        WorkflowsArgs { command: Some(WorkflowsCommand::Contexts), .. } => {
            workflows::contexts(cx).iter().for_each(|context| say(context));
            Ok(EXIT_GREEN)
        }
        WorkflowsArgs { command: Some(WorkflowsCommand::Replay { job }), .. } => {
            let _lock = lock(cx)?;
            workflows::replay(cx, job.as_deref(), &mut say)
        }
    }
}

fn ci(cx: &Context, args: &CiArgs) -> anyhow::Result<u8> {
    let steps = Step::selected(cx, &args.steps)?;
    if args.plan {
        plan(cx, &steps);
        return Ok(EXIT_GREEN);
    }
    let on_failure = if args.keep_going { OnFailure::KeepGoing } else { OnFailure::Stop };
    let verdicts = if args.force || args.exact { Policy::Renew } else { Policy::Use };
    let (selection, narrowed) = narrowed(cx, args.affected.as_deref())?;
    let exact = args.exact;
    let run = |step: &Step, cx: &Context, log: &Log| match (step.name, &selection) {
        ("test", Some(selection)) => steps::test::run(cx, log, selection),
        ("test", None) if args.force => steps::test::check_all(cx, log),
        // What the step could decide in a quicker way is left to the real tool.
        ("sqlx", _) if exact => steps::sqlx::check_exactly(cx, log),
        _ => (step.run)(cx, log),
    };
    let wanted = Wanted {
        command: "ci",
        steps,
        on_failure,
        format: args.message_format,
        detail: args.telling.detail(),
        setup: args.setup,
        verdicts,
        narrowed,
    };
    Ok(gate(cx, wanted, &run)?.exit_code())
}

/// The tests that a diff reaches, and what the report says of it; all of them where it reaches everything.
fn narrowed(
    cx: &Context,
    revision: Option<&str>,
) -> anyhow::Result<(Option<steps::test::Selection>, BTreeMap<&'static str, String>)> {
    let Some(revision) = revision else { return Ok((None, BTreeMap::new())) };
    match affected::reach(cx, revision).map_err(unusable)? {
        Reach::Everything { because } => {
            say(&format!("`{because}` changed since {revision}: all tests run"));
            Ok((None, BTreeMap::new()))
        }
        Reach::Crates(crates) => {
            let names: Vec<&str> = crates.iter().map(String::as_str).collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            let part = format!("only the crates that changes since {revision} reach: {names}");
            let selection = steps::test::Selection { crates: Some(crates), ..Default::default() };
            Ok((Some(selection), BTreeMap::from([("test", part)])))
        }
    }
}

fn test(cx: &Context, args: TestArgs) -> anyhow::Result<u8> {
    let whole = args.profile.is_none() && args.arguments.is_empty();
    let verdicts = if whole { Policy::Renew } else { Policy::Leave };
    let selection = steps::test::Selection { profile: args.profile, arguments: args.arguments, crates: None };
    let narrowed = |_: &Step, cx: &Context, log: &Log| {
        if whole { steps::test::check_all(cx, log) } else { steps::test::run(cx, log, &selection) }
    };
    let detail = args.telling.detail();
    let wanted = Wanted { command: "test", setup: args.setup, detail, verdicts, ..Wanted::step("test") };
    Ok(gate(cx, wanted, &narrowed)?.exit_code())
}

fn list(cx: &Context) {
    let width = cx.steps.iter().map(|it| it.name.len()).max().unwrap_or_default();
    for step in &cx.steps {
        say(&format!("{:width$}  {:8}  {}", step.name, step.lane.name(), step.proves));
    }
}

fn plan(cx: &Context, steps: &[&'static Step]) {
    let width = steps.iter().map(|it| it.name.len()).max().unwrap_or_default();
    let verdicts = Verdicts::of(cx, cx.tree());
    for step in steps {
        let line = match (step.skip)(cx) {
            Some(reason) => format!("skip  {reason}"),
            None => match verdicts.decide(step) {
                Decision::Hit(hit) => format!("keep  {}", hit.reason),
                Decision::Run { .. } => format!("run   {}", step.proves),
            },
        };
        say(&format!("{:width$}  {line}", step.name));
    }
}

fn log(cx: &Context, step: &str) -> anyhow::Result<u8> {
    let path = cx.target().join("logs").join(format!("{step}.log"));
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            say(text.trim_end());
            Ok(EXIT_GREEN)
        }
        Err(_) => anyhow::bail!("`{step}` has no log in this checkout; run `cargo xtask ci {step}` first"),
    }
}

/// A line of data; whoever stopped reading it needs no error.
fn say(line: &str) {
    writeln!(io::stdout(), "{line}").ok();
}

/// A workspace or a configuration that cannot be used is wrong usage.
#[derive(Debug)]
struct Unusable(anyhow::Error);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Unusable {}

fn unusable(error: anyhow::Error) -> anyhow::Error {
    Unusable(error).into()
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if interrupt::requested() || matches!(error.downcast_ref(), Some(ProcessError::Interrupted)) {
        EXIT_INTERRUPTED
    } else if error.is::<Unusable>() || error.is::<ConfigError>() {
        EXIT_USAGE
    } else {
        EXIT_ENVIRONMENT
    }
}
