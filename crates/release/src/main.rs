//! `release`: results go to stdout as JSON, talk goes to stderr, the exit code says whose turn it is.
#![expect(clippy::print_stderr, reason = "a program that talks on the terminal")]

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;
use release::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(unless_interrupted(arguments.command));
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

/// Ctrl-C and TERM end the work where it stands; every command can be given again.
async fn unless_interrupted(command: Command) -> Result<(), Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| Error::File { doing: "listen for", path: "signals".into(), error })
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    // In a task of its own: a command that waits for standard input keeps nobody from hearing a signal.
    let work = tokio::spawn(commands::run(command));
    tokio::select! {
        outcome = work => outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
        _ = terminate.recv() => Err(Error::Interrupted),
        _ = interrupt.recv() => Err(Error::Interrupted),
    }
}

/// Talk for whoever runs the program.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
