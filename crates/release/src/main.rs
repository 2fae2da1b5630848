//! `release`: results go to stdout as JSON, talk goes to stderr, the exit code says whose turn it is.
#![expect(clippy::print_stderr, reason = "a program that talks on the terminal")]

mod cli;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser as _;
use release::{
    Error, Logins, Registry,
    publish::{Order, Publishing, Refusal},
    registry,
};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Access, Arguments, Command, Part};

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
        Command::Publish { part, order, access } => publish(part, &order, &access).await,
    }
}

/// Does one part of publishing; a refusal is told on stdout, too, with its code and its fix.
async fn publish(part: Part, order: &Path, access: &Access) -> Result<(), Error> {
    let published = async {
        let order = Order::read(order)?;
        let (logins, registry) = client_of(&order.registry, access)?;
        let say: &(dyn Fn(&str) + Sync) = &|text| eprintln!("{text}");
        let publishing = Publishing { registry: &registry, logins: &logins, order: &order, say };
        match part {
            Part::Look => show(&publishing.look().await?)?,
            Part::Push => show(&publishing.push().await?)?,
            Part::Verify => show(&publishing.verify().await?)?,
            Part::Publish => show(&publishing.tag().await?)?,
        }
        Ok(())
    };
    let refused: Result<(), Refusal> = published.await;
    let Err(refusal) = refused else { return Ok(()) };
    show(&serde_json::json!({ "refusals": [&refusal] }))?;
    Err(Error::Refused(refusal))
}

/// A client that asks `registry` with the credentials that the command and the environment name.
fn client(registry: &str, access: &Access) -> Result<Registry, Error> {
    Ok(client_of(registry, access)?.1)
}

/// The same, with the credentials that it asks with.
fn client_of(registry: &str, access: &Access) -> Result<(Logins, Registry), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let logins = Logins::find(registry, &access.sources(), &variable, &mut io::stdin().lock())?;
    let insecure = access.insecure_registry.iter().cloned().collect();
    let options = registry::Options { logins: logins.clone(), insecure, ..registry::Options::default() };
    Ok((logins, Registry::new(options)?))
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
