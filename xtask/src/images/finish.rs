//! What an image says of itself, put on last, and what a build puts in by chance, taken off.
//!
//! No layer depends on the labels: a commit leaves every layer where it is, and an image that it does not change keeps its
//! labels and its digest. A build's own marks (the container's name, the host's, podman's version) are of no use to anyone
//! and would give two builds of one commit two digests.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::{
    archive::{Archive, Saved, Written},
    bases::Found,
    origin::Origin,
};
use crate::{
    context::Context,
    outcome::StepError,
    podman::{Podman, refused},
    process::Log,
    services::Service,
};

pub(super) const REVISION: &str = "org.opencontainers.image.revision";
pub(super) const VERSION: &str = "org.opencontainers.image.version";
pub(super) const FINGERPRINT: &str = "dev.slipway.fingerprint";
pub(super) const STAND_IN_BASE: &str = "dev.slipway.stand-in-base";
const CREATED: &str = "org.opencontainers.image.created";
const TITLE: &str = "org.opencontainers.image.title";
const SERVICE: &str = "dev.slipway.service";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// What builds put on that says nothing of the image.
const BY_CHANCE: &[&str] = &["dev.slipway.stage", "io.buildah.version"];
/// The parts of a configuration that say what an image is; the others say how it came about.
const KEPT: &[&str] = &["architecture", "config", "created", "history", "os", "rootfs", "variant"];
/// What stands for what nobody can know, outside of a git repository.
pub(super) const UNKNOWN: &str = "unknown";

/// Names with values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// An image to be finished.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// What the build made.
    pub(super) id: String,
    /// Its name up to the tag, which is the beginning of its id.
    pub(super) name: String,
    pub(super) labels: Labels,
    /// When it counts as made, in seconds since 1970.
    pub(super) made_s: u64,
}

/// An image that has its labels and its name.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub(super) id: String,
    pub(super) reference: String,
}

/// What the image of a service shall say.
pub(super) fn labels(cx: &Context, service: &Service, origin: &Origin, bases: &[Found]) -> Labels {
    let known = |it: &Option<String>| it.clone().unwrap_or_else(|| UNKNOWN.into());
    let mut labels = vec![
        (TITLE, service.name.clone()),
        (SERVICE, service.name.clone()),
        (VERSION, version(cx, service)),
        (REVISION, known(&origin.revision)),
        (CREATED, time(origin.committed_s)),
        (FINGERPRINT, known(&origin.fingerprint)),
        (STAND_IN_BASE, bases.iter().any(|it| it.stand_in).to_string()),
    ];
    if let Some(base) = bases.first() {
        labels.push((BASE_NAME, base.reference.clone()));
        labels.push((BASE_DIGEST, base.digest.clone()));
    }
    labels
}

/// The version of a service's crate.
pub(super) fn version(cx: &Context, service: &Service) -> String {
    let packages = cx.metadata.workspace_packages();
    let package = packages.iter().find(|it| it.name.as_str() == service.name);
    package.map(|it| it.version.to_string()).unwrap_or_default()
}

/// Finishes all images at once, so that they share their layers.
///
/// # Errors
/// When podman cannot save or load them.
pub(super) fn finish(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    images: &[Unfinished],
) -> Result<Vec<Finished>, StepError> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = images.iter().map(|it| it.id.as_str()).collect();
    let saved = save(cx, podman, log, &ids, "unfinished")?;
    let archive = Archive::open(&saved.0)?;
    let mut finished = Vec::new();
    let mut written = Vec::new();
    for (image, content) in images.iter().zip(&archive.images) {
        let config = spelled(content, image)?;
        let id = digest(cx, &config)?;
        let reference = format!("{}:{}", image.name, &id[..12]);
        written.push(Written { reference: reference.clone(), config, layers: &content.layers });
        finished.push(Finished { id: format!("sha256:{id}"), reference });
    }
    let path = Temporary(cx.target().join("finished.tar"));
    archive.write(&path.0, &written)?;
    let load = podman.process(cx).args(["load", "--quiet", "--input"]).arg(&path.0);
    let loaded = load.log(log).run()?;
    if !loaded.success() {
        return Err(refused("podman cannot store the images", &loaded));
    }
    Ok(finished)
}

