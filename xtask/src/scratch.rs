//! The run's scratch Postgres: a child that serves until its standard input closes, so a killed run leaves none.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    context::Context,
    images, interrupt,
    outcome::StepError,
    podman,
    process::{Log, Process, ProcessError},
};

/// How long the server's process has to take everything away once its input closed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A server of this run's own. Dropping it stops it and removes its data.
#[derive(Debug)]
pub(crate) struct Scratch {
    child: Child,
    _group: interrupt::Group,
    /// Superuser, database `postgres`; never shown.
    pub(crate) admin_url: String,
}

#[derive(Deserialize)]
struct Announcement {
    admin_url: String,
}

impl Scratch {
    /// Starts a server through the first provider that works.
    ///
    /// # Errors
    /// When no provider works (each one's reason is told), or the run is interrupted.
    pub(crate) fn start(cx: &Context, log: &Log) -> Result<Self, StepError> {
        let program = cx.gate_binary("scratch-postgres", log)?;
        let process = with_engine(cx, cx.process(&program));
        let mut child = process.spawn(Stdio::piped(), Stdio::piped(), Stdio::piped())?;
        let group = interrupt::Group::register(&child);
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("cannot read from `scratch-postgres`")?;
        }
        if let Ok(announcement) = serde_json::from_str::<Announcement>(&line) {
            return Ok(Self { child, _group: group, admin_url: announcement.admin_url });
        }
        let mut reasons = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut reasons).context("cannot read from `scratch-postgres`")?;
        }
        child.wait().context("cannot wait for `scratch-postgres`")?;
        if interrupt::requested() {
            return Err(ProcessError::Interrupted.into());
        }
        Err(StepError::environment(format!("no Postgres: {}", reasons.trim()), "cargo xtask ci --setup"))
    }

    /// An address on this server for another database and role.
    pub(crate) fn url(&self, database: &str, role: Option<&str>) -> String {
        rewritten(&self.admin_url, database, role)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP_GRACE;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self._group.kill();
        drop(self.child.wait());
    }
}

/// What a child needs that may start a server in a container: the image that is here, and the engine's settings.
pub(crate) fn with_engine(cx: &Context, mut process: Process) -> Process {
    if let Some(image) = images::base_in_store(cx, "postgres") {
        process = process.env("XTASK_POSTGRES_IMAGE", image);
    }
    let settings = cx.target().join(podman::SETTINGS_FILE);
    if settings.is_file() && std::env::var_os("CONTAINERS_CONF").is_none() {
        process = process.env("CONTAINERS_CONF", settings);
    }
    process
}

/// The same server with another database and, where given, another role (whose password, if any, does not apply).
pub(crate) fn rewritten(url: &str, database: &str, role: Option<&str>) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let authority = rest.split('/').next().unwrap_or(rest);
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let user = role.unwrap_or(user);
    let query = query.map(|it| format!("?{it}")).unwrap_or_default();
    format!("{scheme}://{user}@{host}/{database}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_and_role_keep_the_rest_of_the_address() {
        let socket = "postgres://postgres@localhost/postgres?host=%2Ftmp%2Fpg";
        assert_eq!(
            rewritten(socket, "slipway", Some("app")),
            "postgres://app@localhost/slipway?host=%2Ftmp%2Fpg"
        );
        assert_eq!(
            rewritten("postgres://admin:s3cret@db:5433/x", "slipway", None),
            "postgres://admin:s3cret@db:5433/slipway"
        );
    }
}
