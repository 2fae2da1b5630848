//! The container provider: testcontainers on podman's Docker-compatible socket.
//!
//! testcontainers takes the engine's address from the environment of its process, and a container is no child of who
//! started it. So a process of its own, this package's program, holds the container: it gets the address in its
//! environment, and removes the container when its input closes, by whatever death of the one at the other end.

mod engine;
mod held;

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde::{Deserialize, Serialize};

pub use crate::container::held::{EngineSource, HeldContainer};
use crate::{
    address::Address,
    error::Lack,
    holder::{Holder, Task},
    local::directory,
    options::{Options, Provider},
};

const PROGRAM: &str = "scratch-postgres";

/// What the holding process says on its one line of output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Announcement {
    /// The directory of the server's socket.
    Socket(PathBuf),
    /// Why there is no server.
    Lack {
        /// What is the matter.
        reason: String,
        /// What helps.
        fix: String,
        /// The end of the server's log.
        log: Vec<String>,
    },
}

/// Starts a server in a container, held by a process of its own.
pub(crate) async fn start(options: &Options) -> Result<(Holder, Address), Lack> {
    let options = options.clone();
    Holder::start(Provider::Container, move |task| hold(&options, task)).await
}

fn hold(options: &Options, task: Task) {
    match launch(options) {
        Ok((process, socket)) => {
            task.serve(Address::of_socket(&socket, None), |_| {
                Err(lack(
                    "a server in a container is not ended and started again",
                    "set `XTASK_POSTGRES=local`",
                ))
            });
            end(process);
        }
        Err(lack) => task.fail(lack),
    }
}

fn launch(options: &Options) -> Result<(Child, PathBuf), Lack> {
    let program = program(options)?;
    let directory = directory::choose(&options.directories, None)?;
    let listening = engine::listening(options);
    let host = listening.clone().unwrap_or_else(|| engine::address_in(&directory));
    let mut command = Command::new(&program);
    command.arg("hold-container").arg(&directory).env("DOCKER_HOST", host);
    if listening.is_none() {
        command.arg("--start-engine");
    }
    let io = |e: std::io::Error| lack(format!("cannot run `{}`: {e}", program.display()), "try again");
    let mut process = command
        .env("XTASK_RUN_ID", &options.run_id)
        .env("XTASK_POSTGRES_MAJOR", options.major.to_string())
        .env("XTASK_POSTGRES_IMAGE", image(options)?)
        // Would keep the container.
        .env_remove("TESTCONTAINERS_COMMAND")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(io)?;
    let mut line = String::new();
    if let Some(stdout) = process.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(io)?;
    }
    match serde_json::from_str(&line) {
        Ok(Announcement::Socket(socket)) => Ok((process, socket)),
        Ok(Announcement::Lack { reason, fix, log }) => {
            end(process);
            Err(Lack { log, ..lack(reason, fix) })
        }
        Err(_) => {
            end(process);
            Err(lack("the process that holds the container ended early", "run `podman ps -a`, and try again"))
        }
    }
}

fn end(mut process: Child) {
    drop(process.stdin.take());
    drop(process.wait());
}

/// This package's program: the running one, else beside it (tests run in a folder below).
fn program(options: &Options) -> Result<PathBuf, Lack> {
    if let Some(given) = &options.program {
        return Ok(given.clone());
    }
    let running = std::env::current_exe().unwrap_or_default();
    let beside = running.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM));
    beside.into_iter().find(|it| it.is_file()).ok_or_else(|| {
        lack(
            format!("the program `{PROGRAM}`, which holds containers, is not built"),
            format!("run `cargo build -p {PROGRAM}`"),
        )
    })
}

fn image(options: &Options) -> Result<&str, Lack> {
    options.image().ok_or_else(|| {
        lack(
            format!("no image is known for PostgreSQL {}", options.major),
            "name one with an exact tag in `XTASK_POSTGRES_IMAGE`",
        )
    })
}

/// A reason of this provider's.
fn lack(reason: impl Into<String>, fix: impl Into<String>) -> Lack {
    Lack::new(Provider::Container, reason, fix)
}

/// Where the program is, for a search that must not depend on the caller's folder.
fn on_path(search_path: &[PathBuf], name: &str) -> Option<PathBuf> {
    let known = ["/usr/bin", "/usr/sbin", "/sbin"].map(Path::new);
    let folders = search_path.iter().map(PathBuf::as_path).chain(known);
    folders.map(|folder| folder.join(name)).find(|it| it.is_file())
}
