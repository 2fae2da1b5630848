//! What podman has of a stack, and how a container is started, waited for and taken away.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::containers::{FOLDER_LABEL, Limits, MARK_LABEL, ORDER_LABEL, SERVICE_LABEL, STACK_LABEL, Wanted};
use crate::{
    context::Context,
    outcome::StepError,
    podman::{Podman, refused},
    process::{Finished, Log},
};

/// How often a container is asked how it is.
const POLL: Duration = Duration::from_millis(250);
/// How long a container that ended may take to be started again by its own policy.
const RESTART_TIME: Duration = Duration::from_secs(3);
/// How long one without a health check must run to count as started.
const SETTLED: Duration = Duration::from_secs(1);
/// Seconds between TERM and KILL: what services promise, and some more.
const STOP_SECONDS: &str = "15";
/// podman's own exit codes begin here; below are the health check's.
const PODMAN_FAILED: i32 = 125;
/// What runtimes say when a host does not let them limit anything.
const NO_LIMITS: &[&str] =
    &["cgroup", "resource limit", "pids limit", "memory limit", "memory.limit", "cpu.cfs"];

/// podman, with what every question needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Engine<'a> {
    pub(super) cx: &'a Context,
    pub(super) podman: &'a Podman,
    pub(super) log: &'a Log,
}

/// A container of this checkout's stack.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) service: String,
    pub(super) mark: String,
    pub(super) order: usize,
    pub(super) running: bool,
    pub(super) exit_code: i32,
}

/// What podman has of the names of a stack.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// The checkout's own containers.
    pub(super) ours: Vec<Held>,
    /// Everybody's, by name, each with the folder of the stack that it says it is of.
    everybody: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    names: Vec<String>,
    state: String,
    #[serde(default)]
    exit_code: i32,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// What a container does when it does what it shall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Runs, and says that it is healthy where it has a health check.
    Ready,
    /// Ends by itself with exit code 0.
    Done,
}

/// How waiting for a container ended.
#[derive(Debug)]
pub(super) enum Reached {
    Yes,
    /// What became of it instead, and the exit code where it ended.
    No {
        how: String,
        code: Option<i32>,
    },
}

/// A container as podman describes it.
#[derive(Debug, Deserialize)]
struct Inspected {
    state: State,
    #[serde(default)]
    check: Option<Value>,
}

/// What podman says of a container's state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    exit_code: i32,
    status: String,
    #[serde(default, alias = "Healthcheck")]
    health: Option<Value>,
}

