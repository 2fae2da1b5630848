//! Applies migrations as the deployer, or says what it would apply.

mod apply;
mod cli;
mod database;
mod failure;
mod look;
mod plan;
mod settings;
mod source;

use std::process::ExitCode;

use service::settings::Reader;
use service::telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use cli::{Cli, Command};
use failure::Failure;
use settings::Settings;
use source::Source;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::read();
    let outcome = tokio::select! {
        outcome = run(&cli) => outcome,
        outcome = interrupted() => outcome,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Failure> {
    let settings = Settings::from_environment(Reader::from_process(&[]))?;
    let source = match &cli.migrations {
        Some(folder) => Source::folder(folder).await?,
        None => Source::built_in()?,
    };
    match cli.command {
        Some(Command::Status) => look::status(&source, &settings).await,
        None if cli.dry_run => look::dry_run(&source, &settings).await,
        None => {
            telemetry::init(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), &settings.log);
            let applied = apply::apply(&source, &settings).await?;
            info!(applied, "the schema is up to date");
            Ok(())
        }
    }
}

/// TERM or Ctrl-C. A process that is a container's first one would not end by them of itself.
async fn interrupted() -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::Usage(format!("cannot listen for signals: {error}")));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err(Failure::Interrupted)
}

/// Says once why the run failed: in the log where there is one, else plainly.
#[expect(
    clippy::print_stderr,
    reason = "before the log is set up, and for those who look, standard error is all there is"
)]
fn report(failure: &Failure) {
    if tracing::enabled!(tracing::Level::ERROR) {
        error!(exit_code = failure.exit_code(), "{failure}");
    } else {
        eprintln!("error: {failure}");
    }
}
