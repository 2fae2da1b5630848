//! `images verify`: builds every image once more and compares, so that a digest says what is in an image and nothing else.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    again::Again,
    archive::{Archive, Entry, Kind},
    bases::Found,
    build::Image,
    containerfile::{Containerfile, FILE, SCRATCH},
    finish,
};
use crate::{
    context::Context,
    outcome::{Finding, StepError},
    podman::Podman,
    process::Log,
    verdict::hashed,
};

/// How much of the build is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The images' own stages; what was compiled is taken as it is.
    Images,
    /// Everything, from the bases on, in a store of its own.
    Everything,
}

/// What comes out otherwise the second time.
///
/// # Errors
/// When it cannot be built again.
pub(super) fn differences(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    images: &[Image],
    again: &Again<'_>,
) -> Result<Vec<Finding>, StepError> {
    let saved = finish::save(cx, &again.podman, log, &again.ids(), "again")?;
    let second = Archive::open(&saved.0)?;
    let ids: Vec<&str> = images.iter().map(|it| it.recorded.id.as_str()).collect();
    let first = finish::save(cx, podman, log, &ids, "first")?;
    let first = (Archive::open(&first.0)?, first);
    let mut findings = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let unfinished = &again.images[index];
        let id = finish::id(cx, &second.images[index], unfinished)?;
        if id == image.recorded.id {
            log.line(&format!("{}  {id}  twice the same", image.service.name));
            continue;
        }
        let config = finish::config(&second.images[index], unfinished);
        let what = difference([&first.0, &second], index, &config)?;
        let message = format!(
            "the image of `{}` comes out otherwise when it is built again: {what}",
            image.service.name
        );
        let fix =
            "leave out of the image what a build makes by chance: times, names of hosts, the order of a hash";
        findings.push(Finding::error("image-not-reproducible", message).at(FILE, image.line).fix(fix));
    }
    Ok(findings)
}

/// The first file that differs, and in what.
fn difference(archives: [&Archive; 2], image: usize, config: &Value) -> anyhow::Result<String> {
    let [one, other] = archives.map(|it| &it.images[image].layers);
    for (number, (a, b)) in one.iter().zip(other).enumerate() {
        if a == b {
            continue;
        }
        let entries = |archive: &Archive, layer: &str| -> anyhow::Result<BTreeMap<String, Entry>> {
            Ok(archive.layer(layer)?.into_iter().map(|it| (it.path.clone(), it)).collect())
        };
        let (first, second) = (entries(archives[0], a)?, entries(archives[1], b)?);
        for path in first.keys().chain(second.keys()) {
            let what = match (first.get(path), second.get(path)) {
                (Some(a), Some(b)) => match differing(archives, a, b)? {
                    Some(what) => what,
                    None => continue,
                },
                (Some(_), None) => "it is not there the second time".to_owned(),
                _ => "it is only there the second time".to_owned(),
            };
            return Ok(format!("`/{path}` of layer {}: {what}", number + 1));
        }
        return Ok(format!("the order of the files of layer {}", number + 1));
    }
    if one.len() != other.len() {
        return Ok(format!("it has {} layers, and {} the second time", one.len(), other.len()));
    }
    Ok(match setting(&archives[0].images[image].config, config) {
        Some(what) => what,
        None => "how podman keeps it".into(),
    })
}

/// The first part of a configuration that differs, with both values.
fn setting(one: &Value, other: &Value) -> Option<String> {
    if let (Value::Object(a), Value::Object(b)) = (one, other) {
        let mut keys = a.keys().chain(b.keys());
        let key = keys.find(|it| a.get(*it) != b.get(*it))?;
        let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
        return Some(setting(a, b).map_or_else(|| format!("`{key}`"), |it| format!("`{key}`: {it}")));
    }
    if let (Value::Array(a), Value::Array(b)) = (one, other)
        && let Some((a, b)) = a.iter().zip(b).find(|(a, b)| a != b)
    {
        return setting(a, b);
    }
    (one != other).then(|| format!("{one} and {other}"))
}

fn differing(archives: [&Archive; 2], a: &Entry, b: &Entry) -> anyhow::Result<Option<String>> {
    if a.kind != b.kind || a.leads_to != b.leads_to {
        return Ok(Some("it is another kind of file".into()));
    }
    if a.size != b.size {
        return Ok(Some(format!("{} bytes and {} bytes", a.size, b.size)));
    }
    if a.kind == Kind::File {
        let (one, other) = (archives[0].content(a, u64::MAX)?, archives[1].content(b, u64::MAX)?);
        if let Some(at) = one.iter().zip(&other).position(|(a, b)| a != b) {
            return Ok(Some(format!("from byte {at} on it holds something else")));
        }
    }
    if a.modified_s != b.modified_s {
        return Ok(Some(format!("it was changed at {} and at {}, in seconds", a.modified_s, b.modified_s)));
    }
    if (a.mode, a.owner) != (b.mode, b.owner) {
        let of = |it: &Entry| format!("{:04o} {}:{}", it.mode & 0o7777, it.owner.0, it.owner.1);
        return Ok(Some(format!("its mode and owner are {} and {}", of(a), of(b))));
    }
    Ok(None)
}

