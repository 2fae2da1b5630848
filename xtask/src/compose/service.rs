//! One service: its containers are brought to what the file says, and waited for.

use anyhow::Context as _;

use super::{
    Image, Up,
    containers::Wanted,
    environment_file,
    file::Service,
    lock,
    ports::Published,
    running::{Engine, Expected, Held, Reached},
};
use crate::outcome::{Finding, Outcome, StepError, StepResult};

/// Lines of a container that failed; the log has all.
const SHOWN_LINES: usize = 40;
/// A job that ends so lacks something of its environment; every other code is its own fault.
const LACKING: i32 = 3;

impl Up {
    /// Brings a service to what the file says, and waits until it is ready.
    pub(super) fn start(&self, engine: Engine<'_>, name: &str) -> StepResult {
        let service = &self.stack.file.services[name];
        let count = self.options.scale.get(name).copied().or(service.scale).unwrap_or(1);
        let inventory = engine.inventory()?;
        let held: Vec<&Held> = inventory.ours.iter().filter(|it| it.service == name).collect();
        let wanted: Vec<Wanted> = (1..=count)
            .map(|number| Wanted::of(engine.cx, &self.stack, name, number, &mut lock(&self.variables)))
            .collect::<anyhow::Result<_>>()
            .with_context(|| format!("service `{name}`"))?;
        let mut changes = Vec::new();
        for extra in held.iter().filter(|it| wanted.iter().all(|wanted| wanted.name != it.name)) {
            engine.remove(&extra.name)?;
            changes.push(format!("{} removed", extra.name));
        }
        let Image { reference, id } = lock(&self.images).get(name).cloned().unwrap_or_default();
        let mut findings = Vec::new();
        for wanted in &wanted {
            let mark = wanted.mark(&id);
            let there = held.iter().find(|it| it.name == wanted.name);
            if there.is_some_and(|it| it.mark == mark && self.is_as_it_should_be(it)) {
                continue;
            }
            engine.vacate(&wanted.name, &inventory)?;
            self.free_ports(name, service)?;
            lock(&self.changed).insert(name.to_owned());
            changes.push(wanted.name.clone());
            if let Some(why) = engine.start(wanted, &reference, &mark)? {
                let message =
                    format!("this host cannot hold `{}` to its limits, so it has none: {why}", wanted.name);
                findings.push(Finding::warning("limits-not-held", message));
            }
            engine.hold_bridge(&self.stack.network())?;
        }
        let expected = if self.stack.file.is_job(name) { Expected::Done } else { Expected::Ready };
        for wanted in &wanted {
            match engine.wait(&wanted.name, expected, self.options.patience)? {
                Reached::Yes => {}
                Reached::No { how, code } => {
                    return self.not_ready(engine, &wanted.name, expected, (&how, code));
                }
            }
        }
        match changes.is_empty() {
            true => Ok(Outcome::Skipped(match expected {
                Expected::Ready if count == 0 => "none is to run".into(),
                Expected::Ready => "is ready and unchanged".into(),
                Expected::Done => "is done and unchanged".into(),
            })),
            false => Ok(Outcome::Judged(findings)),
        }
    }

    /// Whether a container that was made of the right things is in the right state, too.
    fn is_as_it_should_be(&self, held: &Held) -> bool {
        if !self.stack.file.is_job(&held.service) {
            return held.running;
        }
        // What was done on something that is another one now is to be done again.
        let changed = lock(&self.changed);
        let needs = &self.stack.file.services[&held.service].depends_on.0;
        held.running || (held.exit_code == 0 && needs.keys().all(|it| !changed.contains(it)))
    }

    fn free_ports(&self, name: &str, service: &Service) -> Result<(), StepError> {
        for published in Published::of(service) {
            let Some(holder) = published.taken_by() else { continue };
            let port = published.port.unwrap_or_default();
            let lacks = format!(
                "port {port} of this machine, at which `{name}` is to be reached, is taken by {holder}"
            );
            let file = self.options.files.first().map(|it| environment_file(&it.to_string_lossy()));
            let fix = match (&service.port_variable, file) {
                (Some(variable), Some(file)) => format!("stop that program, or set `{variable}` in `{file}`"),
                _ => "stop that program, or change `ports` in the compose file".into(),
            };
            return Err(StepError::environment(lacks, fix));
        }
        Ok(())
    }

    /// A container that does not do what it shall, with its own last words.
    fn not_ready(
        &self,
        engine: Engine<'_>,
        container: &str,
        expected: Expected,
        (how, code): (&str, Option<i32>),
    ) -> StepResult {
        let words = engine.words(container)?;
        let lines: Vec<&str> = words.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        let message = format!("`{container}` {how}");
        let inspect = format!("podman logs {container}");
        match (expected, code) {
            (Expected::Done, Some(LACKING)) => {
                Err(StepError::environment(format!("{message}: {}", told(&last)), inspect))
            }
            (Expected::Done, _) => {
                let findings = vec![Finding::error("job-failed", message).fix(inspect)];
                Ok(Outcome::ToolFailed { findings, output: last })
            }
            (Expected::Ready, _) => {
                let findings = vec![Finding::error("service-not-ready", message).fix(inspect)];
                Ok(Outcome::ToolFailed { findings, output: last })
            }
        }
    }
}

/// What a job that writes JSON says in its last line; all of it of one that does not.
fn told(words: &str) -> String {
    let line = words.lines().next_back().unwrap_or_default();
    let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let message = line.as_ref().and_then(|it| it["message"].as_str());
    message.map_or_else(|| words.to_owned(), str::to_owned)
}
