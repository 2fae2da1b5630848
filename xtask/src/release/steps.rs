//! The steps of a release, around the gate's own: what each proves, and how it is told.

use crate::{
    context::Context,
    outcome::{Outcome, StepResult},
    process::Log,
    steps::{Lane, Step},
    verdict::inputs::Inputs,
};

/// What can keep the release from being made is looked at before anything is done.
pub(crate) const CHECKS: &Step = &step("checks", Lane::Source, "nothing keeps this release from being made");
pub(crate) const VERSION: &Step =
    &step("version", Lane::Source, "manifest, lock file and changelog say the version");
pub(crate) const EVIDENCE: &Step = &step(
    "evidence",
    Lane::Source,
    "advisories and bases were judged, and the images are those that the gate tested",
);
pub(crate) const TAG: &Step = &step("tag", Lane::Source, "git has the tag, with a message");
pub(crate) const REMOTE: &Step = &step("remote", Lane::Source, "the remote has branch and tag");
pub(crate) const PUSH: &Step =
    &step("push", Lane::Image, "the registry has the images by digest, signed, with their SBOMs");
pub(crate) const VERIFY: &Step =
    &step("verify", Lane::Image, "a host that pulls by digest gets what was tested");
pub(crate) const PUBLISH: &Step =
    &step("publish", Lane::Image, "the tags lead to the images, and the signed record tells what is where");
pub(crate) const ANNOUNCE: &Step = &step("announce", Lane::Image, "Slipway knows the release");

/// All of them, in the order in which they run; the gate's come after `version`.
const ALL: &[&Step] = &[CHECKS, VERSION, EVIDENCE, TAG, REMOTE, PUSH, VERIFY, PUBLISH, ANNOUNCE];

/// Whether a step is a release's own, which nobody runs by itself.
pub(crate) fn is_one(name: &str) -> bool {
    ALL.iter().any(|it| it.name == name)
}

const fn step(name: &'static str, lane: Lane, proves: &'static str) -> Step {
    Step {
        name,
        lane,
        proves,
        fix: None,
        skip: &always,
        inputs: &nothing,
        needs: &|_| &[],
        run: &by_the_release,
    }
}

fn always(_: &Context) -> Option<String> {
    None
}

/// No verdict of theirs is kept: what they did is asked for where it was done.
fn nothing(_: &Context) -> Inputs {
    Inputs::default()
}

/// A release runs them in its own way.
fn by_the_release(_: &Context, _: &Log) -> StepResult {
    Ok(Outcome::Skipped("it is a part of a release".into()))
}
