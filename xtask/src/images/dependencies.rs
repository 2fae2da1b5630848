//! The compiled dependencies as an image of their own, found again by what they were made of: in the store, or in a
//! layer cache that other builders fill.
//!
//! podman's own cache (`--cache-from`, `--cache-to`) keeps every step of every stage, on registries only. One image under
//! one key is all that a fresh builder needs, and it can lie in a folder too.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    build::{carried_out, workspace},
    containerfile::FILE,
};
use crate::{
    config::Base,
    context::Context,
    outcome::{Finding, StepError},
    podman::{Podman, said},
    process::{Finished, Log, Process},
    release::without_version,
    verdict::tree::{Content, Tree},
};

/// The stage that compiles them, by name: a Containerfile without one does without all of this.
pub(super) const STAGE: &str = "dependencies";
/// What this checkout used last, below `target/xtask`.
const KEPT_FILE: &str = "dependencies.json";
const IGNORED: &str = ".containerignore";

/// The image that stands for the stage.
#[derive(Debug)]
pub(super) struct Ready {
    reference: String,
    key: String,
}

/// Where a cache lies.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// A repository of a registry.
    Registry(&'a str),
    /// A folder with an archive a key.
    Folder(&'a str),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    reference: String,
    /// What was used before, since branches with other dependencies come and go.
    #[serde(default)]
    before: Option<String>,
    /// Caches that are known to have it.
    #[serde(default)]
    cached: Vec<String>,
}

impl Kept {
    fn at(root: &Path) -> Self {
        let text = fs::read(Context::target_of(root).join(KEPT_FILE)).ok();
        text.and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default()
    }

    fn write(&self, cx: &Context) -> anyhow::Result<()> {
        let path = cx.target().join(KEPT_FILE);
        let text = serde_json::to_vec(self).context("cannot spell the dependencies' image")?;
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", cx.shown(&path)))
    }
}

/// The names of the images that a checkout keeps: the one that it used last, and the one before.
pub(super) fn kept(root: &Path) -> Vec<String> {
    let kept = Kept::at(root);
    [kept.reference].into_iter().chain(kept.before).filter(|it| !it.is_empty()).collect()
}

/// Finds or makes the image of the dependencies, and returns with which argument a build takes it instead of the stage:
/// in the store, in the cache, else from the Containerfile's stage. Nothing where there is no such stage, or no git that
/// says what it is made of; podman's own layers do then.
///
/// # Errors
/// When podman cannot be asked. A stage that cannot be built is told as podman tells it.
pub(super) fn ready(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    build: &Process,
) -> Result<Result<Option<String>, Finished>, StepError> {
    let Some(key) = key(cx, podman, log)? else { return Ok(Ok(None)) };
    let reference = format!("localhost/{}/{STAGE}:{key}", workspace(&cx.root));
    let ready = Ready { reference, key };
    let argument = format!("--build-context={STAGE}=container-image://{}", ready.reference);
    if podman.agrees(cx, &["image", "exists", &ready.reference])? || ready.pulled(cx, podman, log)? {
        ready.note(cx, None)?;
        return Ok(Ok(Some(argument)));
    }
    let tag = format!("--tag={}", ready.reference);
    let finished = carried_out(&build.clone().args([&tag, "--target", STAGE, "."]), log)?;
    if !finished.success() {
        return Ok(Err(finished));
    }
    ready.note(cx, None)?;
    Ok(Ok(Some(argument)))
}

/// Puts the image that the last build used into the cache.
///
/// # Errors
/// When podman cannot be asked. A cache that does not take it is told, and costs the next builder's time.
pub(super) fn keep(cx: &Context, podman: &Podman, log: &Log) -> Result<Option<Finding>, StepError> {
    let kept = Kept::at(&cx.root);
    let Some(to) = cx.config.images.cache.to.as_ref().filter(|to| !kept.cached.contains(to)) else {
        return Ok(None);
    };
    let Some((_, key)) = kept.reference.rsplit_once(':') else { return Ok(None) };
    let ready = Ready { reference: kept.reference.clone(), key: key.to_owned() };
    let refusal = match Place::of(to) {
        Place::Registry(repository) => {
            ready.pushed(cx, podman, log, &format!("docker://{repository}:{}", ready.key))?
        }
        Place::Folder(folder) => ready.written(cx, podman, log, &cx.root.join(folder))?,
    };
    let Some(refusal) = refusal else {
        ready.note(cx, Some(to))?;
        return Ok(None);
    };
    let message = format!("`{to}` does not take the compiled dependencies: {refusal}");
    Ok(Some(Finding::warning("image-cache", message)))
}

impl Ready {
    /// Whether the cache had it.
    fn pulled(&self, cx: &Context, podman: &Podman, log: &Log) -> Result<bool, StepError> {
        let Some(from) = &cx.config.images.cache.from else { return Ok(false) };
        let arguments = match Place::of(from) {
            Place::Registry(repository) => {
                ["pull".into(), "--quiet".into(), format!("docker://{repository}:{}", self.key)]
            }
            Place::Folder(folder) => {
                let archive = cx.root.join(folder).join(format!("{}.tar", self.key));
                ["load".into(), "--quiet".into(), format!("--input={}", archive.display())]
            }
        };
        let pulled = podman.process(cx).args(arguments).log(log).run()?;
        if !pulled.success() {
            log.line(&format!("`{from}` does not have the dependencies: {}", said(&pulled)));
            return Ok(false);
        }
        // An id, or `Loaded image: NAME`.
        let name = pulled.stdout.split_whitespace().next_back().unwrap_or_default();
        if name != self.reference {
            podman.answer(cx, log, &["tag", name, &self.reference])?;
        }
        self.note(cx, Some(from))?;
        Ok(true)
    }

    /// Why the destination does not take it, if so.
    fn pushed(
        &self,
        cx: &Context,
        podman: &Podman,
        log: &Log,
        to: &str,
    ) -> Result<Option<String>, StepError> {
        // zstd, which OCI's format knows: it takes a fraction of the time that gzip takes.
        let push = ["push", "--quiet", "--format=oci", "--compression-format=zstd", &self.reference, to];
        let pushed = podman.process(cx).args(push).log(log).run()?;
        Ok((!pushed.success()).then(|| said(&pushed).to_owned()))
    }

    /// An archive under its key; whoever reads meanwhile sees all of it or none.
    fn written(
        &self,
        cx: &Context,
        podman: &Podman,
        log: &Log,
        folder: &Path,
    ) -> Result<Option<String>, StepError> {
        let archive = folder.join(format!("{}.tar", self.key));
        if archive.is_file() {
            return Ok(None);
        }
        if let Err(error) = fs::create_dir_all(folder) {
            return Ok(Some(error.to_string()));
        }
        let part = folder.join(format!("{}.{}.part", self.key, cx.run_id));
        let to = format!("oci-archive:{}:{}", part.display(), self.reference);
        let refusal = match self.pushed(cx, podman, log, &to)? {
            Some(refusal) => Some(refusal),
            None => fs::rename(&part, &archive).err().map(|error| error.to_string()),
        };
        if refusal.is_some() {
            fs::remove_file(&part).ok();
        }
        Ok(refusal)
    }

    fn note(&self, cx: &Context, cached: Option<&str>) -> anyhow::Result<()> {
        let mut kept = Kept::at(&cx.root);
        if kept.reference != self.reference {
            let before = Some(kept.reference).filter(|it| !it.is_empty());
            kept = Kept { reference: self.reference.clone(), before, cached: Vec::new() };
        }
        kept.cached.extend(cached.map(str::to_owned).filter(|it| !kept.cached.contains(it)));
        kept.write(cx)
    }
}

impl<'a> Place<'a> {
    fn of(text: &'a str) -> Self {
        if text.starts_with(['/', '.']) { Self::Folder(text) } else { Self::Registry(text) }
    }
}

/// What the stage depends on, as one word: the base's layers, the Containerfile down to the stage's end, the manifests,
/// and which sources there are (not what stands in them).
fn key(cx: &Context, podman: &Podman, log: &Log) -> Result<Option<String>, StepError> {
    let file = fs::read_to_string(cx.root.join(FILE)).unwrap_or_default();
    let (Some(above), Some(tree)) = (above(&file), Tree::read(&cx.root)) else { return Ok(None) };
    let mut text = String::from("1\n") + &above;
    for base in cx.config.images.bases.values().filter(|it| it.argument.is_some()) {
        text += &layers(cx, podman, log, base)?;
    }
    text += &fs::read_to_string(cx.root.join(IGNORED)).unwrap_or_default();
    for (path, content) in &tree.files {
        let name = path.rsplit('/').next().unwrap_or(path);
        match content {
            Content::Known(_) if ["Cargo.toml", "Cargo.lock"].contains(&name) => {
                let file = fs::read_to_string(cx.root.join(path)).unwrap_or_default();
                text += &format!("{path}\n{}", without_version(cx, path, file));
            }
            Content::Opaque(_) if ["Cargo.toml", "Cargo.lock"].contains(&name) => return Ok(None),
            _ if begins_a_target(path) => text += &format!("{path}\n"),
            _ => {}
        }
    }
    let hash = cx.process("git").args(["hash-object", "--stdin"]).input(text);
    Ok(hash.answer().map(|it| it.trim().to_owned()))
}

/// The Containerfile from its first line to the last of the stage; nothing where it has no such stage.
fn above(file: &str) -> Option<String> {
    let begins =
        |line: &str| line.split_whitespace().next().is_some_and(|it| it.eq_ignore_ascii_case("FROM"));
    let is_stage = |line: &&str| begins(line) && line.split_whitespace().next_back() == Some(STAGE);
    let start = file.lines().position(|it| is_stage(&it))?;
    let rest = file.lines().skip(start + 1).take_while(|it| !begins(it)).count();
    Some(file.lines().take(start + 1 + rest).flat_map(|it| [it, "\n"]).collect())
}

fn begins_a_target(path: &str) -> bool {
    ["src/main.rs", "src/lib.rs", "build.rs"].iter().any(|it| path.ends_with(it))
        || (path.contains("/src/bin/") && path.ends_with(".rs"))
}

/// The base by its content: an image that was made here has a time of its own.
fn layers(cx: &Context, podman: &Podman, log: &Log, base: &Base) -> Result<String, StepError> {
    let Some(found) = super::bases::in_store(cx, base) else { return Ok(format!("{}\n", base.image)) };
    let layers = podman.answer(cx, log, &["image", "inspect", "--format={{.RootFS.Layers}}", &found])?;
    Ok(layers + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_the_stage_does_not_count() {
        let file = "ARG B=x:1\nFROM ${B} AS dependencies\nRUN a\n\nfrom dependencies AS builder\nRUN b\n";
        assert_eq!(above(file).unwrap(), "ARG B=x:1\nFROM ${B} AS dependencies\nRUN a\n\n");
        assert_eq!(above("FROM x:1 AS builder\n"), None);
    }

    #[test]
    fn a_cache_is_a_folder_where_it_looks_like_a_path() {
        assert_eq!(Place::of("./cache"), Place::Folder("./cache"));
        assert_eq!(Place::of("/var/cache/slipway"), Place::Folder("/var/cache/slipway"));
        assert_eq!(Place::of("registry.acme/cache"), Place::Registry("registry.acme/cache"));
    }
}
