//! Images for who starts them: those of this workspace's targets, and any other that the store has or can get.

use std::collections::BTreeMap;

use super::{
    bases::{self, Missing},
    build,
    held::exist,
    references,
};
use crate::{
    config::Base,
    context::Context,
    outcome::{Outcome, StepError},
    podman::Podman,
    process::Log,
};

/// Which images of this workspace are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Those of the sources as they are; what is built already is not built again.
    OfTheSources,
    /// Those that were built last, whatever the sources are now.
    AsTheyAre,
}

/// The images of those targets that a service of this workspace has, by target; or how the build failed.
///
/// # Errors
/// When the environment lacks something that the build needs.
pub(crate) fn of_targets(
    cx: &Context,
    log: &Log,
    targets: &[String],
    wish: Wish,
) -> Result<Result<BTreeMap<String, String>, Outcome>, StepError> {
    let mut services = cx.services()?;
    services.retain(|it| targets.contains(&it.manifest.image));
    let built = || -> BTreeMap<String, String> {
        let all = references(cx);
        let of = |name: &str| all.iter().find(|it| named(it) == name).cloned();
        services.iter().filter_map(|it| Some((it.manifest.image.clone(), of(&it.name)?))).collect()
    };
    let there = built();
    let complete = there.len() == services.len() && exist(cx, &there.values().cloned().collect::<Vec<_>>());
    if services.is_empty() || (wish == Wish::AsTheyAre && complete) {
        return Ok(Ok(there));
    }
    if wish == Wish::AsTheyAre {
        let has =
            |name: &str| there.values().any(|it| named(it) == name && exist(cx, std::slice::from_ref(it)));
        let absent: Vec<&str> = services.iter().map(|it| it.name.as_str()).filter(|it| !has(it)).collect();
        return Err(no_image(&absent));
    }
    let outcome = build(cx, log)?;
    let all = built();
    if matches!(outcome, Outcome::Judged(_)) && !outcome.is_red() && all.len() == services.len() {
        return Ok(Ok(all));
    }
    Ok(Err(outcome))
}

/// The image itself, or what stands in for it: from the store, else pulled, else made where there is a recipe.
///
/// # Errors
/// When there is none of them.
pub(crate) fn obtained(cx: &Context, podman: &Podman, log: &Log, image: &str) -> Result<String, StepError> {
    let configured = cx.config.images.bases.values().find(|it| it.image == image).cloned();
    let base = configured.unwrap_or_else(|| Base { image: image.into(), argument: None, digest: None });
    match bases::find(cx, podman, log, &base, Missing::Tell) {
        Ok(found) => Ok(found.reference),
        Err(StepError::Interrupted) => Err(StepError::Interrupted),
        Err(_) => Ok(bases::find(cx, podman, log, &base, Missing::Make)?.reference),
    }
}

/// What is said of images that are to be taken as they are, and are not.
pub(crate) fn no_image(names: &[&str]) -> StepError {
    let names = names.join("`, `");
    let lacks = format!("this checkout has built no image of `{names}`, and `--no-build` builds none");
    StepError::environment(lacks, "leave out `--no-build`")
}

/// The service's name in an image's name.
fn named(reference: &str) -> &str {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    name.split(':').next().unwrap_or(name)
}