impl Engine<'_> {
    /// Every container of this checkout's stack.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn held(&self) -> Result<Vec<Held>, StepError> {
        Ok(self.inventory()?.ours)
    }

    /// The containers of this checkout's stack, and who else has which name.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn inventory(&self) -> Result<Inventory, StepError> {
        let list = self.ask(&["ps", "--all", "--format", "json"])?;
        let listed: Vec<Listed> = serde_json::from_str(&list).context("cannot read podman's list")?;
        let root = self.cx.root.display().to_string();
        let mut inventory = Inventory::default();
        for container in listed {
            let owner = container.owner();
            for name in &container.names {
                inventory.everybody.insert(name.clone(), owner.clone());
            }
            if container.label(STACK_LABEL) == Some(root.as_str()) {
                inventory.ours.push(container.into());
            }
        }
        Ok(inventory)
    }

    /// Frees the name of a container: of this stack's own, also where another tool for compose files made it.
    ///
    /// # Errors
    /// When it is somebody else's, or podman refuses.
    pub(super) fn vacate(&self, container: &str, inventory: &Inventory) -> Result<(), StepError> {
        let Some(owner) = inventory.everybody.get(container) else { return Ok(()) };
        if owner.as_deref() == Some(self.cx.root.display().to_string().as_str()) {
            return self.remove(container);
        }
        let whose = owner.as_ref().map_or("no stack at all".into(), |it| format!("the stack of `{it}`"));
        Err(StepError::environment(
            format!("there is a container `{container}` already, and it is of {whose}"),
            format!("podman rm --force {container}"),
        ))
    }

    /// Makes a container and starts it; without its limits where this host cannot hold them, and the reason.
    ///
    /// # Errors
    /// When podman cannot make or start it.
    pub(super) fn start(
        &self,
        wanted: &Wanted,
        image: &str,
        mark: &str,
    ) -> Result<Option<String>, StepError> {
        let failed = match self.attempt(wanted, image, mark, Limits::Kept)? {
            None => return Ok(None),
            Some(failed) => failed,
        };
        let words = failed.stderr.to_lowercase();
        if wanted.has_limits() && NO_LIMITS.iter().any(|it| words.contains(it)) {
            self.remove(&wanted.name)?;
            if self.attempt(wanted, image, mark, Limits::Dropped)?.is_none() {
                return Ok(Some(crate::podman::said(&failed).to_owned()));
            }
        }
        Err(refused(&format!("`{}` cannot be started", wanted.name), &failed))
    }

    /// Nothing where it started, else what podman said.
    fn attempt(
        &self,
        wanted: &Wanted,
        image: &str,
        mark: &str,
        limits: Limits,
    ) -> Result<Option<Finished>, StepError> {
        let mut create = self.podman.process(self.cx).args(wanted.create(image, mark, limits));
        for (name, value) in &wanted.environment {
            create = create.env(name, value);
        }
        let created = create.log(self.log).run()?;
        if !created.success() {
            return Ok(Some(created));
        }
        let started = self.podman.process(self.cx).args(["start", &wanted.name]).log(self.log).run()?;
        Ok((!started.success()).then_some(started))
    }

    /// Waits until a container does what it shall.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn wait(
        &self,
        container: &str,
        expected: Expected,
        within: Duration,
    ) -> Result<Reached, StepError> {
        let began = Instant::now();
        let mut ended: Option<Instant> = None;
        loop {
            let Inspected { state, check } = self.inspected(container)?;
            let checked = check.is_some_and(|it| it["Test"][0].as_str().is_some_and(|it| it != "NONE"));
            if !state.running && state.status != "stopping" {
                let since = *ended.get_or_insert_with(Instant::now);
                if expected == Expected::Done && state.exit_code == 0 && state.status == "exited" {
                    return Ok(Reached::Yes);
                }
                // Its own policy may start it again.
                if since.elapsed() >= RESTART_TIME {
                    let how = format!("ended with exit code {}", state.exit_code);
                    return Ok(Reached::No { how, code: Some(state.exit_code) });
                }
            } else {
                ended = None;
                let ready = match (expected, checked) {
                    (Expected::Done, _) => false,
                    (Expected::Ready, true) => self.is_healthy(container)?,
                    (Expected::Ready, false) => began.elapsed() >= SETTLED,
                };
                if ready {
                    return Ok(Reached::Yes);
                }
            }
            if began.elapsed() >= within {
                return Ok(Reached::No { how: late(expected, within, &state), code: None });
            }
            thread::sleep(POLL);
        }
    }

    /// Whether a container says that it is healthy, asked now: where no systemd runs its timers, nobody else asks.
    ///
    /// # Errors
    /// When podman cannot be asked.
    fn is_healthy(&self, container: &str) -> Result<bool, StepError> {
        let asked = self.podman.process(self.cx).args(["healthcheck", "run", container]).run()?;
        Ok(asked.success() && asked.code() < PODMAN_FAILED)
    }

    fn inspected(&self, container: &str) -> Result<Inspected, StepError> {
        let both = "{\"state\":{{json .State}},\"check\":{{json .Config.Healthcheck}}}";
        let said = self.quietly(&["container", "inspect", "--format", both, container])?;
        Ok(serde_json::from_str(&said).context("cannot read what podman says of a container")?)
    }

    /// All that a container wrote; it goes into the log too.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn words(&self, container: &str) -> Result<String, StepError> {
        let read = self.podman.process(self.cx).args(["logs", container]).log(self.log).run()?;
        Ok(format!("{}{}", read.stdout, read.stderr))
    }

    /// Stops a container and takes it away; one that is not there is no error.
    ///
    /// # Errors
    /// When podman refuses.
    pub(super) fn remove(&self, container: &str) -> Result<(), StepError> {
        let stop = format!("--time={STOP_SECONDS}");
        self.podman.process(self.cx).args(["stop", "--ignore", &stop, container]).log(self.log).run()?;
        self.ask(&["rm", "--force", "--ignore", "--volumes", container]).map(drop)
    }

    /// Asks podman, and keeps question and answer in the log.
    ///
    /// # Errors
    /// When it ends with an error, in its own words.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String, StepError> {
        self.podman.answer(self.cx, self.log, arguments)
    }

    /// The same for what is asked again and again.
    fn quietly(&self, arguments: &[&str]) -> Result<String, StepError> {
        let asked = self.podman.process(self.cx).args(arguments).run()?;
        if asked.success() {
            return Ok(asked.stdout.trim().to_owned());
        }
        Err(refused("podman cannot be asked about a container", &asked))
    }
}

/// What became of a container that is late, in its health check's own words where it has some.
fn late(expected: Expected, within: Duration, state: &State) -> String {
    let seconds = within.as_secs();
    let last = state.health.as_ref().and_then(|it| it["Log"].as_array()?.last()?["Output"].as_str());
    match (expected, last.map(str::trim).filter(|it| !it.is_empty())) {
        (Expected::Done, _) => format!("did not come to its end within {seconds} s"),
        (Expected::Ready, None) => format!("did not get ready within {seconds} s"),
        (Expected::Ready, Some(said)) => {
            format!("did not get ready within {seconds} s; its health check says: {said}")
        }
    }
}

impl Listed {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The folder of the stack that it is of, by whichever tool.
    fn owner(&self) -> Option<String> {
        [STACK_LABEL, FOLDER_LABEL].iter().find_map(|it| self.label(it)).map(Into::into)
    }
}

impl From<Listed> for Held {
    fn from(listed: Listed) -> Self {
        let label = |name: &str| listed.label(name).unwrap_or_default().to_owned();
        Self {
            service: label(SERVICE_LABEL),
            mark: label(MARK_LABEL),
            order: label(ORDER_LABEL).parse().unwrap_or_default(),
            name: listed.names.into_iter().next().unwrap_or_default(),
            running: listed.state == "running",
            exit_code: listed.exit_code,
        }
    }
}
