//! `house`: the architecture's own rules, read from `[house]` in the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::{
    config::{CONFIG_FILE, House},
    context::Context,
    outcome::{Finding, Outcome, StepResult},
    process::Log,
    verdict::inputs::Inputs,
};

pub(crate) fn skip(cx: &Context) -> Option<String> {
    cx.config.house.is_none().then(|| format!("no `[house]` in `{CONFIG_FILE}`"))
}

pub(crate) fn inputs(cx: &Context) -> Inputs {
    let map = cx.config.house.iter().map(|it| it.architecture.clone());
    Inputs::files(["*.rs", "**/Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain"])
        .and(map)
        .setting(&cx.config.house)
}

pub(crate) fn check(cx: &Context, _: &Log) -> StepResult {
    let Some(house) = &cx.config.house else { return Ok(Outcome::Judged(Vec::new())) };
    let packages = cx.metadata.workspace_packages();
    let mut findings = Vec::new();
    for package in &packages {
        manifest_rules(cx, package, &mut findings)?;
        source_rules(cx, house, package, &mut findings)?;
    }
    findings.extend(dependency_rules(cx, house, &packages)?);
    findings.extend(services_stand_alone(cx, &packages)?);
    findings.extend(architecture_names_every_crate(cx, house, &packages)?);
    findings.extend(tree_rules(cx, house)?);
    Ok(Outcome::Judged(findings))
}

/// All Rust sources of a crate, sorted.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|it| it.path()) {
            if path.is_dir() && path.file_name().is_some_and(|it| it != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The folder is the crate's name, and the workspace's lints hold in it.
fn manifest_rules(cx: &Context, package: &Package, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let manifest = package.manifest_path.as_std_path();
    let shown = cx.shown(manifest);
    let folder = manifest.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    if folder != package.name.as_str() && manifest.parent() != Some(&cx.root) {
        let message = format!("the crate `{}` lies in a folder named `{folder}`", package.name);
        findings.push(Finding::error("house-folder", message).at(&shown, 1).fix("give both the same name"));
    }
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read `{shown}`"))?;
    let table: toml::Table = toml::from_str(&text).with_context(|| format!("cannot read `{shown}`"))?;
    let inherits = table.get("lints").and_then(|it| it.get("workspace")).and_then(toml::Value::as_bool);
    if inherits != Some(true) {
        let fix = "add `[lints]` with `workspace = true`";
        findings.push(
            Finding::error("house-lints", "the workspace's lints do not hold here").at(shown, 1).fix(fix),
        );
    }
    Ok(())
}

/// Each module says in its first line what it is, and no file outgrows a reader.
fn source_rules(
    cx: &Context,
    house: &House,
    package: &Package,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let folder = package.manifest_path.parent().map(|it| it.join("src")).unwrap_or_default();
    for path in sources(folder.as_std_path()) {
        let shown = cx.shown(&path);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{shown}`"))?;
        if !text.starts_with("//!") && !text.starts_with("#![doc = include_str!") {
            let fix = "open it with one `//!` sentence that says what it is";
            findings.push(
                Finding::error("house-module-doc", "the module does not say what it is")
                    .at(&shown, 1)
                    .fix(fix),
            );
        }
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > house.max_file_lines {
            let message = format!("{lines} lines, more than the {} that read well", house.max_file_lines);
            findings.push(
                Finding::error("house-file-length", message).at(shown, None).fix("split it by what it knows"),
            );
        }
    }
    Ok(())
}

/// `[house.only]`: dependencies that only the named crates may use directly, outside their tests.
fn dependency_rules(cx: &Context, house: &House, packages: &[&Package]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development) {
            let Some(allowed) = house.only.get(&dependency.name) else { continue };
            if !allowed.iter().any(|it| *it == package.name.as_str()) {
                let message = format!(
                    "`{}` uses `{}`, which is for {} alone",
                    package.name,
                    dependency.name,
                    listed(allowed)
                );
                findings.push(in_manifest(
                    cx,
                    package,
                    &dependency.name,
                    Finding::error("house-dependency", message),
                )?);
            }
        }
    }
    Ok(findings)
}

