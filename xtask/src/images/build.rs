//! Builds every image from one compile, and keeps in the store what the next build can use, and no more.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    bases::{self, Missing},
    containerfile::{self, FILE, Stage},
    registry, storage,
    unfinished::Building,
};
use crate::{
    context::Context,
    outcome::{Finding, StepError},
    podman::{Podman, refused},
    process::{Finished, Log, Process},
    services::Service,
};

/// What this checkout built last, below `target/xtask`.
const BUILT_FILE: &str = "images.json";
/// What podman says when an image goes away that it was just looking at, and how often a build is tried then.
const LOST: &[&str] = &["layer not known", "image not known", "identifier is not an image"];
const ATTEMPTS: u32 = 3;
/// How many lines of a failed build are shown.
const SHOWN_LINES: usize = 60;
/// Layers that nothing names any more are removed once no build can be about to use them.
const LEFT_OVER: &[&str] =
    &["image", "prune", "--force", "--filter", "label=dev.slipway.stage", "--filter", "until=1h"];

/// An image of this workspace.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) service: Service,
    /// Name and tag; the tag is the beginning of the image's own id.
    pub(super) reference: String,
    /// The line of the Containerfile that begins its target.
    pub(super) line: u32,
    /// Whether it has a health check; known once it was looked into.
    pub(super) tells_health: bool,
}

/// How a build ended that podman could carry out.
#[derive(Debug)]
pub(super) enum Built {
    All(Vec<Image>),
    /// The Containerfile or what it compiles is at fault.
    Failed {
        finding: Finding,
        output: String,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    references: Vec<String>,
    /// Names of before that are still to be taken away.
    #[serde(default)]
    older: Vec<String>,
}

impl Kept {
    fn read(cx: &Context) -> Self {
        let text = fs::read(cx.target().join(BUILT_FILE)).ok();
        text.and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default()
    }

