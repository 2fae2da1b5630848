//! The step `images`: one image per service from one compile, each looked into and then started for real.

mod again;
mod apt;
mod archive;
mod bases;
mod build;
mod containerfile;
mod containers;
mod contents;
mod dependencies;
mod failure;
mod finish;
mod held;
mod inspect;
mod inspected;
mod leaks;
mod left_over;
mod origin;
mod plan;
mod policy;
pub(crate) mod record;
mod registry;
mod relay;
mod sbom;
mod stack;
mod stand_in;
mod stock;
mod storage;
mod unfinished;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    bases::Missing,
    build::{Builder, Built, Image},
    containerfile::{Containerfile, FILE},
    contents::Contents,
    record::{Record, Recorded},
};
pub(crate) use self::{
    held::Question,
    sbom::Document,
    stock::{Wish, no_image, obtained, of_targets},
    verify::Extent,
};
use crate::{
    cli::InspectFormat,
    context::Context,
    outcome::{Finding, Level, Outcome, StepError, StepResult},
    podman::Podman,
    process::{Log, Process},
    steps,
    verdict::{hashed, inputs::Inputs, tree::Tree},
};

/// What the tool itself was compiled of.
const SOURCES: &str = env!("XTASK_SOURCES");

/// Why the step does not apply to this workspace, if so.
pub(crate) fn skip(cx: &Context) -> Option<String> {
    if !cx.root.join(FILE).is_file() {
        return Some(format!("this workspace has no `{FILE}`"));
    }
    match cx.services() {
        Ok(services) if services.is_empty() => {
            Some("no crate of this workspace has `[package.metadata.service]`".into())
        }
        // A manifest that cannot be read is told by the step itself.
        _ => None,
    }
}

/// Everything that a build may copy, but the crates that no service stands on; those of the gate count, because it makes
/// the schema that the images start on.
pub(crate) fn inputs(cx: &Context) -> Inputs {
    let services = cx.services().unwrap_or_default();
    Inputs { server: true, gate: true, images: true, ..origin::files(cx, &services) }
        .and(steps::migrations::files(cx))
        .setting((&cx.config.images, &cx.config.postgres, &cx.config.roles, &cx.config.migrations))
}

/// The image of a service that this checkout built last.
pub(crate) fn built_last(cx: &Context, service: &str) -> Option<String> {
    Record::read(cx).of(service).map(|it| it.reference.clone())
}

/// Writes what an image of this workspace is made of.
pub(crate) fn sbom(cx: &Context, log: &Log, service: &str, reference: &str) -> Result<Document, StepError> {
    Document::write(cx, &Podman::find(cx, log)?, log, service, reference)
}

/// The images that this checkout built last.
pub(crate) fn references(cx: &Context) -> Vec<String> {
    Record::read(cx).references()
}

/// Judges the Containerfile, builds what is not in the store yet, looks into each image, and starts as one stack those that
/// were not found good before. What can be told without building or starting is told first, and all at once.
pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let services = cx.services()?;
    let file = Containerfile::read(&cx.root);
    let findings = policy::judge(&file, &services, &cx.config.images.bases);
    if is_red(&findings) {
        return Ok(Outcome::Judged(findings));
    }
    let podman = Podman::find(cx, log)?;
    let (mut images, told) = match build::all(cx, &podman, log, &services)? {
        Built::All(images, told) => (images, told),
        Built::Failed { findings, output } => return Ok(not_built(findings, output)),
    };
    let mut findings = [findings, told].concat();
    let keys = keys(cx, &images);
    let due: BTreeSet<String> = images
        .iter()
        .filter(|it| it.recorded.green.is_none() || it.recorded.green.as_ref() != keys.get(&it.service.name))
        .map(|it| it.service.name.clone())
        .collect();
    if due.is_empty() {
        log.line("every image was found good before, as it is and with what it is started with");
        return Ok(Outcome::Judged(findings));
    }
    let contents = Contents::of(cx, &podman, log, &images)?;
    for (index, image) in images.iter_mut().enumerate() {
        image.recorded.layers = contents.sizes(index);
    }
    findings.extend(inspected::judge(cx, &podman, log, &images)?);
    findings.extend(contents.judge(cx, log, &file, &images)?);
    drop(contents);
    for image in &images {
        let name = &image.service.name;
        let document = Document::write(cx, &podman, log, name, &image.recorded.reference)?;
        findings.extend(document.judged(name).map(|it| it.at(FILE, image.line)));
    }
    if !is_red(&findings) {
        findings.extend(stack::judge(cx, &podman, log, &images, &due)?);
    }
    let green = !is_red(&findings);
    let judged = images.into_iter().map(|it| {
        let green = keys.get(&it.service.name).filter(|_| green).cloned();
        Recorded { green, ..it.recorded }
    });
    Record::new(judged.collect(), Record::read(cx).older).write(cx)?;
    Ok(Outcome::Judged(findings))
}

fn is_red(findings: &[Finding]) -> bool {
    findings.iter().any(|it| it.level == Level::Error)
}

