//! What each command does; the one place that prints errors and decides the exit code.
#![expect(clippy::print_stderr, reason = "this is where the tool talks")]

mod migrations;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use anyhow::Context as _;

use crate::{
    affected::{self, Reach},
    bench,
    cli::{
        CiArgs, Cli, Command, DbCommand, HooksCommand, ImagesCommand, MessageFormat, TestArgs, WorkflowsArgs,
        WorkflowsCommand,
    },
    completions,
    config::ConfigError,
    context::Context,
    doctor,
    engine::{self, OnFailure, Plan, Policy},
    events::RunRecord,
    hooks, images, interrupt,
    lock::RunLock,
    mask::masked,
    outcome::{EXIT_ENVIRONMENT, EXIT_GREEN, EXIT_INTERRUPTED, EXIT_USAGE, Status, StepError, StepResult},
    overview::overview,
    process::{Log, ProcessError},
    report::{Pages, Report},
    setup,
    steps::{self, Lane, STEPS, Step},
    terminal::{self, Detail},
    tools,
    verdict::{self, tree::Tree},
    workflows,
};

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
    let cx = Context::load(cli.directory.as_deref()).map_err(unusable)?;
    match command {
        Command::Ci(CiArgs { list: true, .. }) => {
            list(&cx);
            Ok(EXIT_GREEN)
        }
        Command::Ci(args) => ci(&cx, &args),
        Command::Test(args) => test(&cx, args),
        Command::Doctor { fix: true } => {
            let steps: Vec<_> =
                Step::all(&cx).into_iter().filter(|step| (step.skip)(&cx).is_none()).collect();
            set_up(&cx, &steps)?;
            doctor::run(&cx)
        }
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
        Command::Images(ImagesCommand::Build) => alone(&cx, "images", "the images are built", &images::build),
        Command::Images(ImagesCommand::Bases) => alone(&cx, "images", "the bases are there", &images::bases),
    }
}

fn workflow_files(cx: &Context, args: WorkflowsArgs) -> anyhow::Result<u8> {
    match args {
        WorkflowsArgs { command: None, check: true } => {
            Ok(gate(cx, Wanted::step("workflows"), &as_in_the_table)?.verdict.exit_code())
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
    Ok(gate(cx, wanted, &run)?.verdict.exit_code())
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
    let narrowed = |_: &Step, cx: &Context, log: &Log| steps::test::run(cx, log, &selection);
    let detail = args.telling.detail();
    let wanted = Wanted { command: "test", setup: args.setup, detail, verdicts, ..Wanted::step("test") };
    Ok(gate(cx, wanted, &narrowed)?.verdict.exit_code())
}

/// A run of the gate, as it was asked for.
struct Wanted {
    command: &'static str,
    steps: Vec<&'static Step>,
    on_failure: OnFailure,
    format: MessageFormat,
    detail: Detail,
    setup: bool,
    verdicts: Policy,
    narrowed: BTreeMap<&'static str, String>,
}

impl Wanted {
    /// One step, as `ci` runs it when nothing else is asked for.
    fn step(name: &str) -> Self {
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

fn as_in_the_table(step: &Step, cx: &Context, log: &Log) -> StepResult {
    (step.run)(cx, log)
}

fn gate(cx: &Context, wanted: Wanted, run: engine::Run<'_>) -> anyhow::Result<RunRecord> {
    let _lock = lock(cx)?;
    let tree = Tree::read(&cx.root);
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
        lacks: &|steps| missing(cx, steps),
        run,
    };
    let mut report = Report::new(&cx.target());
    let mut pages = Pages::new(cx);
    let mut terminal = terminal::listener(cx, wanted.format, wanted.detail);
    let run = engine::run(cx, plan, tree, &mut [&mut report, &mut pages, terminal.as_mut()])?;
    pages.warnings.iter().for_each(|it| eprintln!("warning: {it}"));
    Ok(run)
}

/// One run at a time in a checkout.
fn lock(cx: &Context) -> anyhow::Result<RunLock> {
    RunLock::take(cx, |holder| eprintln!("another run holds this checkout ({holder}); waiting for it"))
}

/// Gets what the steps lack: tools first, then the base images, for which the tools are needed.
fn set_up(cx: &Context, steps: &[&'static Step]) -> anyhow::Result<()> {
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
        Err(StepError::Interrupted) => return Err(ProcessError::Interrupted.into()),
        Err(StepError::Environment { lacks, fix }) => anyhow::bail!("{lacks}; try: {fix}"),
        Err(StepError::Other(error)) => return Err(error.context("cannot make the base images")),
    }
    Ok(())
}

/// What this machine lacks for each step, told before anything runs.
fn missing(cx: &Context, steps: &[&'static Step]) -> BTreeMap<&'static str, StepError> {
    let mut found = BTreeMap::new();
    for step in steps {
        let missing = tools::missing(cx, &[step.name]);
        if missing.is_empty() {
            continue;
        }
        let lacks: Vec<String> =
            missing.iter().map(|it| format!("`{}` is missing: {}", it.name, it.command)).collect();
        found.insert(
            step.name,
            StepError::environment(lacks.join("\n"), format!("cargo xtask ci --setup {}", step.name)),
        );
    }
    found
}

/// Runs one piece of work outside the gate, with a log of its own, and says how it ended.
fn alone(
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

fn list(cx: &Context) {
    let width = cx.steps.iter().map(|it| it.name.len()).max().unwrap_or_default();
    for step in &cx.steps {
        say(&format!("{:width$}  {:8}  {}", step.name, step.lane.name(), step.proves));
    }
}

fn plan(cx: &Context, steps: &[&'static Step]) {
    let width = steps.iter().map(|it| it.name.len()).max().unwrap_or_default();
    for step in steps {
        match (step.skip)(cx) {
            Some(reason) => say(&format!("{:width$}  skip  {reason}", step.name)),
            None => say(&format!("{:width$}  run   {}", step.name, step.proves)),
        }
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
