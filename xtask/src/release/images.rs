//! The images that a release is made of: the very ones that the gate tested, as podman's store has them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    images,
    outcome::{Status, StepError},
    podman::Podman,
    process::Log,
    steps::STEPS,
    verdict::{Verdicts, tree::Tree},
};

/// Labels that a release looks at.
const FINGERPRINT: &str = "dev.slipway.fingerprint";
const STAND_IN: &str = "dev.slipway.stand-in-base";
const BASE: &str = "org.opencontainers.image.base.name";
const VERSION: &str = "org.opencontainers.image.version";

/// An image in podman's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ready {
    pub(crate) service: String,
    /// Its name in the store.
    pub(crate) reference: String,
    /// The digest of its configuration, which is what it is.
    pub(crate) id: String,
    /// What went into it, as its label says.
    pub(crate) fingerprint: Option<String>,
    /// The version that its label says.
    pub(crate) version: Option<String>,
    /// Bases that stand in for genuine ones, as its label says.
    pub(crate) stand_ins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// The images that the gate's last green verdict on this very tree is about; none where there is no such verdict.
pub(crate) fn tested(cx: &Context) -> Vec<String> {
    let Some(step) = STEPS.iter().find(|it| it.name == "images") else { return Vec::new() };
    Verdicts::of(cx, Tree::read(&cx.root)).images(step)
}

/// The same for a run that just came to its end: where its verdict could not be kept, what it built is what it tested.
pub(crate) fn tested_by(cx: &Context, status: Status) -> Vec<String> {
    let kept = tested(cx);
    if kept.is_empty() && status == Status::Passed { images::references(cx) } else { kept }
}

/// Looks up each image in the store.
///
/// # Errors
/// When podman cannot be asked, or an image is gone.
pub(crate) fn look_up(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    references: &[String],
) -> Result<Vec<Ready>, StepError> {
    let mut found = Vec::new();
    for reference in references {
        let text = podman.answer(cx, log, &["image", "inspect", reference])?;
        let inspected: Vec<Inspected> =
            serde_json::from_str(&text).context("cannot read what podman says of an image")?;
        let Some(image) = inspected.into_iter().next() else { continue };
        found.push(ready(reference, image));
    }
    found.sort_by(|a, b| a.service.cmp(&b.service));
    Ok(found)
}

fn ready(reference: &str, image: Inspected) -> Ready {
    let labels = image.labels.unwrap_or_default();
    let label = |name: &str| labels.get(name).filter(|it| !it.is_empty()).cloned();
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let stands_in = label(STAND_IN).is_some_and(|it| it == "true");
    let base = || label(BASE).unwrap_or_else(|| "a base without a name".into());
    Ready {
        service: name.split(':').next().unwrap_or(name).to_owned(),
        reference: reference.to_owned(),
        id: format!("sha256:{}", image.id.trim_start_matches("sha256:")),
        fingerprint: label(FINGERPRINT),
        version: label(VERSION),
        stand_ins: stands_in.then(base).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_ins(labels: &str) -> Vec<String> {
        let image = format!(r#"{{"Id": "ab", "Labels": {{{labels}}}}}"#);
        ready("localhost/x/edge:1", serde_json::from_str(&image).unwrap()).stand_ins
    }

    #[test]
    fn only_an_image_that_says_so_starts_from_a_stand_in() {
        assert_eq!(stand_ins(r#""dev.slipway.stand-in-base": "false""#), Vec::<String>::new());
        assert_eq!(stand_ins(""), Vec::<String>::new());
        let told = r#""dev.slipway.stand-in-base": "true", "org.opencontainers.image.base.name": "localhost/slipway-base/rust:1""#;
        assert_eq!(stand_ins(told), ["localhost/slipway-base/rust:1"]);
    }
}
