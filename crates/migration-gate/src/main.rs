//! `migration-gate`: findings go to stdout, talk goes to stderr, the exit code says which of them matters.
#![expect(clippy::print_stderr, reason = "a program that talks on the terminal")]

mod cli;

use std::{
    env,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{self, ExitCode},
};

use clap::Parser as _;
use migration_gate::{
    DryRun, Error, Finding, Inquiry, Live, Prepared, Project, Reach, Report, Wish, codes, did_you_mean,
    ledger::LEDGER_FILE, provision, snapshot,
};
use scratch_postgres::Options;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Arguments, Command, MessageFormat};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !matches!(arguments.command, Command::Snapshot { .. })
        && let Some(error) = begin_again_without_callers_database()
    {
        eprintln!("error: cannot start again without the caller's `PG…` variables: {error}");
        return ExitCode::from(3);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments.command)),
        Err(error) => Err(Error::Output(error)),
    };
    ExitCode::from(outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit_code()
    }))
}

/// Libraries read `PGHOST` and its like, which tell of a database of the caller's, where the gate has nothing to look for. Returns
/// only where nothing of the kind is set, or the program cannot be started again.
fn begin_again_without_callers_database() -> Option<io::Error> {
    let is_callers = |name: &std::ffi::OsString| name.as_encoded_bytes().starts_with(b"PG");
    let names: Vec<_> = env::vars_os().map(|(name, _)| name).filter(is_callers).collect();
    if names.is_empty() {
        return None;
    }
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return Some(error),
    };
    let mut again = process::Command::new(program);
    for name in names {
        again.env_remove(name);
    }
    Some(again.args(env::args_os().skip(1)).exec())
}

async fn run(command: Command) -> Result<u8, Error> {
    match command {
        Command::Check { explain: Some(code), .. } => explain(Some(&code)),
        Command::Check { project, message_format: format, explain: None, timings } => {
            let project = Project::read(&project.settings())?;
            let options = Options::from_env()?;
            let report = migration_gate::check(&project, &options, interrupted()?).await;
            if timings {
                let phases = report.phases.took.iter();
                phases.for_each(|(name, took)| eprintln!("phase {name}: {:.3} s", took.as_secs_f64()));
            }
            finish(&report, format)
        }
        Command::DryRun { project, message_format: format } => {
            let project = Project::read(&project.settings())?;
            let options = Options::from_env()?;
            shown(&migration_gate::dry_run(&project, &options, interrupted()?).await, format)
        }
        Command::New { name, project } => {
            let written = migration_gate::new(&Project::read(&project.settings())?, &name)?;
            let mut stdout = io::stdout().lock();
            written.iter().try_for_each(|path| writeln!(stdout, "{}", path.display()))?;
            Ok(0)
        }
        Command::Snapshot {
            project,
            database_url,
            table,
            role: roles,
            undecided,
            message_format: format,
        } => {
            let settings = project.settings();
            let ledger = settings.ledger.clone().unwrap_or_else(|| settings.migrations.join(LEDGER_FILE));
            let wish = Wish { ledger, table, roles, undecided };
            let live = Live::named(database_url.as_deref())?;
            finish_snapshot(&snapshot(&settings, &live, &wish, &Options::from_env()?).await?, format)
        }
        Command::Provision { project, server_url, database, ledger_only, message_format: format } => {
            let project = Project::read(&project.settings())?;
            let reach = if ledger_only { Reach::Ledger } else { Reach::Pending };
            finish(&provision(&project, &server_url, &database, reach).await, format)
        }
        Command::Prepared { root, queries, server_url, database, keep, message_format: format } => {
            let inquiry = Inquiry { root, queries, server_url, database, keep };
            compared(&migration_gate::prepared(&inquiry).await?, format)
        }
        Command::Explain { code } => explain(code.as_deref()),
    }
}

/// Ctrl-C or TERM. The gate then takes its server down before it ends.
fn interrupted() -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Shows the plan, then what speaks against it, and gives the exit code.
fn shown(run: &DryRun, format: MessageFormat) -> Result<u8, Error> {
    let mut stdout = io::stdout().lock();
    match format {
        MessageFormat::Human => {
            write!(stdout, "{run}")?;
            run.report.findings.iter().try_for_each(|it| writeln!(stdout, "\n{it}"))?;
        }
        MessageFormat::Json => writeln!(stdout, "{}", run.to_json())?,
    }
    stdout.flush()?;
    for note in &run.report.notes {
        eprintln!("note: {note}");
    }
    if let Some(error) = &run.report.stopped {
        eprintln!("error: {error}");
    }
    eprintln!("nothing was changed: this ran on a scratch server, which is gone");
    Ok(run.report.exit_code())
}

/// What production has is written, also where it contradicts the tree; the findings say so.
fn finish_snapshot(report: &Report, format: MessageFormat) -> Result<u8, Error> {
    show(report, format)?;
    Ok(report.exit_code())
}

/// Shows the report and gives the exit code.
fn finish(report: &Report, format: MessageFormat) -> Result<u8, Error> {
    show(report, format)?;
    eprintln!("{}", summary(report));
    Ok(report.exit_code())
}

fn show(report: &Report, format: MessageFormat) -> Result<(), Error> {
    write(&report.findings, format)?;
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    if let Some(error) = &report.stopped {
        eprintln!("error: {error}");
    }
    Ok(())
}

/// Shows what comparing `.sqlx` told and gives the exit code.
fn compared(prepared: &Prepared, format: MessageFormat) -> Result<u8, Error> {
    write(&prepared.findings, format)?;
    let verdict = if prepared.is_red() {
        "not what the queries say"
    } else if prepared.is_open() {
        "for a build to judge"
    } else {
        "what the queries say"
    };
    eprintln!("prepared queries are {verdict}: {} in the sources", prepared.queries);
    Ok(prepared.exit_code())
}

fn write(findings: &[Finding], format: MessageFormat) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    for finding in findings {
        match format {
            MessageFormat::Human => writeln!(stdout, "{finding}")?,
            MessageFormat::Json => writeln!(stdout, "{}", finding.to_json())?,
        }
    }
    Ok(stdout.flush()?)
}

fn summary(report: &Report) -> String {
    let count = |level| report.findings.iter().filter(|it| it.level == level).count();
    let (errors, warnings) = (count(codes::Level::Error), count(codes::Level::Warning));
    let queries = match report.queries {
        0 => String::new(),
        tried => format!(", {tried} queries tried"),
    };
    let ran = format!("{} applied and {} pending{queries}", report.applied, report.pending);
    match (errors, warnings) {
        (0, 0) if report.stopped.is_none() => format!("migrations hold: {ran}"),
        (0, 0) => format!("migrations not judged: {ran}"),
        _ => format!(
            "migrations: {ran}; {errors} error(s), {warnings} warning(s); `migration-gate explain CODE` tells more"
        ),
    }
}

fn explain(code: Option<&str>) -> Result<u8, Error> {
    let mut stdout = io::stdout().lock();
    let Some(name) = code else {
        for code in codes::CODES {
            writeln!(stdout, "{:<20} {:<8} {}", code.name, code.level.to_string(), code.title)?;
        }
        return Ok(0);
    };
    let Some(code) = codes::find(name) else {
        let hint = did_you_mean(name, codes::CODES.iter().map(|it| it.name));
        return Err(Error::Configuration(format!(
            "there is no code `{name}`{hint}; `migration-gate explain` lists all"
        )));
    };
    let codes::Code { name, level, title, story, remedy } = code;
    writeln!(stdout, "{name} ({level}): {title}\n\n{story}\n\nWhat to do: {remedy}")?;
    Ok(0)
}