    fn write(&self, cx: &Context) -> anyhow::Result<()> {
        let path = cx.target().join(BUILT_FILE);
        let text = serde_json::to_vec(self).context("cannot spell the images")?;
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", cx.shown(&path)))
    }
}

/// Names of the images that this checkout built last.
pub(super) fn references(cx: &Context) -> Vec<String> {
    Kept::read(cx).references
}

/// Builds the image of each service.
///
/// # Errors
/// When the environment lacks a base, a dependency or disk space.
pub(super) fn all(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    services: &[Service],
) -> Result<Built, StepError> {
    let stages = containerfile::stages(&cx.root);
    let begins = |image: &str| stages.iter().find(|it| it.name == image).map(|it| it.line);
    let mut targets = Vec::new();
    for service in services {
        let Some(line) = begins(&service.manifest.image) else {
            return Ok(without_target(service, &stages));
        };
        targets.push((service, line));
    }
    let build = command(cx, podman, log)?;
    let _building = Building::begin(cx, podman)?;
    let building = storage::shared(&storage::folder(), log)?;
    let mut images = Vec::new();
    for (service, line) in targets {
        let target = &service.manifest.image;
        let id = cx.target().join(format!("{target}.id"));
        let file = format!("--iidfile={}", id.display());
        let finished = carried_out(&build.clone().args([&file, "--target", target, "."]), log)?;
        if !finished.success() {
            return failed(target, Some(line), &finished);
        }
        let reference = named(cx, podman, log, service, &id)?;
        images.push(Image { service: service.clone(), reference, line, tells_health: true });
    }
    let references: Vec<String> = images.iter().map(|it| it.reference.clone()).collect();
    if references == Kept::read(cx).references {
        return Ok(Built::All(images));
    }
    let names: Vec<&str> = services.iter().map(|it| it.manifest.image.as_str()).collect();
    for stage in containerfile::worth_keeping(&stages, &names) {
        let tag = format!("--tag=localhost/{}/stage-{stage}:cache", workspace(cx));
        let finished = carried_out(&build.clone().args([&tag, "--target", stage, "."]), log)?;
        if !finished.success() {
            return failed(stage, begins(stage), &finished);
        }
    }
    drop(building);
    forget_older(cx, podman, log, references)?;
    Ok(Built::All(images))
}

/// What all builds of a run have in common: bases, cargo's sources, no network.
pub(super) fn command(cx: &Context, podman: &Podman, log: &Log) -> Result<Process, StepError> {
    let mut arguments = Vec::new();
    for base in cx.config.images.bases.values().filter(|it| it.argument.is_some()) {
        let found = bases::find(cx, podman, log, base, Missing::Tell)?;
        if let Some(argument) = found.argument {
            arguments.push(format!("--build-arg={argument}={}", found.reference));
        }
    }
    arguments.extend(registry::mounts(cx, log)?.iter().map(|it| format!("--volume={it}")));
    let fixed = ["build", "--format=docker", "--network=none", "--security-opt=label=disable"];
    Ok(podman.process(cx).args(fixed).args([format!("--file={FILE}")]).args(arguments).log(log))
}

/// Runs a build, once more when somebody else removed an image from the store while podman was reading it.
fn carried_out(build: &Process, log: &Log) -> Result<Finished, StepError> {
    for _ in 1..ATTEMPTS {
        let finished = build.run()?;
        if finished.success() || !LOST.iter().any(|it| finished.stderr.contains(it)) {
            return Ok(finished);
        }
        log.line("an image went away during the build; once more");
    }
    Ok(build.run()?)
}

/// Gives a built image its name: a content's own, so that it never means another one.
fn named(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    service: &Service,
    id_file: &PathBuf,
) -> Result<String, StepError> {
    let id = fs::read_to_string(id_file).with_context(|| format!("cannot read `{}`", cx.shown(id_file)))?;
    fs::remove_file(id_file).ok();
    let id = id.trim();
    let short = id.trim_start_matches("sha256:").get(..12).unwrap_or(id);
    let reference = format!("localhost/{}/{}:{short}", workspace(cx), service.name);
    podman.answer(cx, log, &["tag", id, &reference])?;
    Ok(reference)
}

/// Takes away the names that this checkout gave before and nothing runs, and the layers that no name leads to.
fn forget_older(cx: &Context, podman: &Podman, log: &Log, references: Vec<String>) -> Result<(), StepError> {
    let before = Kept::read(cx);
    let mut older: Vec<String> = before.older.into_iter().chain(before.references).collect();
    older.retain(|it| !references.contains(it));
    match storage::alone(&storage::folder()) {
        Some(_alone) => {
            for old in older.drain(..) {
                // An image that somebody runs stays.
                podman.process(cx).args(["rmi", &old]).log(log).run()?;
            }
            podman.process(cx).args(LEFT_OVER).log(log).run()?;
        }
        None => log.line("somebody else builds: older images stay until the next run"),
    }
    Kept { references, older }.write(cx)?;
    Ok(())
}

fn without_target(service: &Service, stages: &[Stage]) -> Built {
    let known: Vec<&str> = stages.iter().map(|it| it.name.as_str()).collect();
    let message = format!(
        "the Containerfile has no target `{}` for `{}`; it has `{}`",
        service.manifest.image,
        service.name,
        known.join("`, `")
    );
    let fix = format!(
        "add `FROM runtime AS {}`, or correct `image` in the crate's manifest",
        service.manifest.image
    );
    Built::Failed {
        finding: Finding::error("image-build-failed", message).at(FILE, None).fix(fix),
        output: String::new(),
    }
}

/// A full disk and a podman that cannot work are the environment's fault; everything else is the build's.
fn failed(target: &str, line: Option<u32>, finished: &Finished) -> Result<Built, StepError> {
    let words = finished.stderr.to_lowercase();
    if ["no space left on device", "oci permission denied", "error mounting"]
        .iter()
        .any(|it| words.contains(it))
    {
        return Err(refused(&format!("`{target}` cannot be built"), finished));
    }
    let message = format!("the target `{target}` cannot be built");
    let finding = Finding::error("image-build-failed", message).at(FILE, line);
    Ok(Built::Failed { finding, output: relevant(&finished.stdout, &finished.stderr) })
}

/// From the first error on; podman repeats whole instructions, which are cut.
fn relevant(stdout: &str, stderr: &str) -> String {
    let lines: Vec<&str> = stdout.lines().chain(stderr.lines()).collect();
    let first = lines.iter().position(|it| it.starts_with("error") || it.starts_with("Error"));
    let from = first.unwrap_or(lines.len().saturating_sub(SHOWN_LINES));
    let cut = |line: &&str| line.chars().take(300).collect::<String>();
    lines[from..].iter().take(SHOWN_LINES).map(cut).collect::<Vec<_>>().join("\n")
}

/// The workspace's name as a part of an image's name.
fn workspace(cx: &Context) -> String {
    let name = cx.root.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "workspace".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_shows_the_compilers_words_first() {
        let stdout = "STEP 1/2: FROM x\nSTEP 2/2: RUN cargo build\n";
        let stderr = "   Compiling a v0.1.0\nerror[E0425]: cannot find value `x`\n --> a.rs:1:1\nError: building at STEP\n";
        insta::assert_snapshot!(relevant(stdout, stderr), @r"
        error[E0425]: cannot find value `x`
         --> a.rs:1:1
        Error: building at STEP
        ");
    }
}
