//! `workflows replay`: each job's lines as a host runner runs them, and whether they come to the local verdict.

use std::{collections::BTreeMap, fs, time::Instant};

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    read::{self, Job},
    runner::Workspace,
    write::{FOLDER, PUBLISH, RELEASE},
};
use crate::{
    config::ConfigError,
    context::Context,
    outcome::{EXIT_ENVIRONMENT, EXIT_GREEN, EXIT_RED},
    process::Log,
};

/// How many of a failed job's last lines are shown.
const SHOWN_LINES: usize = 40;

/// The part of a report that is compared.
#[derive(Debug, Deserialize)]
struct Report {
    commit: Option<String>,
    dirty: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    name: String,
    status: String,
    fingerprint: Option<String>,
}

/// Replays the jobs of `ci.yml`, or one and what it needs; or the one of `release.yml`, which really publishes and so is
/// replayed only where it is named. Returns the exit code.
///
/// # Errors
/// When there is no workflow, it is not of the written form, or it cannot be cloned.
pub(crate) fn replay(cx: &Context, only: Option<&str>, say: &mut dyn FnMut(&str)) -> anyhow::Result<u8> {
    let log = |name: &str| -> anyhow::Result<Log> {
        let path = cx.target().join("logs").join(format!("replay-{name}.log"));
        Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))
    };
    let local = report(&cx.target().join("report.json"));
    let workspace = Workspace::clone(cx, &log("clone")?)?;
    let publishes = only == Some(PUBLISH);
    let path = format!("{FOLDER}/{}", if publishes { RELEASE } else { "ci.yml" });
    let text = fs::read_to_string(workspace.checkout().join(&path)).with_context(|| {
        format!("commit {:.12} has no `{path}`; `{}` writes it", workspace.commit, super::REFRESH)
    })?;
    let jobs = read::jobs(&text, &path)?;
    let jobs = selected(&jobs, only)?;
    let mut replay = Replay { cx, workspace, local, compared: BTreeMap::new() };
    let mut green: Vec<&str> = Vec::new();
    let mut code = EXIT_GREEN;
    for job in jobs {
        if let Some(missing) = job.needs.iter().find(|it| !green.contains(&it.as_str())) {
            say(&format!("{:10} not run: it needs `{missing}`", job.name));
            continue;
        }
        let ended = replay.job(job, &log(&job.name)?, say)?;
        if ended == EXIT_GREEN {
            green.push(&job.name);
        }
        code = worse(code, ended);
    }
    // What was published was compared with what was tested when it was.
    Ok(if publishes { code } else { replay.verdict(code, say) })
}

struct Replay<'a> {
    cx: &'a Context,
    workspace: Workspace,
    local: Option<Report>,
    /// What differs from the local run, or why it could not be compared, by step.
    compared: BTreeMap<String, Comparison>,
}

#[derive(Debug)]
enum Comparison {
    Same,
    Different(String),
    /// There is no local verdict.
    Missing,
}

impl Replay<'_> {
    /// Runs one job to its end and notes what its steps came to.
    fn job(&mut self, job: &Job, log: &Log, say: &mut dyn FnMut(&str)) -> anyhow::Result<u8> {
        for line in &job.runs {
            let began = Instant::now();
            let finished = self.workspace.run(self.cx, job, line, log)?;
            let seconds = began.elapsed().as_secs();
            let replayed = report(&self.workspace.checkout().join("target/xtask/report.json"));
            if !finished.success() {
                say(&format!("{:10} FAILED  {seconds} s  `{line}` ended with {}", job.name, finished.code()));
                let output: Vec<&str> = finished.stderr.lines().chain(finished.stdout.lines()).collect();
                for line in &output[output.len().saturating_sub(SHOWN_LINES)..] {
                    say(&format!("    {line}"));
                }
                say(&format!("    log  {}", self.cx.shown(log.path())));
            } else {
                say(&format!("{:10} ok      {seconds} s  `{line}`", job.name));
            }
            for step in replayed.into_iter().flat_map(|it| it.steps) {
                let comparison = self.compare(&step);
                self.compared.insert(step.name, comparison);
            }
            if !finished.success() {
                let environment = finished.code() == i32::from(EXIT_ENVIRONMENT);
                return Ok(if environment { EXIT_ENVIRONMENT } else { EXIT_RED });
            }
        }
        Ok(EXIT_GREEN)
    }

    fn compare(&self, step: &Step) -> Comparison {
        let local = self
            .local
            .as_ref()
            .filter(|it| !it.dirty && it.commit.as_deref() == Some(self.workspace.commit.as_str()));
        let Some(local) = local.and_then(|it| it.steps.iter().find(|it| it.name == step.name)) else {
            return Comparison::Missing;
        };
        if local.status == "cancelled" {
            return Comparison::Missing;
        }
        let green = |status: &str| ["passed", "cached", "skipped"].contains(&status);
        if green(&local.status) != green(&step.status) {
            return Comparison::Different(format!("{} here, {} in the replay", local.status, step.status));
        }
        match (&local.fingerprint, &step.fingerprint) {
            (Some(here), Some(there)) if here != there => Comparison::Different(format!(
                "its inputs are {here:.12} here and {there:.12} in the replay: something that is not committed decides"
            )),
            _ => Comparison::Same,
        }
    }

    /// Says what the comparison came to, after jobs that ended with `code`.
    fn verdict(&self, mut code: u8, say: &mut dyn FnMut(&str)) -> u8 {
        let mut same = 0;
        for (step, comparison) in &self.compared {
            match comparison {
                Comparison::Same => same += 1,
                Comparison::Different(what) => {
                    say(&format!("{step}: {what}"));
                    code = worse(code, EXIT_RED);
                }
                Comparison::Missing => {
                    say(&format!(
                        "{step}: not compared, this checkout has no verdict on {:.12}; `cargo xtask ci` gives one",
                        self.workspace.commit
                    ));
                    code = worse(code, EXIT_ENVIRONMENT);
                }
            }
        }
        if code == EXIT_GREEN {
            say(&format!("the runner's verdict is the local one, in {same} steps"));
        }
        code
    }
}

/// A fault decides over what could not be judged.
fn worse(a: u8, b: u8) -> u8 {
    [EXIT_RED, EXIT_ENVIRONMENT].into_iter().find(|it| a == *it || b == *it).unwrap_or(a.max(b))
}

/// The named job with everything that it needs, or all; in the order of the file.
fn selected<'j>(jobs: &'j [Job], only: Option<&str>) -> anyhow::Result<Vec<&'j Job>> {
    let Some(only) = only else { return Ok(jobs.iter().collect()) };
    if !jobs.iter().any(|job| job.name == only) {
        let names: Vec<&str> = jobs.iter().map(|it| it.name.as_str()).collect();
        return Err(
            ConfigError::new(format!("there is no job `{only}`; there are {}", names.join(", "))).into()
        );
    }
    let mut wanted = vec![only];
    let mut next = 0;
    while let Some(name) = wanted.get(next).copied() {
        let needs = jobs.iter().filter(|job| job.name == name).flat_map(|job| &job.needs);
        let more: Vec<&str> = needs.map(String::as_str).filter(|it| !wanted.contains(it)).collect();
        wanted.extend(more);
        next += 1;
    }
    Ok(jobs.iter().filter(|job| wanted.contains(&job.name.as_str())).collect())
}

fn report(path: &std::path::Path) -> Option<Report> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}