/// A service never depends on another service.
fn services_stand_alone(cx: &Context, packages: &[&Package]) -> anyhow::Result<Vec<Finding>> {
    let services: BTreeSet<String> = cx.services()?.into_iter().map(|it| it.name).collect();
    let mut findings = Vec::new();
    for package in packages.iter().filter(|it| services.contains(it.name.as_str())) {
        for dependency in package.dependencies.iter().filter(|it| services.contains(&it.name)) {
            let message =
                format!("the service `{}` depends on the service `{}`", package.name, dependency.name);
            let finding = Finding::error("house-service", message).fix("move what both need into a library");
            findings.push(in_manifest(cx, package, &dependency.name, finding)?);
        }
    }
    Ok(findings)
}

/// The map of the code names every crate that exists, as a word of its own in backticks.
fn architecture_names_every_crate(
    cx: &Context,
    house: &House,
    packages: &[&Package],
) -> anyhow::Result<Vec<Finding>> {
    let path = cx.root.join(&house.architecture);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", house.architecture))?;
    let missing = packages.iter().filter(|it| !text.contains(&format!("`{}`", it.name)));
    Ok(missing
        .map(|it| {
            let message = format!("the crate `{}` is not named", it.name);
            Finding::error("house-architecture", message)
                .at(&house.architecture, 1)
                .fix("add it to the code map")
        })
        .collect())
}

/// `[house.never]`: what must not be anywhere in a crate's own tree.
fn tree_rules(cx: &Context, house: &House) -> anyhow::Result<Vec<Finding>> {
    if house.never.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = MetadataCommand::new();
    command.current_dir(&cx.root).env_remove("RUSTUP_TOOLCHAIN").cargo_path("cargo");
    let metadata = match command.other_options(vec!["--locked".into()]).exec() {
        Ok(metadata) => metadata,
        Err(cargo_metadata::Error::CargoMetadata { stderr }) if stderr.contains("--locked") => {
            let message = "the lock file is not what the manifests ask for";
            let fix = "cargo update --workspace";
            return Ok(vec![Finding::error("house-lock-file", message).at("Cargo.lock", None).fix(fix)]);
        }
        Err(error) => return Err(error).context("cannot resolve the dependencies"),
    };
    let mut findings = Vec::new();
    for (name, never) in &house.never {
        let Some(package) = metadata.workspace_packages().into_iter().find(|it| it.name.as_str() == name)
        else {
            continue;
        };
        let tree = tree(&metadata, &package.id);
        for dependency in never.iter().filter(|it| tree.contains_key(it.as_str())) {
            let message =
                format!("`{name}` has `{dependency}` in its tree, through {}", tree[dependency.as_str()]);
            findings.push(
                Finding::error("house-tree", message).at(cx.shown(package.manifest_path.as_std_path()), 1),
            );
        }
    }
    Ok(findings)
}

/// What a crate is built from, each with the path that leads to it.
fn tree<'a>(metadata: &'a Metadata, root: &'a PackageId) -> BTreeMap<&'a str, String> {
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|it| (&it.id, it.name.as_str())).collect();
    let nodes: BTreeMap<&PackageId, _> =
        metadata.resolve.iter().flat_map(|it| &it.nodes).map(|it| (&it.id, it)).collect();
    let mut found = BTreeMap::new();
    let mut waiting = vec![(root, format!("`{}`", names[root]))];
    while let Some((id, path)) = waiting.pop() {
        let built = nodes[id]
            .deps
            .iter()
            .filter(|it| it.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
        for dependency in built {
            let name = names[&dependency.pkg];
            if !found.contains_key(name) {
                let path = format!("{path} → `{name}`");
                found.insert(name, path.clone());
                waiting.push((&dependency.pkg, path));
            }
        }
    }
    found
}

/// A finding at the line of the manifest that names the dependency.
fn in_manifest(
    cx: &Context,
    package: &Package,
    dependency: &str,
    finding: Finding,
) -> anyhow::Result<Finding> {
    let manifest = package.manifest_path.as_std_path();
    let shown = cx.shown(manifest);
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read `{shown}`"))?;
    let line = text.lines().position(|line| line.trim_start().starts_with(dependency));
    Ok(finding.at(shown, line.and_then(|it| u32::try_from(it + 1).ok())))
}

fn listed(names: &[String]) -> String {
    names.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}