/// The id that an image has once it is finished.
///
/// # Errors
/// When it cannot be computed.
pub(super) fn id(cx: &Context, content: &Saved, image: &Unfinished) -> Result<String, StepError> {
    Ok(format!("sha256:{}", digest(cx, &spelled(content, image)?)?))
}

/// The configuration that an image has once it is finished.
pub(super) fn config(content: &Saved, image: &Unfinished) -> Value {
    configured(content.config.clone(), &image.labels, image.made_s)
}

fn spelled(content: &Saved, image: &Unfinished) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(&config(content, image)).context("cannot spell an image's configuration")
}

/// A file that removes itself.
#[derive(Debug)]
pub(super) struct Temporary(pub(super) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Saves images below `target/xtask`.
///
/// # Errors
/// When podman cannot.
pub(super) fn save(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    ids: &[&str],
    name: &str,
) -> Result<Temporary, StepError> {
    let file = Temporary(cx.target().join(format!("{name}.tar")));
    // podman does not write over a file.
    fs::remove_file(&file.0).ok();
    let save = podman.process(cx).args(["save", "--quiet", "--multi-image-archive"]);
    let save = save.args(["--format=docker-archive", "--output"]).arg(&file.0).args(ids);
    let saved = save.log(log).run()?;
    if saved.success() { Ok(file) } else { Err(refused("podman cannot save the images", &saved)) }
}

/// The configuration with the labels, and without what differs from build to build.
fn configured(config: Value, labels: &Labels, made_s: u64) -> Value {
    let Value::Object(mut config) = config else { return config };
    let created = Value::String(time(made_s));
    config.retain(|key, _| KEPT.contains(&key.as_str()));
    config.insert("created".into(), created.clone());
    if let Some(Value::Object(inside)) = config.get_mut("config") {
        inside.retain(|key, _| !["Hostname", "Domainname", "Image"].contains(&key.as_str()));
        let all = inside.entry("Labels").or_insert_with(|| Value::Object(Map::new()));
        if all.is_null() {
            *all = Value::Object(Map::new());
        }
        if let Value::Object(all) = all {
            all.retain(|key, _| !BY_CHANCE.contains(&key.as_str()));
            all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), Value::String(value.clone()))));
        }
    }
    for step in config.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(step) = step {
            // Names the image of the step before, which a build without a cache makes anew.
            step.remove("comment");
            step.insert("created".into(), created.clone());
        }
    }
    Value::Object(config)
}

/// The id that podman will give a configuration.
fn digest(cx: &Context, config: &[u8]) -> Result<String, StepError> {
    let sum = cx.process("sha256sum").input(config).run()?;
    let id = sum.stdout.split_whitespace().next().unwrap_or_default().to_owned();
    let fix = "sudo apt-get install --yes coreutils";
    (id.len() == 64).then_some(id).ok_or_else(|| StepError::environment("`sha256sum` does not work", fix))
}

fn time(s: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(s)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_puts_in_by_chance_is_taken_off_and_the_rest_stays() {
        let config = serde_json::json!({
            "created": "2026-01-01T00:00:00Z", "container": "1f", "container_config": {"Hostname": "x"},
            "config": {"Hostname": "x", "User": "65532:65532", "Healthcheck": {"Test": ["CMD", "/a"]},
                       "Labels": {"io.buildah.version": "1", "org.opencontainers.image.licenses": "MIT"}},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "COPY", "comment": "FROM 1f"}],
            "rootfs": {"diff_ids": ["sha256:1"], "type": "layers"},
        });
        let labels = vec![(REVISION, "c0ffee".to_owned())];
        let config = configured(config, &labels, 946_684_800);
        insta::assert_snapshot!(serde_json::to_string_pretty(&config).unwrap(), @r#"
        {
          "config": {
            "Healthcheck": {
              "Test": [
                "CMD",
                "/a"
              ]
            },
            "Labels": {
              "org.opencontainers.image.licenses": "MIT",
              "org.opencontainers.image.revision": "c0ffee"
            },
            "User": "65532:65532"
          },
          "created": "2000-01-01T00:00:00Z",
          "history": [
            {
              "created": "2000-01-01T00:00:00Z",
              "created_by": "COPY"
            }
          ],
          "rootfs": {
            "diff_ids": [
              "sha256:1"
            ],
            "type": "layers"
          }
        }
        "#);
    }
}
