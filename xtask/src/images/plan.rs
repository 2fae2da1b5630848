//! What is to become of each image: whether the store has it, has what it is made of, or it is to be built.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    bases::Found,
    build::{Builder, FIXED, MARK, carried_out},
    containerfile::{Containerfile, Stage},
    finish::{self, FINGERPRINT, Labels},
    origin::{Origin, Origins},
};
use crate::{
    context::Context,
    outcome::StepError,
    podman::{Podman, refused},
    process::Log,
    services::Service,
};

/// What is to become of one service.
pub(super) struct Plan<'a> {
    pub(super) service: &'a Service,
    pub(super) stage: &'a Stage,
    pub(super) origin: Origin,
    pub(super) labels: Labels,
    /// The bases that it is made of.
    bases: Vec<Found>,
    pub(super) state: State,
}

pub(super) enum State {
    /// The store has it as it shall be, under this id.
    There(String),
    /// What it is made of is in the store, with other labels.
    Relabel(String),
    Build,
}

/// An image of the store that says what it was made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Plan<'_> {
    pub(super) fn on_stand_in(&self) -> bool {
        self.bases.iter().any(|it| it.stand_in)
    }
}

impl Builder<'_> {
    /// What is to become of each service.
    pub(super) fn plans<'p>(&'p self, services: &'p [Service]) -> Result<Vec<Plan<'p>>, StepError> {
        let origins = Origins::read(self.cx);
        let there = there(self.cx, self.podman, self.log)?;
        let plan = |service: &'p Service| {
            let stage = self.file.stage(&service.manifest.image)?;
            let bases: Vec<Found> = used(&self.file, stage, &self.bases);
            let origin = origins.of(service, &bases, &made_with());
            let labels = finish::labels(self.cx, service, &origin, &bases);
            let state = state(&origin, &labels, &there);
            Some(Plan { service, stage, origin, labels, bases, state })
        };
        Ok(services.iter().filter_map(plan).collect())
    }

    /// Whether what was built is what was planned: nobody changed a source meanwhile.
    pub(super) fn is_as_planned(&self, plans: &[Plan<'_>]) -> bool {
        if !plans.iter().any(|it| matches!(it.state, State::Build)) {
            return true;
        }
        let origins = Origins::read(self.cx);
        let now = |plan: &Plan<'_>| origins.of(plan.service, &plan.bases, &made_with()).fingerprint;
        plans.iter().all(|it| now(it) == it.origin.fingerprint)
    }
}

/// The store's images that say what they were made of, in one question.
fn there(cx: &Context, podman: &Podman, log: &Log) -> Result<Vec<Listed>, StepError> {
    let filter = format!("label={FINGERPRINT}");
    let list = podman.process(cx).args(["images", "--no-trunc", "--filter", &filter, "--format=json"]);
    let listed = carried_out(&list, log)?;
    if !listed.success() {
        return Err(refused("podman cannot list its images", &listed));
    }
    Ok(serde_json::from_str(&listed.stdout).context("cannot read podman's list of images")?)
}

fn state(origin: &Origin, labels: &Labels, there: &[Listed]) -> State {
    let Some(fingerprint) = &origin.fingerprint else { return State::Build };
    let label = |it: &Listed, key: &str| it.labels.as_ref().and_then(|it| it.get(key)).cloned();
    let mut same = there.iter().filter(|it| label(it, FINGERPRINT).as_ref() == Some(fingerprint)).peekable();
    let says = |it: &&Listed| labels.iter().all(|(key, value)| label(it, key).as_ref() == Some(value));
    let any = same.peek().map(|it| it.id.clone());
    let id = |id: &str| id.trim_start_matches("sha256:").to_owned();
    match (same.find(says), any) {
        (Some(it), _) => State::There(id(&it.id)),
        (None, Some(any)) => State::Relabel(id(&any)),
        (None, None) => State::Build,
    }
}

/// What decides over an image besides files and bases.
fn made_with() -> Vec<&'static str> {
    FIXED.iter().copied().chain([MARK]).collect()
}

/// The bases that a target is made of.
fn used(file: &Containerfile, stage: &Stage, bases: &[Found]) -> Vec<Found> {
    let needed = file.needed(stage);
    let names = |found: &Found, text: &str| {
        text.contains(found.name.as_str())
            || found.argument.as_ref().is_some_and(|it| text.contains(it.as_str()))
    };
    let uses = |found: &&Found| {
        let sources =
            |it: &&Stage| it.instructions.iter().filter_map(|it| it.source()).any(|it| names(found, it));
        needed.iter().any(|it| names(found, &it.parent) || sources(it))
    };
    bases.iter().filter(uses).cloned().collect()
}
