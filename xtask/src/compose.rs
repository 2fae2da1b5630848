//! `up` and `down`: the stack of a compose file, started service by service and gated on what each says of itself.
//!
//! The file is the only truth; podman makes the containers. No service's name is known here.

mod bridge;
mod containers;
mod down;
mod file;
mod ground;
mod ports;
mod running;
mod service;
mod variables;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::bail;

use self::{containers::STACK_LABEL, file::File, ports::Published, running::Engine, variables::Variables};
pub(crate) use self::{
    down::{Volumes, down},
    file::NoReader,
};
use crate::{
    context::Context,
    images::Wish,
    outcome::{Outcome, StepResult},
    podman::Podman,
    process::Log,
    steps::{Lane, Step},
    verdict::inputs::Inputs,
};

/// What the command is called in reports.
pub(crate) const COMMAND: &str = "up";
/// What was typed, from the command's name on: nothing less starts the same stack again.
static TYPED: OnceLock<String> = OnceLock::new();
/// The steps before the services' own; a service cannot have these names.
const GROUND: &str = "stack";
const IMAGES: &str = "images";

/// What to type, behind `cargo xtask`, to start this process's stack again.
pub(crate) fn typed() -> &'static str {
    TYPED.get().map_or(COMMAND, String::as_str)
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// The command and its arguments as they were typed.
    pub(crate) typed: String,
    /// Compose files, relative to the workspace's root, each on top of those before it.
    pub(crate) files: Vec<PathBuf>,
    /// Only these and what they depend on; all without any.
    pub(crate) services: Vec<String>,
    /// How many containers, by service.
    pub(crate) scale: BTreeMap<String, u32>,
    /// How long a service may take to get ready.
    pub(crate) patience: Duration,
    pub(crate) images: Wish,
}

/// The file's services, in the order in which they start, under the checkout's name.
#[derive(Debug)]
struct Stack {
    project: String,
    file: File,
    order: Vec<String>,
}

/// An image that a service is started from.
#[derive(Debug, Clone, Default)]
struct Image {
    reference: String,
    id: String,
}

/// A run of `up`.
#[derive(Debug)]
pub(crate) struct Up {
    stack: Stack,
    options: Options,
    /// What to tell before anything starts.
    pub(crate) warnings: Vec<String>,
    variables: Mutex<Variables>,
    images: Mutex<BTreeMap<String, Image>>,
    /// Services that this run started or changed.
    changed: Mutex<BTreeSet<String>>,
    /// The first step that did not get there.
    failed: Mutex<Option<String>>,
}

