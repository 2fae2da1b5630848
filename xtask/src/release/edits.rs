//! The files that a version changes, and what they say afterwards.

use std::{collections::BTreeSet, fs};

use anyhow::Context as _;
use cargo_metadata::{Package, semver::Version};

use super::{changelog::Changelog, checks::Refusal, git::Git, manifest};
use crate::context::Context;

const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";

/// A file of the workspace that a version changes.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// Relative to the root.
    pub(crate) path: String,
    /// What changes, for people.
    pub(crate) what: String,
    pub(crate) text: String,
}

/// Everything that a version changes in what HEAD holds.
///
/// # Errors
/// When the version or the changelog cannot be changed, with what to do.
pub(crate) fn edits(
    cx: &Context,
    git: Git<'_>,
    now: &Version,
    version: &Version,
    day: &str,
) -> Result<Vec<Edit>, Refusal> {
    let mut edits = Vec::new();
    let (old, new) = (now.to_string(), version.to_string());
    let committed = |path: &str| git.text("HEAD", path);
    if now != version {
        let text = committed(MANIFEST).as_deref().and_then(|it| manifest::with_version(it, &new));
        let text = text.ok_or_else(|| no_version(MANIFEST))?;
        edits.push(Edit { path: MANIFEST.into(), what: format!("version {old} → {new}"), text });
        if let Some(lock) = committed(LOCK) {
            let (text, count) = manifest::lock_with_version(&lock, &inheriting(cx), &old, &new);
            if count > 0 {
                let what = format!("the version of {count} {}", if count == 1 { "crate" } else { "crates" });
                edits.push(Edit { path: LOCK.into(), what, text });
            }
        }
    }
    let path = &cx.config.release.changelog;
    let changelog = committed(path).unwrap_or_default();
    let changelog = Changelog::new(&changelog);
    let Some(entries) = changelog.unreleased() else {
        let message = format!("`{path}` has no section `## Unreleased`, so nothing tells what {new} brings");
        return Err(Refusal::fault(
            "release-no-changelog",
            message,
            format!("write it into {path} and commit it"),
        ));
    };
    if entries.is_empty() {
        let message = format!("`## Unreleased` in `{path}` is empty: a release without a word is not one");
        return Err(Refusal::fault(
            "release-empty-changelog",
            message,
            format!("say in {path} what {new} brings, and commit it"),
        ));
    }
    let lines = entries.lines().count();
    let what = format!(
        "`Unreleased` becomes `{new} - {day}`, {lines} {}",
        if lines == 1 { "line" } else { "lines" }
    );
    let text = changelog.released(&new, day).unwrap_or_default();
    edits.push(Edit { path: path.clone(), what, text });
    Ok(edits)
}

fn no_version(path: &str) -> Refusal {
    let message = format!("`{path}` has no `version` under `[workspace.package]` or `[package]`");
    let fix = format!(
        "put the version of all crates under `[workspace.package]` in {path}; crates say `version.workspace = true`"
    );
    Refusal::usage("release-no-version", message, fix)
}

/// The workspace's version in its manifest.
///
/// # Errors
/// When there is none that can be read.
pub(crate) fn current(cx: &Context) -> Result<Version, Refusal> {
    let text = fs::read_to_string(cx.root.join(MANIFEST)).unwrap_or_default();
    let (_, version) = manifest::version(&text).ok_or_else(|| no_version(MANIFEST))?;
    Version::parse(&version).map_err(|error| {
        let message = format!("the version in `{MANIFEST}` is `{version}`: {error}");
        Refusal::usage(
            "release-no-version",
            message,
            format!("write three numbers, such as 1.4.0, into {MANIFEST}"),
        )
    })
}

/// The version in HEAD's manifest.
pub(crate) fn committed(git: Git<'_>) -> Option<Version> {
    let (_, version) = manifest::version(&git.text("HEAD", MANIFEST)?)?;
    Version::parse(&version).ok()
}

/// A dependency on a crate of this workspace whose requirement would refuse the new version.
pub(crate) fn refused_requirement(cx: &Context, version: &Version) -> Option<Refusal> {
    let inheriting = inheriting(cx);
    for package in cx.metadata.workspace_packages() {
        let unfit = package
            .dependencies
            .iter()
            .find(|it| it.path.is_some() && inheriting.contains(&it.name) && !it.req.matches(version));
        if let Some(dependency) = unfit {
            let file = cx.shown(package.manifest_path.as_std_path());
            let message = format!(
                "`{file}` asks for `{}` `{}`, which {version} is not",
                dependency.name, dependency.req
            );
            let fix = format!(
                "leave `version` out of the dependency on `{}`, or raise it, and commit that",
                dependency.name
            );
            return Some(Refusal::fault("release-requirement", message, fix));
        }
    }
    None
}

/// A manifest or a lock file with another version for the crates that share the workspace's, which says the same of what
/// they depend on before and after a release. Other files are as they are.
pub(crate) fn without_version(cx: &Context, path: &str, text: String) -> String {
    const NONE: &str = "0.0.0";
    match (path, current(cx)) {
        (MANIFEST, Ok(_)) => manifest::with_version(&text, NONE).unwrap_or(text),
        (LOCK, Ok(now)) => manifest::lock_with_version(&text, &inheriting(cx), &now.to_string(), NONE).0,
        _ => text,
    }
}

/// Crates whose version is the workspace's.
fn inheriting(cx: &Context) -> BTreeSet<String> {
    let root = cx.root.join(MANIFEST);
    let ours = |it: &&&Package| {
        let path = it.manifest_path.as_std_path();
        if path == root {
            return true;
        }
        let parsed = fs::read_to_string(path).ok().and_then(|it| it.parse::<toml::Table>().ok());
        let version = parsed.as_ref().and_then(|it| it.get("package")?.get("version")?.get("workspace"));
        version.and_then(toml::Value::as_bool) == Some(true)
    };
    let packages = cx.metadata.workspace_packages();
    packages.iter().filter(ours).map(|it| it.name.to_string()).collect()
}

/// Writes a file whole: whoever is killed leaves the old text or the new one.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(cx: &Context, edit: &Edit) -> anyhow::Result<()> {
    let path = cx.root.join(&edit.path);
    // Not beside it: what a killed run leaves there would be a change of the tree.
    let part = cx.target().join("edit.part");
    let failed = || format!("cannot write `{}`", edit.path);
    let moved = || fs::rename(&part, &path).or_else(|_| fs::copy(&part, &path).map(drop));
    fs::write(&part, &edit.text).and_then(|()| moved()).with_context(failed)
}
