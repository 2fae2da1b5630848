//! `scratch-postgres`: serves a scratch Postgres until its standard input closes or it is told to end.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this module is the one that talks on the terminal"
)]

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    thread,
};

use clap::{Parser, Subcommand};
use scratch_postgres::{Announcement, EngineSource, Error, HeldContainer, Lasting, Options, Server};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// No provider works on this host.
const ENVIRONMENT: u8 = 3;
/// Told to end before there was a server.
const INTERRUPTED: i32 = 130;

/// Starts a throw-away Postgres, prints one line of JSON that says where it is, and serves until standard input closes
/// or TERM or INT arrives. Then it stops the server and removes everything.
///
/// Settings: XTASK_POSTGRES (url, local or container), XTASK_POSTGRES_URL, XTASK_POSTGRES_MAJOR (15),
/// XTASK_POSTGRES_IMAGE, XTASK_POSTGRES_DIR, XTASK_RUN_ID. Exit: 0 served, 2 wrong usage, 3 no provider works,
/// 130 told to end before there was a server.
#[derive(Parser)]
#[command(name = "scratch-postgres", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Starts a server that stays, in the first of the folders that has one or serves, and says where it is.
    Keep {
        /// Only one that is there already; where none is, the address is `null`.
        #[arg(long)]
        existing: bool,
        #[arg(required = true)]
        folders: Vec<PathBuf>,
    },
    /// Ends the servers of these folders, removes their data, and says which had some.
    Drop {
        #[arg(required = true)]
        folders: Vec<PathBuf>,
    },
    /// Holds a container for another process of this package.
    #[command(hide = true)]
    HoldContainer {
        /// The private directory to make.
        directory: PathBuf,
        /// Starts the engine at the address that `DOCKER_HOST` names.
        #[arg(long)]
        start_engine: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        None => serve(),
        Some(Task::Keep { existing: true, folders }) => existing(&folders),
        Some(Task::Keep { existing: false, folders }) => keep(&folders),
        Some(Task::Drop { folders }) => remove(&folders),
        Some(Task::HoldContainer { directory, start_engine }) => {
            hold(&directory, if start_engine { EngineSource::Own } else { EngineSource::Given })
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("scratch-postgres: {error}");
            ExitCode::from(match error {
                Error::Usage(_) => USAGE,
                Error::Environment(_) | Error::Database { .. } | Error::Gone(_) => ENVIRONMENT,
            })
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve() -> Result<ExitCode, Error> {
    let options = Options::from_env()?;
    let mut end = End::watch()?;
    // By reference: `select!` drops what it is given before it answers, and that would wait for a half-made server.
    let mut start = pin!(Server::start(&options));
    let server = tokio::select! {
        server = &mut start => server?,
        // Ends the threads that are at work, and with them what they started; the guardians remove the rest.
        () = end.wait() => std::process::exit(INTERRUPTED),
    };
    for lack in server.passed_over() {
        eprintln!("scratch-postgres: passed over {lack}");
    }
    println!(
        "{}",
        serde_json::json!({
            "provider": server.provider().name(),
            "admin_url": server.admin_url(),
            "version_num": server.version_num(),
        })
    );
    end.wait().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

fn keep(folders: &[PathBuf]) -> Result<ExitCode, Error> {
    let server = Lasting::start(&Options::from_env()?, folders);
    kept(Some(server.map_err(|lack| Error::Environment(vec![lack]))?))
}

fn existing(folders: &[PathBuf]) -> Result<ExitCode, Error> {
    let server = Lasting::existing(&Options::from_env()?, folders);
    kept(server.map_err(|lack| Error::Environment(vec![lack]))?)
}

fn kept(server: Option<Lasting>) -> Result<ExitCode, Error> {
    println!(
        "{}",
        serde_json::json!({
            "admin_url": server.as_ref().map(Lasting::admin_url),
            "folder": server.as_ref().map(|it| &it.folder),
            "started": server.as_ref().is_some_and(|it| it.started),
        })
    );
    Ok(ExitCode::SUCCESS)
}

fn remove(folders: &[PathBuf]) -> Result<ExitCode, Error> {
    let removed = Lasting::remove(folders).map_err(|lack| Error::Environment(vec![lack]))?;
    println!("{}", serde_json::json!(removed));
    Ok(ExitCode::SUCCESS)
}

/// Its input closing is the one end that counts: signals are its parent's business.
#[tokio::main(flavor = "current_thread")]
async fn hold(directory: &Path, source: EngineSource) -> Result<ExitCode, Error> {
    let options = Options::from_env()?;
    let mut end = End::watch()?;
    let held = HeldContainer::start(&options, directory, source).await;
    let announcement = match &held {
        Ok(held) => Announcement::Socket(held.socket()),
        Err(lack) => {
            Announcement::Lack { reason: lack.reason.clone(), fix: lack.fix.clone(), log: lack.log.clone() }
        }
    };
    println!("{}", serde_json::json!(announcement));
    if let Ok(held) = held {
        end.wait_for_input().await;
        held.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whatever means that the server is no longer wanted.
struct End {
    signals: [Signal; 3],
    input: oneshot::Receiver<()>,
}

impl End {
    fn watch() -> Result<Self, Error> {
        let signal =
            |kind| signal(kind).map_err(|e| Error::Usage(format!("cannot wait for signals: {e}; try again")));
        let signals = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ];
        let (closed, input) = oneshot::channel();
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while io::stdin().read(&mut buffer).is_ok_and(|n| n > 0) {}
            drop(closed);
        });
        Ok(Self { signals, input })
    }

    async fn wait_for_input(&mut self) {
        // Its sender only ever goes away.
        (&mut self.input).await.unwrap_or_default();
    }

    async fn wait(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = &mut self.input => {}
        }
    }
}
