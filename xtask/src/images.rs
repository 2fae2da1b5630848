//! The step `images`: one image per service from one compile, each looked into and then started for real.

mod apt;
mod bases;
mod build;
mod containerfile;
mod containers;
mod registry;
mod relay;
mod stack;
mod stand_in;
mod stock;
mod storage;
mod unfinished;

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

pub(crate) use self::stock::{Wish, obtained, of_targets};
use self::{
    bases::Missing,
    build::{Built, Image},
    containerfile::FILE,
};
use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    podman::{self, Podman},
    process::{Log, Process},
    services::Kind,
    steps,
    verdict::inputs::Inputs,
};

/// Bytes of a megabyte as the configuration counts.
const MEGABYTE: u64 = 1_000_000;

/// What podman says of an image, as far as it is judged.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    size: u64,
    #[serde(default)]
    config: Inside,
    /// podman keeps the health check beside the configuration, too; which of the two depends on its version.
    #[serde(default)]
    healthcheck: Option<HealthCheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inside {
    user: String,
    healthcheck: Option<HealthCheck>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthCheck {
    test: Option<Vec<String>>,
}

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
    let built = cx.crates_below(services.iter().map(|it| it.name.as_str()));
    let mut inputs = Inputs::files([
        "**",
        "!LICENSE*",
        "!*.md",
        "!.ci/",
        "!.gitea/",
        "!.github/",
        "!.config/",
        "!compose*.yaml",
    ]);
    for package in cx.metadata.workspace_packages() {
        let Some(folder) = cx.folder_of(&package.name).filter(|it| !it.is_empty()) else { continue };
        let left_out: &[&str] =
            if built.contains(package.name.as_str()) { &["tests/", "benches/", "examples/"] } else { &[""] };
        inputs.files.extend(left_out.iter().map(|it| format!("!{folder}{it}")));
    }
    Inputs { server: true, gate: true, images: true, ..inputs }
        .and(["**/Cargo.toml"])
        .and(steps::migrations::files(cx))
        .setting((&cx.config.images, &cx.config.postgres, &cx.config.roles, &cx.config.migrations))
}

/// The images that this checkout built last.
pub(crate) fn references(cx: &Context) -> Vec<String> {
    build::references(cx)
}

/// Whether podman has all of these, in one question; none at all needs no podman.
pub(crate) fn exist(cx: &Context, references: &[String]) -> bool {
    if references.is_empty() {
        return true;
    }
    let settings = cx.target().join(podman::SETTINGS_FILE);
    let mut process = cx.process("podman").args(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    if settings.is_file() && std::env::var_os("CONTAINERS_CONF").is_none() {
        process = process.env("CONTAINERS_CONF", settings);
    }
    let there = process.answer().unwrap_or_default();
    references.iter().all(|it| there.lines().any(|line| line == it))
}

/// Builds all images, looks into each, and starts them as one stack.
pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let podman = Podman::find(cx, log)?;
    let mut images = match build::all(cx, &podman, log, &cx.services()?)? {
        Built::All(images) => images,
        Built::Failed { finding, output } => {
            return Ok(not_built(finding, output));
        }
    };
    let mut findings = Vec::new();
    for image in &mut images {
        let found = look_into(cx, &podman, log, image)?;
        image.tells_health = found.iter().all(|it| it.code != "image-no-healthcheck");
        findings.extend(found);
    }
    findings.extend(stack::judge(cx, &podman, log, &images)?);
    Ok(Outcome::Judged(findings))
}