impl Up {
    /// Reads the files and checks them against what was asked for.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn read(cx: &Context, options: Options) -> anyhow::Result<Self> {
        TYPED.get_or_init(|| options.typed.clone());
        let mut variables = Variables::ambient();
        let paths: Vec<PathBuf> = options.files.iter().map(|it| cx.root.join(it)).collect();
        if let Some(absent) = paths.iter().find(|it| !it.is_file()) {
            bail!("there is no `{}` in this workspace", cx.shown(absent));
        }
        for path in &options.files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let env = environment_file(&name);
            variables.read(&cx.root.join(&env), &env)?;
            variables.may_lack(&cx.root.join(format!("{env}.example")));
        }
        let file = File::read(cx, &paths, &mut variables)?;
        let order = selected(&file, &options.services)?;
        let project = file.name.clone().unwrap_or_else(|| project(cx));
        let warnings = variables.warnings();
        let up = Self {
            stack: Stack { project, file, order },
            options,
            warnings,
            variables: Mutex::new(variables),
            images: Mutex::default(),
            changed: Mutex::default(),
            failed: Mutex::default(),
        };
        up.check()?;
        Ok(up)
    }

    /// A step for what all need, one for the images, and one for each service.
    ///
    /// They live as long as the process, which starts one stack.
    pub(crate) fn steps(&self) -> Vec<&'static Step> {
        let names = [GROUND, IMAGES].map(str::to_owned).into_iter().chain(self.stack.order.iter().cloned());
        names.map(step).collect()
    }

    /// Runs one of the steps, unless one before it failed.
    pub(crate) fn run(&self, step: &Step, cx: &Context, log: &Log) -> StepResult {
        if let Some(first) = lock(&self.failed).as_ref() {
            return Ok(Outcome::Skipped(format!("not started: `{first}` did not get there")));
        }
        let result = Podman::find(cx, log).and_then(|podman| {
            let engine = Engine { cx, podman: &podman, log };
            match step.name {
                GROUND => self.lay_ground(engine),
                IMAGES => self.see_to_images(engine),
                service => self.start(engine, service),
            }
        });
        if result.as_ref().map_or(true, Outcome::is_red) {
            *lock(&self.failed) = Some(step.name.to_owned());
        }
        result
    }

    /// What to say once all are ready: where they are reached, and what the file says besides.
    pub(crate) fn ready(&self) -> Vec<String> {
        let width = self.stack.order.iter().map(String::len).max().unwrap_or_default();
        let mut lines = Vec::new();
        for name in &self.stack.order {
            let urls = Published::of(&self.stack.file.services[name]).into_iter().filter_map(Published::url);
            lines.extend(urls.map(|url| format!("{name:width$}  {url}")));
        }
        for line in &self.stack.file.own.ready {
            let named = self.stack.order.iter().fold(line.clone(), |line, name| {
                line.replace(&format!("{{{name}}}"), &self.stack.container(name, 1))
            });
            lines.push(named);
        }
        lines
    }

    /// What an interrupted or failed run has left, and what to do about it.
    pub(crate) fn left(&self, cx: &Context) -> Vec<String> {
        let filter = format!("label={STACK_LABEL}={}", cx.root.display());
        let asked = cx.process("podman").args(["ps", "--filter", &filter, "--format", "{{.Names}}"]);
        let mut running: Vec<String> = asked
            .answer()
            .unwrap_or_default()
            .lines()
            .map(Into::into)
            .filter(|it: &String| !it.is_empty())
            .collect();
        running.sort();
        if running.is_empty() {
            return vec!["nothing of the stack runs".into()];
        }
        vec![
            format!("still running: {}", running.join(", ")),
            format!("`cargo xtask {}` goes on from here, `cargo xtask down` removes it", typed()),
        ]
    }

    fn check(&self) -> anyhow::Result<()> {
        if let Some(name) =
            [GROUND, IMAGES].into_iter().find(|it| self.stack.order.iter().any(|name| name == it))
        {
            bail!("a service cannot be called `{name}`: `up` has a step of that name");
        }
        for (name, count) in &self.options.scale {
            let Some(service) = self.stack.file.services.get(name) else {
                bail!("`--scale {name}={count}`: there is no service `{name}`");
            };
            let fixed = Published::of(service).into_iter().any(|it| it.port.is_some());
            if fixed && *count > 1 {
                bail!(
                    "`--scale {name}={count}`: `{name}` publishes a port of this machine, which only one can have"
                );
            }
        }
        Ok(())
    }
}

impl Stack {
    fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    fn volume(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    fn container(&self, service: &str, number: u32) -> String {
        format!("{}_{service}_{number}", self.project)
    }
}

/// The variables of `compose.yaml` are in `.env`, those of `compose.NAME.yaml` in `.env.NAME`.
fn environment_file(compose: &str) -> String {
    let name = compose.trim_end_matches(".yaml").trim_end_matches(".yml");
    match name.split_once('.') {
        Some((_, mode)) => format!(".env.{mode}"),
        None => ".env".into(),
    }
}

/// The named services and those that they depend on, in the order in which they start; all without names.
fn selected(file: &File, names: &[String]) -> anyhow::Result<Vec<String>> {
    let ordered = file.in_order()?;
    if let Some(unknown) = names.iter().find(|it| !file.services.contains_key(*it)) {
        bail!("there is no service `{unknown}`; there are: {}", ordered.join(" "));
    }
    let mut wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for name in ordered.iter().rev().copied() {
        if names.is_empty() || wanted.contains(name) {
            wanted.insert(name);
            wanted.extend(file.services[name].depends_on.0.keys().map(String::as_str));
        }
    }
    Ok(ordered.into_iter().filter(|it| wanted.contains(it)).map(Into::into).collect())
}

/// The checkout's folder as other tools for compose files shorten it.
fn project(cx: &Context) -> String {
    let name = cx.root.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = name.chars().filter(|it| it.is_ascii_alphanumeric() || "-_".contains(*it)).collect();
    let name = name.trim_start_matches(['-', '_']);
    if name.is_empty() { "stack".into() } else { name.into() }
}

fn step(name: String) -> &'static Step {
    Box::leak(Box::new(Step {
        name: Box::leak(name.into_boxed_str()),
        lane: Lane::Image,
        proves: "it is as the compose file says",
        fix: None,
        skip: &|_| None,
        inputs: &|_| Inputs::default(),
        needs: &|_| &[],
        run: &|_, _| Ok(Outcome::Judged(Vec::new())),
    }))
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
