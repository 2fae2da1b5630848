//! The containers of a run: started, asked for their health, stopped, and removed however the run ends.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    context::Context,
    outcome::StepError,
    podman::{Podman, RUN_LABEL, refused, said},
    process::{Log, ProcessError},
};

/// How often a container's health is asked for.
const POLL: Duration = Duration::from_millis(200);
/// How long a service may take to answer one request.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How many of a container's last lines are shown.
const SHOWN_LINES: &str = "20";
/// podman's own exit codes begin here; below are the health check's.
const PODMAN_FAILED: i32 = 125;
/// What podman ends with when the program of an image cannot be run, or is not in it.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Starts containers that carry the run's id; dropping it removes them.
#[derive(Debug)]
pub(super) struct Containers<'a> {
    cx: &'a Context,
    podman: &'a Podman,
    log: &'a Log,
}

/// A container that was started.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    /// The loopback port that it was told to listen on.
    pub(super) port: u16,
}

/// Whether an image could be started.
#[derive(Debug)]
pub(super) enum Started {
    Yes(Container),
    /// Its own fault, in podman's words: what it shall run is not there or cannot be run.
    No(String),
}

/// What a health check answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Healthy,
    Unhealthy,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

impl<'a> Containers<'a> {
    /// Removes what killed runs left, and is ready to start more.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn new(cx: &'a Context, podman: &'a Podman, log: &'a Log) -> Result<Self, StepError> {
        let listed = podman.answer(
            cx,
            log,
            &["ps", "--all", "--filter", &format!("label={RUN_LABEL}"), "--format", "json"],
        )?;
        let listed: Vec<Listed> = serde_json::from_str(&listed).context("cannot read podman's list")?;
        for container in listed {
            let run = container.labels.as_ref().and_then(|it| it.get(RUN_LABEL));
            if run.is_some_and(|run| !lives(run)) {
                podman.answer(cx, log, &["rm", "--force", "--volumes", "--time=0", &container.id])?;
            }
        }
        Ok(Self { cx, podman, log })
    }

    /// Starts an image as production would: no capability, nothing writable, the host's loopback as its network.
    /// The variables' values go by podman's environment, never by its arguments.
    ///
    /// # Errors
    /// When podman cannot start it.
    pub(super) fn start(
        &self,
        service: &str,
        image: &str,
        variables: &[(String, String)],
    ) -> Result<Started, StepError> {
        let port = free_port().context("no free port")?;
        let name = format!("xtask-{}-{service}", self.cx.run_id);
        let mut process =
            self.podman.process(self.cx).args(["run", "--detach", "--network=host", "--read-only"]);
        process =
            process.args(["--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"]);
        process = process.arg("--http-proxy=false");
        process = process.args([format!("--name={name}"), format!("--label={RUN_LABEL}={}", self.cx.run_id)]);
        let listen = ("LISTEN".to_owned(), format!("127.0.0.1:{port}"));
        let admin = ("ADMIN_LISTEN".to_owned(), "127.0.0.1:0".to_owned());
        for (variable, value) in variables.iter().chain([&listen, &admin]) {
            process = process.arg(format!("--env={variable}")).env(variable, value);
        }
        let started = process.arg(image).log(self.log).run()?;
        match started.code() {
            0 => Ok(Started::Yes(Container { name, port })),
            CANNOT_RUN | NOT_FOUND => Ok(Started::No(said(&started).to_owned())),
            _ => Err(refused(&format!("`{image}` cannot be started"), &started)),
        }
    }

    /// Asks until a container has this health; false when it has ended or the time is over.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn becomes(
        &self,
        container: &Container,
        wanted: Health,
        within: Duration,
    ) -> Result<bool, StepError> {
        let deadline = Instant::now() + within;
        loop {
            let asked = self.podman.process(self.cx).args(["healthcheck", "run", &container.name]).run()?;
            let health = if asked.success() { Health::Healthy } else { Health::Unhealthy };
            if asked.code() < PODMAN_FAILED && health == wanted {
                return Ok(true);
            }
            if Instant::now() >= deadline || !self.runs(container)? {
                return Ok(false);
            }
            thread::sleep(POLL);
        }
    }

    /// The status that a path answers with, asked from outside; none when nothing answers as HTTP does.
    pub(super) fn answers(&self, container: &Container, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, container.port)).ok()?;
        stream.set_read_timeout(Some(ANSWER_TIME)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Waits for a container to end by itself; its exit code, unless the time is over.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn ends(&self, container: &Container, within: Duration) -> Result<Option<i32>, StepError> {
        let wait = self.podman.process(self.cx).args(["wait", &container.name]).timeout(within);
        match wait.log(self.log).run() {
            Ok(waited) => Ok(waited.stdout.trim().parse().ok()),
            Err(ProcessError::TimedOut { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends TERM and returns the exit code; none when it had to be killed.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn terminate(
        &self,
        container: &Container,
        within: Duration,
    ) -> Result<Option<i32>, StepError> {
        // One that has ended already cannot be signalled; its exit code tells.
        self.podman.process(self.cx).args(["kill", "--signal=TERM", &container.name]).log(self.log).run()?;
        self.ends(container, within)
    }

    /// What a container last wrote.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn last_words(&self, container: &Container) -> Result<String, StepError> {
        let logs = self.podman.process(self.cx).args(["logs", "--tail", SHOWN_LINES, &container.name]);
        let read = logs.log(self.log).run()?;
        Ok(format!("{}{}", read.stdout, read.stderr).trim().to_owned())
    }

    fn runs(&self, container: &Container) -> Result<bool, StepError> {
        let asked = ["inspect", "--format", "{{.State.Running}}", &container.name];
        Ok(self.podman.process(self.cx).args(asked).run()?.stdout.trim() == "true")
    }
}

impl Drop for Containers<'_> {
    /// Not through `run`, which refuses to start anything once the run is interrupted.
    fn drop(&mut self) {
        let filter = format!("label={RUN_LABEL}={}", self.cx.run_id);
        let list = self.podman.process(self.cx).args(["ps", "--all", "--quiet", "--filter", &filter]);
        let Ok(child) = list.spawn(Stdio::null(), Stdio::piped(), Stdio::null()) else { return };
        let Ok(listed) = child.wait_with_output() else { return };
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        if listed.trim().is_empty() {
            return;
        }
        let remove = self.podman.process(self.cx).args(["rm", "--force", "--volumes", "--time=0"]);
        let remove = remove.args(listed.split_whitespace());
        if let Ok(mut child) = remove.spawn(Stdio::null(), Stdio::null(), Stdio::null()) {
            child.wait().ok();
        }
    }
}

/// Whether the process that a run's id names (`MILLISECONDS-PROCESS`) is still a run.
fn lives(run: &str) -> bool {
    let Some((_, process)) = run.rsplit_once('-') else { return false };
    let folder = Path::new("/proc").join(process);
    match std::fs::read_link(folder.join("exe")) {
        Ok(program) => program.file_name().is_some_and(|it| it.to_string_lossy().starts_with("xtask")),
        // Somebody else's process cannot be looked into; it may be a run.
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lives_as_long_as_its_process_and_no_other_with_its_number_counts() {
        // The tests' own binary is called after the crate, as the tool is.
        assert!(lives(&format!("1-{}", std::process::id())));
        assert!(!lives("1-1") || std::fs::read_link("/proc/1/exe").is_err());
        assert!(!lives("1-999999999"));
    }
}