/// Builds all images and says what they are called.
pub(crate) fn build(cx: &Context, log: &Log) -> StepResult {
    if let Some(reason) = skip(cx) {
        return Ok(Outcome::Skipped(reason));
    }
    let podman = Podman::find(cx, log)?;
    match build::all(cx, &podman, log, &cx.services()?)? {
        Built::All(images) => {
            images.iter().for_each(|it| log.line(&it.reference));
            Ok(Outcome::Judged(images.iter().map(built).collect()))
        }
        Built::Failed { finding, output } => Ok(not_built(finding, output)),
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
        if found.reference != base.image {
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
fn not_built(finding: Finding, output: String) -> Outcome {
    let findings = vec![finding];
    if output.is_empty() { Outcome::Judged(findings) } else { Outcome::ToolFailed { findings, output } }
}

fn built(image: &Image) -> Finding {
    let mut finding = Finding::warning("image-built", image.reference.clone());
    finding.level = crate::outcome::Level::Info;
    finding
}

fn look_into(cx: &Context, podman: &Podman, log: &Log, image: &Image) -> Result<Vec<Finding>, StepError> {
    let text = podman.answer(cx, log, &["image", "inspect", &image.reference])?;
    let images: Vec<Inspected> =
        serde_json::from_str(&text).context("cannot read what podman says of an image")?;
    let max = cx.config.images.max_size_mb;
    Ok(images.iter().flat_map(|it| judged(image, it, max)).collect())
}

fn judged(image: &Image, inspected: &Inspected, max_size_mb: u64) -> Vec<Finding> {
    let name = &image.service.name;
    let mut findings = Vec::new();
    if inspected.size > max_size_mb * MEGABYTE {
        let size = inspected.size.div_ceil(MEGABYTE);
        let message = format!("the image of `{name}` takes {size} MB; {max_size_mb} MB is the most");
        let fix = "leave out what the binary does not need, or raise `max-size-mb` in `.config/xtask.toml`";
        findings.push(Finding::error("image-too-large", message).at(FILE, image.line).fix(fix));
    }
    let user = inspected.config.user.split(':').next().unwrap_or_default();
    if !user.parse::<u32>().is_ok_and(|it| it > 0) {
        let message = match user {
            "" | "0" | "root" => format!("the image of `{name}` runs as root"),
            other => {
                format!("the image of `{name}` runs as `{other}`, which a cluster cannot tell from root")
            }
        };
        let finding = Finding::error("image-root-user", message).at(FILE, image.line);
        findings.push(finding.fix("USER 65532:65532"));
    }
    let check = inspected.config.healthcheck.as_ref().or(inspected.healthcheck.as_ref());
    let test = check.and_then(|it| it.test.clone()).unwrap_or_default();
    let none = test.is_empty() || test[0] == "NONE";
    if none && image.service.manifest.kind == Kind::Service {
        let message =
            format!("the image of `{name}` has no HEALTHCHECK, so a rollout cannot tell whether it works");
        let finding = Finding::error("image-no-healthcheck", message).at(FILE, image.line);
        findings.push(finding.fix(format!("HEALTHCHECK CMD [\"/usr/bin/{name}\", \"healthcheck\"]")));
    }
    if let Some(port) = image.service.manifest.port {
        let exposed = inspected.config.exposed_ports.as_ref();
        if !exposed.is_some_and(|it| it.contains_key(&format!("{port}/tcp"))) {
            let message = format!("the image of `{name}` does not say that it listens on {port}");
            let finding = Finding::warning("image-port-not-exposed", message).at(FILE, image.line);
            findings.push(finding.fix(format!("EXPOSE {port}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Manifest, Service};

    fn found(inspected: &str) -> String {
        let manifest = Manifest {
            kind: Kind::Service,
            image: "edge-runtime".into(),
            port: Some(1),
            health: None,
            database_role: None,
            upstream: None,
            secrets: Vec::new(),
        };
        let service = Service { name: "edge".into(), manifest };
        let image = Image { service, reference: "localhost/x/edge:1".into(), line: 7, tells_health: true };
        let inspected = serde_json::from_str(inspected).unwrap();
        let lines =
            judged(&image, &inspected, 40).into_iter().map(|it| format!("{}: {}", it.code, it.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_image_that_is_too_large_runs_as_root_and_has_no_health_check_is_told_all_of_it() {
        insta::assert_snapshot!(found(r#"{"Size": 40000001, "Config": {}}"#), @r"
        image-too-large: the image of `edge` takes 41 MB; 40 MB is the most
        image-root-user: the image of `edge` runs as root
        image-no-healthcheck: the image of `edge` has no HEALTHCHECK, so a rollout cannot tell whether it works
        image-port-not-exposed: the image of `edge` does not say that it listens on 1
        ");
    }

    #[test]
    fn an_image_as_it_should_be_is_not_mentioned() {
        let config =
            r#"{"User": "65532", "ExposedPorts": {"1/tcp": {}}, "Healthcheck": {"Test": ["CMD", "/edge"]}}"#;
        assert_eq!(found(&format!(r#"{{"Size": 40000000, "Config": {config}}}"#)), "");
    }

    #[test]
    fn a_user_by_name_is_told() {
        let config =
            r#"{"User": "nobody", "ExposedPorts": {"1/tcp": {}}, "Healthcheck": {"Test": ["CMD", "x"]}}"#;
        insta::assert_snapshot!(found(&format!(r#"{{"Size": 1, "Config": {config}}}"#)), @"image-root-user: the image of `edge` runs as `nobody`, which a cluster cannot tell from root");
    }
}
