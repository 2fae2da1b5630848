//! `release`: results go to stdout as JSON, talk goes to stderr, the exit code says whose turn it is.
#![expect(clippy::print_stderr, reason = "a program that talks on the terminal")]

mod cli;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use release::{Error, Logins, Registry, registry};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Access, Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(unless_interrupted(run(arguments.command)));
            // A read of standard input that nobody waits for any more must not keep the program.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Error::Usage(format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Resolve { image, access } => {
            let Some(at) = image.at() else {
                return Err(Error::Usage(format!("`{image}` needs a tag or a digest: write `{image}:TAG`")));
            };
            let client = client(image.repository.registry(), &access)?;
            show(&client.resolve(&image.repository, &at).await?)
        }
    }
}

/// A client that asks `registry` with the credentials that the command and the environment name.
fn client(registry: &str, access: &Access) -> Result<Registry, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let logins = Logins::find(registry, &access.sources(), &variable, &mut io::stdin().lock())?;
    let insecure = access.insecure_registry.iter().cloned().collect();
    Ok(Registry::new(registry::Options { logins, insecure, ..registry::Options::default() })?)
}

/// Writes a result.
fn show(result: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(result).unwrap_or_default();
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| Error::File { doing: "write", path: "/dev/stdout".into(), error })
}

/// Ctrl-C and TERM end the work where it stands; every command can be given again.
async fn unless_interrupted(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| Error::File { doing: "listen for", path: "signals".into(), error })
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        outcome = work => outcome,
        _ = terminate.recv() => Err(Error::Interrupted),
        _ = interrupt.recv() => Err(Error::Interrupted),
    }
}
