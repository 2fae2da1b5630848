//! A second build of every image, to compare with the first.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;

use super::{
    build::{Builder, Built, marked, marked_file},
    containerfile::Stage,
    finish::Unfinished,
    verify::{Elsewhere, Extent, of_images, sources},
};
use crate::{outcome::StepError, podman::Podman, process::Process, services::Service};

/// What came out, in the order of the services.
pub(super) struct Again<'a> {
    /// With the store that it lies in.
    pub(super) podman: Podman,
    pub(super) images: Vec<Unfinished>,
    /// The store, where it is not the user's.
    _elsewhere: Option<Elsewhere<'a>>,
}

impl Again<'_> {
    pub(super) fn ids(&self) -> Vec<&str> {
        self.images.iter().map(|it| it.id.as_str()).collect()
    }
}

/// Builds all images once more, without any cache for as much as `extent` says.
///
/// # Errors
/// When the environment lacks something.
pub(super) fn build<'a>(
    builder: &Builder<'a>,
    services: &[Service],
    extent: Extent,
) -> Result<Result<Again<'a>, Built>, StepError> {
    let (cx, log) = (builder.cx, builder.log);
    let plans = builder.plans(services)?;
    let stages: Vec<&Stage> = plans.iter().map(|it| it.stage).collect();
    let (elsewhere, file) = match extent {
        Extent::Images => match derived(builder, &stages)? {
            Ok(file) => (None, file),
            Err(failed) => return Ok(Err(failed)),
        },
        Extent::Everything => {
            (Some(Elsewhere::make(cx, builder.podman, log, &builder.bases)?), marked_file(cx)?)
        }
    };
    let podman = elsewhere.as_ref().map_or_else(|| builder.podman.clone(), |it| it.podman.clone());
    let second =
        Builder { podman: &podman, file: builder.file.clone(), bases: builder.bases.clone(), cx, log };
    let mut build: Process = second.command(&file)?;
    if extent == Extent::Images {
        build = build.arg("--no-cache");
    }
    let mut images = Vec::new();
    for plan in &plans {
        match second.untagged(&build, plan.stage)? {
            Ok(id) => images.push(Unfinished {
                id,
                name: String::new(),
                labels: plan.labels.clone(),
                made_s: plan.origin.committed_s,
            }),
            Err(failed) => return Ok(Err(failed)),
        }
    }
    drop(second);
    Ok(Ok(Again { podman, images, _elsewhere: elsewhere }))
}

/// A Containerfile of the images' own stages, on what the others made before.
fn derived(builder: &Builder<'_>, stages: &[&Stage]) -> Result<Result<String, Built>, StepError> {
    let cx = builder.cx;
    let targets: Vec<&str> = stages.iter().map(|it| it.name.as_str()).collect();
    let build = builder.command(&marked_file(cx)?)?;
    let mut ids = BTreeMap::new();
    for name in sources(&builder.file, &targets) {
        let Some(stage) = builder.file.stage(&name) else { continue };
        match builder.untagged(&build, stage)? {
            Ok(id) => drop(ids.insert(name, id)),
            Err(failed) => return Ok(Err(failed)),
        }
    }
    let text = marked(cx)?;
    let path = cx.target().join("again.Containerfile");
    fs::write(&path, of_images(&text, &targets, &ids))
        .with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    Ok(Ok(path.to_string_lossy().into_owned()))
}
