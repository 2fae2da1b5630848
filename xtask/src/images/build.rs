//! Builds every image from one compile, and keeps in the store what the next build can use, and no more.

use std::{fs, path::Path};

use anyhow::Context as _;

use super::{
    bases::{self, Found, Missing},
    containerfile::{Containerfile, FILE, Stage},
    dependencies,
    failure::failed,
    finish::{self, Unfinished},
    left_over,
    plan::{Plan, State},
    policy,
    record::{Record, Recorded},
    registry, storage,
    unfinished::Building,
};
use crate::{
    context::Context,
    outcome::{Finding, Level, StepError},
    podman::Podman,
    process::{Finished, Log, Process},
    services::Service,
};

/// What podman says when an image goes away that it was just looking at, and how often a build is tried then.
const LOST: &[&str] = &["layer not known", "image not known", "identifier is not an image"];
const ATTEMPTS: u32 = 3;
/// What every image of a build says of itself, those of its steps too, so that what is left can be told from what is a user's.
pub(super) const STAGE_LABEL: &str = "dev.slipway.stage";
/// What every stage begins with when the tool builds it. It sets the label, and makes the steps other ones than those of a
/// plain build, whose layers podman would take otherwise, with other times in them.
pub(super) const MARK: &str = "LABEL dev.slipway.stage=\"\"";
/// The Containerfile with that in it, below `target/xtask`.
const MARKED_FILE: &str = "marked.Containerfile";
/// The time that every file of a layer has, in seconds since 1970; stands in [`FIXED`] too.
pub(super) const LAYER_TIME_S: u64 = 946_684_800;
/// What all builds have in common. Every file of a layer has one time, so that a layer is what is in it: a build without a
/// cache makes the same one. Without a network nobody needs the host's proxies, whose addresses may hold passwords.
pub(super) const FIXED: &[&str] = &[
    "build",
    "--format=docker",
    "--network=none",
    "--http-proxy=false",
    "--security-opt=label=disable",
    "--timestamp=946684800",
];

/// An image of this workspace.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) service: Service,
    pub(super) recorded: Recorded,
    /// The line of the Containerfile that begins its target.
    pub(super) line: u32,
}

/// How a build ended that podman could carry out.
#[derive(Debug)]
pub(super) enum Built {
    /// With what is to be said of the bases.
    All(Vec<Image>, Vec<Finding>),
    /// The Containerfile or what it compiles is at fault.
    Failed { findings: Vec<Finding>, output: String },
}

/// What is to become of each service, and the id of what its image is to be finished from, if it is not there.
type Contents<'p> = (Vec<Plan<'p>>, Vec<Option<String>>);

/// Builds for one run: what the builds begin with, and how.
pub(super) struct Builder<'a> {
    pub(super) cx: &'a Context,
    pub(super) podman: &'a Podman,
    pub(super) log: &'a Log,
    pub(super) file: Containerfile,
    pub(super) bases: Vec<Found>,
}

/// Sees to the image of each service: takes it from the store where that has one of the same fingerprint, else builds it.
///
/// # Errors
/// When the environment lacks a base, a dependency or disk space.
pub(super) fn all(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    services: &[Service],
) -> Result<Built, StepError> {
    let file = Containerfile::read(&cx.root);
    let without = services.iter().find(|it| file.stage(&it.manifest.image).is_none());
    if let Some(service) = without {
        let findings = vec![policy::without_target(service, &file)];
        return Ok(Built::Failed { findings, output: String::new() });
    }
    let (builder, mut findings) = Builder::new(cx, podman, log)?;
    if findings.iter().any(|it| it.level == Level::Error) {
        return Ok(Built::Failed { findings, output: String::new() });
    }
    let building = storage::shared(&storage::folder(), log)?;
    let (plans, contents) = match builder.built(services)? {
        Ok(built) => built,
        Err(failed) => return Ok(failed),
    };
    let made = builder.finished(&plans, contents)?;
    let before = Record::read(cx);
    let image = |(plan, made): (&Plan<'_>, finish::Finished)| Image {
        service: plan.service.clone(),
        recorded: recorded(cx, plan, made, &before),
        line: plan.stage.line,
    };
    let images: Vec<Image> = plans.iter().zip(made).map(image).collect();
    let older = named_before(&before, &images);
    let recorded: Vec<Recorded> = images.iter().map(|it| it.recorded.clone()).collect();
    // While nobody may remove what no record names.
    left_over::note(cx)?;
    Record::new(recorded.clone(), older.clone()).write(cx)?;
    drop(building);
    if !older.is_empty() && left_over::remove(cx, podman, log)? {
        Record::new(recorded, Vec::new()).write(cx)?;
    }
    findings.extend(dependencies::keep(cx, podman, log)?);
    Ok(Built::All(images, findings))
}