/// What each image is found good on, by service: the image itself, those that it is started with, the tool, the
/// configuration and the migrations. Nothing where that cannot be told, outside of a git repository.
fn keys(cx: &Context, images: &[Image]) -> BTreeMap<String, String> {
    let Some(tree) = Tree::read(&cx.root) else { return BTreeMap::new() };
    let migrations = Inputs::files(steps::migrations::files(cx));
    let settings = (&cx.config.images, &cx.config.postgres, &cx.config.roles, &cx.config.migrations);
    let mut common = format!("{SOURCES} {settings:?}");
    for (path, content) in tree.files.iter().filter(|(path, _)| migrations.reads(path)) {
        common += &format!("\n{path} {content:?}");
    }
    let key = |image: &Image| {
        let name = image.service.name.as_str();
        let with = stack::with(images.iter().map(|it| &it.service), [name]);
        let ids = images.iter().filter(|it| with.contains(&it.service.name));
        let ids = ids.map(|it| it.recorded.id.as_str());
        (name.to_owned(), hashed([common.as_str(), name].into_iter().chain(ids)))
    };
    images.iter().map(key).collect()
}

/// Builds all images and says what they are called.
pub(crate) fn build(cx: &Context, log: &Log) -> StepResult {
    if let Some(reason) = skip(cx) {
        return Ok(Outcome::Skipped(reason));
    }
    let podman = Podman::find(cx, log)?;
    match build::all(cx, &podman, log, &cx.services()?)? {
        Built::All(images, mut findings) => {
            images.iter().for_each(|it| log.line(&it.recorded.reference));
            findings.extend(images.iter().map(built));
            Ok(Outcome::Judged(findings))
        }
        Built::Failed { findings, output } => Ok(not_built(findings, output)),
    }
}

/// What is in the images, or in that of one service, built where they are not.
///
/// # Errors
/// When they cannot be built, or there is no such service.
pub(crate) fn inspect(
    cx: &Context,
    log: &Log,
    service: Option<&str>,
    format: InspectFormat,
) -> Result<String, StepError> {
    let podman = Podman::find(cx, log)?;
    let (mut images, _) = match build::all(cx, &podman, log, &cx.services()?)? {
        Built::All(images, findings) => (images, findings),
        Built::Failed { findings, .. } => {
            let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
            return Err(anyhow::anyhow!("{}", words.join("\n")).into());
        }
    };
    if let Some(name) = service {
        let known: Vec<String> = images.iter().map(|it| it.service.name.clone()).collect();
        images.retain(|it| it.service.name == name);
        if images.is_empty() {
            return Err(
                anyhow::anyhow!("there is no service `{name}`; there is `{}`", known.join("`, `")).into()
            );
        }
    }
    inspect::text(cx, &podman, log, &images, format)
}

/// Builds every image once more and compares.
pub(crate) fn verify(cx: &Context, log: &Log, extent: Extent) -> StepResult {
    if let Some(reason) = skip(cx) {
        return Ok(Outcome::Skipped(reason));
    }
    let podman = Podman::find(cx, log)?;
    let services = cx.services()?;
    let images = match build::all(cx, &podman, log, &services)? {
        Built::All(images, _) => images,
        Built::Failed { findings, output } => return Ok(not_built(findings, output)),
    };
    let (builder, _) = Builder::new(cx, &podman, log)?;
    match again::build(&builder, &services, extent)? {
        Ok(again) => {
            let findings = verify::differences(cx, &podman, log, &images, &again)?;
            left_over::nameless(cx, &podman, log)?;
            Ok(Outcome::Judged(findings))
        }
        Err(Built::Failed { findings, output }) => Ok(not_built(findings, output)),
        Err(Built::All(..)) => Ok(Outcome::Judged(Vec::new())),
    }
}

/// The builds that a plain pipeline runs one after the other, with the bases and settings that this host needs.
pub(crate) fn plain_builds(cx: &Context, log: &Log) -> Result<Vec<Process>, StepError> {
    let build = build::command(cx, &Podman::find(cx, log)?, log)?;
    let targets = cx.services()?.into_iter().map(|it| it.manifest.image);
    Ok(targets.map(|target| build.clone().args(["--target", &target, "."])).collect())
}

/// Sees to every base image of the configuration: pulls it, or makes a stand-in where it cannot be pulled.
pub(crate) fn bases(cx: &Context, log: &Log) -> StepResult {
    if cx.config.images.bases.is_empty() {
        return Ok(Outcome::Skipped("the configuration names no base image".into()));
    }
    let podman = Podman::find(cx, log)?;
    let mut findings = Vec::new();
    for base in cx.config.images.bases.values() {
        let found = bases::find(cx, &podman, log, base, Missing::Make)?;
        log.line(&found.reference);
        findings.extend(found.judged(cx, base));
        if found.stand_in {
            let message =
                format!("`{}` stands in for `{}`, which cannot be pulled", found.reference, base.image);
            findings.push(Finding::warning("image-stand-in-base", message));
        }
    }
    Ok(Outcome::Judged(findings))
}

/// The image to use for a base of the configuration, where the store has it: the genuine one or its stand-in.
pub(crate) fn base_in_store(cx: &Context, name: &str) -> Option<String> {
    bases::in_store(cx, cx.config.images.bases.get(name)?)
}

/// What cannot be built without asking podman has no output to show.
fn not_built(findings: Vec<Finding>, output: String) -> Outcome {
    if output.is_empty() { Outcome::Judged(findings) } else { Outcome::ToolFailed { findings, output } }
}

fn built(image: &Image) -> Finding {
    let mut finding = Finding::warning("image-built", image.recorded.reference.clone());
    finding.level = Level::Info;
    finding
}
