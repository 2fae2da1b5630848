//! The workspace as cargo sees it, kept until a manifest, a source's name or cargo's settings change.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use cargo_metadata::{Metadata, MetadataCommand};
use serde::{Deserialize, Serialize};

use crate::{
    report::write_whole,
    verdict::{
        around,
        tree::{Content, Tree},
    },
};

/// What cargo said last, below the workspace's root.
const FILE: &str = "target/xtask/metadata.json";

#[derive(Serialize)]
struct Keep<'a> {
    of: u64,
    metadata: &'a Metadata,
}

#[derive(Deserialize)]
struct Kept {
    of: u64,
    metadata: Metadata,
}

/// What cargo says of the workspace that `folder` is in, and the tree that was read for it, where one was.
///
/// # Errors
/// When there is no usable workspace, in cargo's own words.
pub(crate) fn metadata(folder: &Path) -> anyhow::Result<(Metadata, Option<Tree>)> {
    let Some((of, tree)) = of(folder) else { return Ok((ask(folder)?, None)) };
    let path = folder.join(FILE);
    let kept = fs::read(&path).ok().and_then(|it| serde_json::from_slice::<Kept>(&it).ok());
    if let Some(kept) = kept.filter(|it| it.of == of && it.metadata.workspace_root == *folder) {
        return Ok((kept.metadata, Some(tree)));
    }
    let metadata = ask(folder)?;
    if metadata.workspace_root == *folder {
        // Nothing is lost where it cannot be kept: the next run asks again.
        path.parent().map(fs::create_dir_all).transpose().ok();
        write_whole(&path, &Keep { of, metadata: &metadata }).ok();
    }
    Ok((metadata, Some(tree)))
}

/// Names everything that cargo's answer depends on; nothing where that cannot be told without asking cargo.
fn of(folder: &Path) -> Option<(u64, Tree)> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    if !folder.is_absolute() || !manifest.contains("[workspace]") {
        return None;
    }
    let tree = Tree::read(folder)?;
    let mut hasher = DefaultHasher::new();
    for (path, content) in &tree.files {
        let decides = path.ends_with("Cargo.toml") || path.starts_with(".cargo/");
        match content {
            Content::Known(id) if decides => (path, id).hash(&mut hasher),
            Content::Opaque(_) if decides => return None,
            // Which targets there are, follows from which sources there are.
            _ if path.ends_with(".rs") => path.hash(&mut hasher),
            _ => {}
        }
    }
    around(folder).hash(&mut hasher);
    Some((hasher.finish(), tree))
}

fn ask(folder: &Path) -> anyhow::Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(folder).no_deps().other_options(vec!["--offline".into()]);
    // The toolchain of the folder decides, not the one that xtask was started with.
    command.env_remove("RUSTUP_TOOLCHAIN").cargo_path("cargo");
    match command.exec() {
        Ok(metadata) => Ok(metadata),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) => {
            bail!("no usable cargo workspace in `{}`: {}", folder.display(), stderr.trim())
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the workspace in `{}`", folder.display()))
        }
    }
}