impl<'a> Builder<'a> {
    /// With the bases, and what is to be said of them.
    ///
    /// # Errors
    /// When there is a base that can neither be pulled nor stood in for.
    pub(super) fn new(
        cx: &'a Context,
        podman: &'a Podman,
        log: &'a Log,
    ) -> Result<(Self, Vec<Finding>), StepError> {
        let (bases, findings) = found_bases(cx, podman, log)?;
        let file = Containerfile::read(&cx.root);
        Ok((Self { cx, podman, log, file, bases }, findings))
    }

    /// What all builds have in common: bases, cargo's sources, no network.
    pub(super) fn command(&self, file: &str) -> Result<Process, StepError> {
        let mut arguments = vec![format!("--file={file}")];
        for found in &self.bases {
            let argument = found.argument.iter().map(|it| format!("--build-arg={it}={}", found.reference));
            arguments.extend(argument);
        }
        arguments.extend(registry::mounts(self.cx, self.log)?.iter().map(|it| format!("--volume={it}")));
        Ok(self.podman.process(self.cx).args(FIXED).args(arguments).log(self.log))
    }

    /// Builds what is not there, once more where sources change meanwhile: an image says what it is made of.
    fn built<'p>(&'p self, services: &'p [Service]) -> Result<Result<Contents<'p>, Built>, StepError> {
        for _ in 0..ATTEMPTS {
            let plans = self.plans(services)?;
            let contents = match self.contents(&plans)? {
                Ok(contents) => contents,
                Err(failed) => return Ok(Err(failed)),
            };
            if self.is_as_planned(&plans) {
                return Ok(Ok((plans, contents)));
            }
            self.log.line("sources changed while they were built; once more");
        }
        let lacks = format!("sources changed while they were built, {ATTEMPTS} times over");
        Err(StepError::environment(lacks, "cargo xtask images build"))
    }

