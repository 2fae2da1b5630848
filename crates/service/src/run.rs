//! From the command line to a running service: settings, telemetry, runtime, signals, exit code.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line is answered on the terminal"
)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use metrics::Metrics;
use tokio::task::JoinSet;

use crate::chassis::{About, Chassis, Parts, Subcommand};
use crate::health::Readiness;
use crate::settings::{self, Reader, Settings, SettingsError};
use crate::shutdown::{self, Shutdown, Stage};
use crate::trace::{Exporter, SpanLayer, Tracing};
use crate::{healthcheck, process, telemetry};

/// Exit code of a service that failed, or is not healthy.
const FAILED: u8 = 1;
/// Exit code of wrong usage or configuration.
const USAGE: u8 = 2;

/// How much longer than promised `main` may take to notice that the drain is over.
const DRAIN_SLACK: Duration = Duration::from_secs(1);

/// What the command line asks for.
enum Command {
    Serve,
    Healthcheck,
    Version,
    Help,
    Own(Subcommand, Vec<String>),
}

/// Runs a service: the whole of its `main`.
///
/// Exit codes: 0 stopped as asked, 1 failed (or `healthcheck` found it unhealthy), 2 wrong usage or configuration.
pub fn run<C, F, Fut>(about: About, main: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C, Parts) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    match command(about.commands) {
        Ok(Command::Serve) => serve(about, main),
        Ok(Command::Healthcheck) => check_health(about),
        Ok(Command::Version) => {
            println!("{} {}", about.name, about.version);
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            println!("{}", help::<C>(about));
            ExitCode::SUCCESS
        }
        Ok(Command::Own(subcommand, arguments)) => (subcommand.run)(&arguments),
        Err(argument) => {
            let name = about.name;
            eprintln!("{name}: unknown argument `{argument}`; `{name} --help` lists what there is");
            ExitCode::from(USAGE)
        }
    }
}

fn command(own: &'static [Subcommand]) -> Result<Command, String> {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    if let Some((first, rest)) = arguments.split_first()
        && let Some(subcommand) = own.iter().find(|subcommand| subcommand.name == first)
    {
        return Ok(Command::Own(*subcommand, rest.to_vec()));
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(Command::Serve),
        ["healthcheck"] => Ok(Command::Healthcheck),
        ["--version" | "-V"] => Ok(Command::Version),
        ["--help" | "-h" | "help"] => Ok(Command::Help),
        ["healthcheck", unknown, ..] | [unknown, ..] => Err((*unknown).to_owned()),
    }
}

fn help<C: Settings>(about: About) -> String {
    let About { name, version, defaults, commands } = about;
    // As wide as the longest of those below.
    let width = name.len() + " healthcheck   ".len();
    let line = |it: &Subcommand| format!("  {:width$}{}\n", format!("{name} {}", it.name), it.what);
    let own: String = commands.iter().map(line).collect();
    let settings = settings::describe(&[C::TABLE, Chassis::TABLE, Tracing::TABLE], defaults);
    format!(
        "{name} {version}

Usage:
  {name}               serve, until TERM or INT
  {name} healthcheck   ask the one that runs on this host whether it is ready: exit 0 or 1
{own}  {name} --version     print name and version
  {name} --help        print this

Settings, from the environment:
{}",
        settings.trim_end()
    )
}

fn check_health(about: About) -> ExitCode {
    let mut reader = Reader::from_process(about.defaults);
    let listen = reader.get("LISTEN", None);
    match reader.finish(listen).map(healthcheck::ask) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(reason)) => {
            eprintln!("{}: {reason}", about.name);
            ExitCode::from(FAILED)
        }
        Err(error) => refuse(about, &error),
    }
}

fn serve<C, F, Fut>(about: About, main: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C, Parts) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let mut reader = Reader::from_process(about.defaults);
    let (config, chassis, tracing) =
        (C::read(&mut reader), Chassis::read(&mut reader), Tracing::read(&mut reader));
    let ((config, chassis), tracing) = match reader.finish(config.zip(chassis).zip(tracing)) {
        Ok(settings) => settings,
        Err(error) => return refuse(about, &error),
    };
    let metrics = Metrics::new();
    process::register(&metrics, about.name, about.version);
    let exporter = Exporter::new(&tracing, about.name, about.version, &metrics);
    let spans = SpanLayer::new(tracing.sampler(), exporter.as_ref().map(Exporter::queue));
    telemetry::init_with(spans, about.name, about.version, &chassis.log);
    match block_on(chassis, metrics, exporter, |parts| main(config, parts)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped by an error");
            ExitCode::from(FAILED)
        }
    }
}

fn refuse(about: About, error: &SettingsError) -> ExitCode {
    let name = about.name;
    for fault in error.to_string().lines() {
        eprintln!("{name}: {fault}");
    }
    eprintln!("{name}: `{name} --help` lists every setting");
    ExitCode::from(USAGE)
}

fn block_on<F, Fut>(
    chassis: Chassis,
    metrics: Metrics,
    exporter: Option<Exporter>,
    main: F,
) -> anyhow::Result<()>
where
    F: FnOnce(Parts) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let (shutdown, drained) = Shutdown::new();
    let readiness = Readiness::new(chassis.ready_timeout.0, shutdown.clone(), &metrics);
    let grace = chassis.shutdown_grace.0;
    let delay = chassis.shutdown_delay.0;
    let result = runtime.block_on(async {
        shutdown::watch_signals(shutdown.clone(), delay).context("cannot listen for signals")?;
        let exporting = exporter.map(Exporter::start);
        let background = JoinSet::new();
        let parts = Parts { chassis, readiness, shutdown: shutdown.clone(), metrics, drained, background };
        tracing::info!("starting");
        let result = tokio::select! {
            result = main(parts) => result,
            () = overdue(&shutdown, grace + DRAIN_SLACK) => Ok(()),
        };
        if let Some(exporting) = exporting {
            exporting.finish().await;
        }
        result
    });
    // Whatever still runs has had its time.
    runtime.shutdown_background();
    tracing::info!("stopped");
    result
}

/// Resolves when the service should have ended: also one that never came to serve.
async fn overdue(shutdown: &Shutdown, after: Duration) {
    shutdown.reached(Stage::Draining).await;
    tokio::time::sleep(after).await;
}