/// The Containerfile with the images' own stages as they are, and what they copy from as it was built: `ids` by stage.
pub(super) fn of_images(text: &str, targets: &[&str], ids: &BTreeMap<String, String>) -> String {
    let file = Containerfile::parse(text);
    let lines: Vec<&str> = text.lines().collect();
    let own: Vec<&str> = targets
        .iter()
        .filter_map(|it| file.stage(it))
        .flat_map(|it| file.chain(it))
        .map(|it| it.name.as_str())
        .collect();
    let mut written = String::new();
    for (index, stage) in file.stages.iter().enumerate() {
        let end = file.stages.get(index + 1).map_or(lines.len(), |it| it.line as usize - 1);
        if own.contains(&stage.name.as_str()) {
            let arguments = file.arguments.iter().filter(|(name, _)| stage.parent.contains(name.as_str()));
            arguments.for_each(|(name, (value, _))| written += &format!("ARG {name}={value}\n"));
            written += &lines[stage.line as usize - 1..end].join("\n");
            written.push('\n');
        } else if let Some(id) = ids.get(&stage.name) {
            written += &format!("FROM {id} AS {}\n", stage.name);
        }
    }
    written
}

/// The stages that the images' own stages copy from.
pub(super) fn sources(file: &Containerfile, targets: &[&str]) -> Vec<String> {
    let stages: Vec<_> =
        targets.iter().filter_map(|it| file.stage(it)).flat_map(|it| file.chain(it)).collect();
    let copied = stages.iter().flat_map(|it| &it.instructions).filter_map(|it| it.source());
    let mut names: Vec<String> = copied.filter_map(|it| file.stage(it)).map(|it| it.name.clone()).collect();
    names.retain(|it| it != SCRATCH && !stages.iter().any(|stage| stage.name == *it));
    names.sort();
    names.dedup();
    names
}

/// A store of its own, which removes itself.
#[derive(Debug)]
pub(super) struct Elsewhere<'a> {
    cx: &'a Context,
    pub(super) podman: Podman,
    folder: PathBuf,
    run: PathBuf,
}

impl<'a> Elsewhere<'a> {
    /// Makes it, with the bases in it.
    ///
    /// # Errors
    /// When podman cannot use it, or a base cannot be brought there.
    pub(super) fn make(
        cx: &'a Context,
        podman: &Podman,
        log: &Log,
        bases: &[Found],
    ) -> Result<Self, StepError> {
        let folder = cx.target().join("store");
        // One of this checkout alone, so that the next run finds what a killed one left.
        let root = cx.root.to_string_lossy();
        let run = Path::new("/tmp").join(format!("slipway-{:.16}", hashed([root.as_ref()].into_iter())));
        let elsewhere = Self { cx, podman: podman.elsewhere(&folder, &run), folder, run };
        elsewhere.remove();
        fs::create_dir_all(elsewhere.folder.join("tmp"))
            .and_then(|()| DirBuilder::new().mode(0o700).create(&elsewhere.run))
            .context("cannot make a store for images")?;
        for base in bases {
            let saved = finish::save(cx, podman, log, &[base.reference.as_str()], "base")?;
            let path = saved.0.to_string_lossy().into_owned();
            elsewhere.podman.answer(cx, log, &["load", "--quiet", "--input", &path])?;
        }
        Ok(elsewhere)
    }

    fn remove(&self) {
        let storage = self.folder.join("root");
        if storage.exists() {
            self.podman.process(self.cx).args(["rmi", "--all", "--force"]).answer();
            self.cx.process("umount").arg(storage.join("overlay")).answer();
        }
        remove_all(&self.folder);
        remove_all(&self.run);
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

fn remove_all(folder: &Path) {
    // What is not there need not go.
    fs::remove_dir_all(folder).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_images_own_stages_are_built_again() {
        let text = "ARG B=x:1\nFROM ${B} AS builder\nRUN a\nFROM builder AS system\nRUN b\nFROM scratch AS runtime\n\
                    COPY --from=system / /\nFROM runtime AS a-runtime\nCOPY --from=builder /a /a\n";
        let file = Containerfile::parse(text);
        assert_eq!(sources(&file, &["a-runtime"]), ["builder", "system"]);
        let ids = BTreeMap::from([("builder".to_owned(), "1f".to_owned()), ("system".into(), "2f".into())]);
        insta::assert_snapshot!(of_images(text, &["a-runtime"], &ids), @"
        FROM 1f AS builder
        FROM 2f AS system
        FROM scratch AS runtime
        COPY --from=system / /
        FROM runtime AS a-runtime
        COPY --from=builder /a /a
        ");
    }
}