    /// Gives labels to what needs them, and names all of it.
    fn finished(
        &self,
        plans: &[Plan<'_>],
        contents: Vec<Option<String>>,
    ) -> Result<Vec<finish::Finished>, StepError> {
        let name = |plan: &Plan<'_>| format!("localhost/{}/{}", workspace(&self.cx.root), plan.service.name);
        let mut unfinished = Vec::new();
        for (plan, content) in plans.iter().zip(contents) {
            let Some(id) = content else { continue };
            let (labels, made_s) = (plan.labels.clone(), plan.origin.committed_s);
            unfinished.push(Unfinished { id, name: name(plan), labels, made_s });
        }
        let mut finished = finish::finish(self.cx, self.podman, self.log, &unfinished)?.into_iter();
        let known = Record::read(self.cx).references();
        let mut made = Vec::new();
        for plan in plans {
            let State::There(id) = &plan.state else {
                made.extend(finished.next());
                continue;
            };
            let reference = format!("{}:{}", name(plan), id.get(..12).unwrap_or(id));
            if !known.contains(&reference) {
                self.podman.answer(self.cx, self.log, &["tag", id, &reference])?;
            }
            made.push(finish::Finished { id: format!("sha256:{id}"), reference });
        }
        Ok(made)
    }

    /// The id of what each image is to be finished from; nothing for those that are there.
    fn contents(&self, plans: &[Plan<'_>]) -> Result<Result<Vec<Option<String>>, Built>, StepError> {
        let mut contents = Vec::new();
        if !plans.iter().any(|it| matches!(it.state, State::Build)) {
            contents.extend(plans.iter().map(|it| match &it.state {
                State::Relabel(id) => Some(id.clone()),
                _ => None,
            }));
            return Ok(Ok(contents));
        }
        let _building = Building::begin(self.cx, self.podman)?;
        let build = self.command(&marked_file(self.cx)?)?;
        let build = match dependencies::ready(self.cx, self.podman, self.log, &build)? {
            Ok(argument) => build.args(argument),
            Err(finished) => return Ok(Err(failed(dependencies::STAGE, None, &finished)?)),
        };
        for plan in plans {
            let id = match &plan.state {
                State::There(_) => None,
                State::Relabel(id) => Some(id.clone()),
                State::Build => match self.one(&build, plan.stage)? {
                    Ok(id) => Some(id),
                    Err(failed) => return Ok(Err(failed)),
                },
            };
            contents.push(id);
        }
        let names: Vec<&str> = plans.iter().map(|it| it.stage.name.as_str()).collect();
        for stage in self.file.worth_keeping(&names).iter().filter_map(|it| self.file.stage(it)) {
            if let Err(failed) = self.one(&build, stage)? {
                return Ok(Err(failed));
            }
        }
        Ok(Ok(contents))
    }

    /// Builds one stage, gives it the name that keeps it in the store, and returns its id.
    fn one(&self, build: &Process, stage: &Stage) -> Result<Result<String, Built>, StepError> {
        let tag = stage_tag(&self.cx.root, &stage.name);
        self.untagged(&build.clone().args(["--tag", &tag]), stage)
    }

    /// Builds one stage and returns its id.
    pub(super) fn untagged(
        &self,
        build: &Process,
        stage: &Stage,
    ) -> Result<Result<String, Built>, StepError> {
        let path = self.cx.target().join(format!("{}.id", stage.name));
        let file = format!("--iidfile={}", path.display());
        let finished = carried_out(&build.clone().args([&file, "--target", &stage.name, "."]), self.log)?;
        if !finished.success() {
            return Ok(Err(failed(&stage.name, Some(stage.line), &finished)?));
        }
        let id =
            fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", self.cx.shown(&path)))?;
        fs::remove_file(&path).ok();
        Ok(Ok(id.trim().trim_start_matches("sha256:").to_owned()))
    }
}

fn recorded(cx: &Context, plan: &Plan<'_>, made: finish::Finished, before: &Record) -> Recorded {
    // What was found out of the very same image still holds.
    let known = before.of(&plan.service.name).filter(|it| it.id == made.id).cloned().unwrap_or_default();
    Recorded {
        service: plan.service.name.clone(),
        target: plan.stage.name.clone(),
        reference: made.reference,
        id: made.id,
        fingerprint: plan.origin.fingerprint.clone(),
        revision: plan.origin.revision.clone(),
        version: finish::version(cx, plan.service),
        stand_in_base: plan.on_stand_in(),
        ..known
    }
}

/// The bases that go into builds, and what is to be said of them.
fn found_bases(cx: &Context, podman: &Podman, log: &Log) -> Result<(Vec<Found>, Vec<Finding>), StepError> {
    let (mut all, mut findings) = (Vec::new(), Vec::new());
    for base in cx.config.images.bases.values().filter(|it| it.argument.is_some()) {
        let found = bases::find(cx, podman, log, base, Missing::Tell)?;
        findings.extend(found.judged(cx, base));
        all.push(found);
    }
    Ok((all, findings))
}

/// Writes the Containerfile as the tool builds it, and returns where.
pub(super) fn marked_file(cx: &Context) -> anyhow::Result<String> {
    let path = cx.target().join(MARKED_FILE);
    fs::write(&path, marked(cx)?).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    Ok(path.to_string_lossy().into_owned())
}

/// The Containerfile as the tool builds it.
pub(super) fn marked(cx: &Context) -> anyhow::Result<String> {
    let text = fs::read_to_string(cx.root.join(FILE)).context("the Containerfile cannot be read")?;
    Ok(Containerfile::parse(&text).with_first(&text, MARK))
}

/// What a build of a plain pipeline has in common with those of a run.
pub(super) fn command(cx: &Context, podman: &Podman, log: &Log) -> Result<Process, StepError> {
    Builder::new(cx, podman, log)?.0.command(FILE)
}

/// Runs podman, once more when somebody else removed an image from the store while podman was reading it.
pub(super) fn carried_out(podman: &Process, log: &Log) -> Result<Finished, StepError> {
    for _ in 1..ATTEMPTS {
        let finished = podman.run()?;
        if finished.success() || !LOST.iter().any(|it| finished.stderr.contains(it)) {
            return Ok(finished);
        }
        log.line("an image went away meanwhile; once more");
    }
    Ok(podman.run()?)
}

/// The names that this checkout gave before, and that no image has any more.
fn named_before(before: &Record, images: &[Image]) -> Vec<String> {
    let is_current = |name: &String| images.iter().any(|it| it.recorded.reference == *name);
    let mut older: Vec<String> = before.older.iter().cloned().chain(before.references()).collect();
    older.retain(|it| !is_current(it));
    older
}

/// The name that keeps a stage in the store.
pub(super) fn stage_tag(root: &Path, stage: &str) -> String {
    format!("localhost/{}/stage-{stage}:cache", workspace(root))
}

/// The workspace's name as a part of an image's name.
pub(super) fn workspace(root: &Path) -> String {
    let name = root.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "workspace".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_the_time_that_crates_are_made_older_than() {
        assert!(FIXED.contains(&format!("--timestamp={LAYER_TIME_S}").as_str()));
    }
}
