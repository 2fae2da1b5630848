//! Images that no checkout has a use for any more: under names of before, of checkouts that are gone, and nameless ones.
//!
//! What goes carries a label of the tool and lies below a name that a checkout of this user has noted. What somebody
//! runs stays, and so does everything of a checkout that does not say what it uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    build::{STAGE_LABEL, carried_out, stage_tag, workspace},
    containerfile::{Containerfile, FILE},
    dependencies,
    finish::FINGERPRINT,
    record::Record,
    stand_in::STAND_IN_LABEL,
    storage,
};
use crate::{
    context::Context,
    outcome::StepError,
    podman::{Podman, said},
    process::Log,
    verdict::hashed,
};

/// Where checkouts are noted, a file each, beside the storage's lock.
const CHECKOUTS: &str = "checkouts";
/// Nameless images that nothing stands on any more, of builds and of stand-ins that were made anew.
const NAMELESS: [&str; 2] = [STAGE_LABEL, STAND_IN_LABEL];

/// The names that checkouts of one folder name use; nothing where one of them does not say.
type Used = Option<BTreeSet<String>>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Notes that this checkout has images, so that they can go when it is gone.
///
/// # Errors
/// When the note cannot be written.
pub(super) fn note(cx: &Context) -> anyhow::Result<()> {
    let folder = storage::folder().join(CHECKOUTS);
    let root = cx.root.to_string_lossy();
    let path = folder.join(hashed([root.as_ref()].into_iter()));
    if path.is_file() {
        return Ok(());
    }
    let failed = || format!("cannot write `{}`", path.display());
    fs::create_dir_all(&folder).with_context(failed)?;
    fs::write(&path, root.as_bytes()).with_context(failed)
}

/// Removes what no checkout uses; false where somebody builds, and it has to wait for a later run.
///
/// # Errors
/// When podman cannot be asked.
pub(super) fn remove(cx: &Context, podman: &Podman, log: &Log) -> Result<bool, StepError> {
    let Some(_alone) = storage::alone(&storage::folder()) else {
        log.line("somebody else builds: older images stay until the next run");
        return Ok(false);
    };
    let noted = noted(&storage::folder().join(CHECKOUTS));
    let listed = carried_out(&podman.process(cx).args(["images", "--format=json"]), log)?;
    if !listed.success() {
        log.line(&format!("older images stay until the next run: {}", said(&listed)));
        return Ok(false);
    }
    let images: Vec<Listed> =
        serde_json::from_str(&listed.stdout).context("cannot read podman's list of images")?;
    let names = unused(&images, &used(noted.iter().map(|(_, root)| root.as_path())));
    // An image that somebody runs stays; podman removes the others all the same.
    let all = names.is_empty() || podman.process(cx).args(["rmi"]).args(&names).log(log).run()?.success();
    if all {
        let gone = noted.iter().filter(|(_, root)| !is_checkout(root));
        gone.for_each(|(note, _)| drop(fs::remove_file(note)));
    }
    prune(cx, podman, log)?;
    Ok(true)
}

/// Removes the images of the tool's builds that have no name and that nothing stands on, unless somebody builds.
///
/// # Errors
/// When podman cannot be run.
pub(super) fn nameless(cx: &Context, podman: &Podman, log: &Log) -> Result<(), StepError> {
    match storage::alone(&storage::folder()) {
        Some(_alone) => prune(cx, podman, log),
        None => Ok(()),
    }
}

fn prune(cx: &Context, podman: &Podman, log: &Log) -> Result<(), StepError> {
    for label in NAMELESS {
        let prune = ["image", "prune", "--force", "--filter", &format!("label={label}")];
        podman.process(cx).args(prune).log(log).run()?;
    }
    Ok(())
}

/// Each note, with the root of the checkout that it is of.
fn noted(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let notes = fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    notes.filter_map(|note| Some((note.clone(), PathBuf::from(fs::read_to_string(note).ok()?)))).collect()
}

fn is_checkout(root: &Path) -> bool {
    root.join(FILE).is_file()
}

/// What is used of each folder name that was noted.
fn used<'a>(roots: impl Iterator<Item = &'a Path>) -> BTreeMap<String, Used> {
    let mut used: BTreeMap<String, Used> = BTreeMap::new();
    for root in roots {
        let of_name = used.entry(workspace(root)).or_insert_with(|| Some(BTreeSet::new()));
        if is_checkout(root) {
            match (used_by(root), of_name.as_mut()) {
                (Some(names), Some(all)) => all.extend(names),
                _ => *of_name = None,
            }
        }
    }
    used
}

/// The names that a checkout uses, unless it has no record of them.
fn used_by(root: &Path) -> Used {
    let mut names: BTreeSet<String> = Record::at(root)?.references().into_iter().collect();
    names.extend(dependencies::kept(root));
    names.extend(Containerfile::read(root).stages.iter().map(|it| stage_tag(root, &it.name)));
    Some(names)
}

/// The names of the tool's images that nobody uses.
fn unused(images: &[Listed], used: &BTreeMap<String, Used>) -> Vec<String> {
    let is_ours = |it: &&Listed| {
        let labels = it.labels.iter().flatten();
        labels.map(|(key, _)| key.as_str()).any(|key| key == FINGERPRINT || key == STAGE_LABEL)
    };
    let names = images.iter().filter(is_ours).flat_map(|it| it.names.iter().flatten());
    let is_unused = |name: &&String| {
        let mut parts = name.split('/');
        let (Some("localhost"), Some(workspace)) = (parts.next(), parts.next()) else { return false };
        matches!(used.get(workspace), Some(Some(used)) if !used.contains(*name))
    };
    names.filter(is_unused).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(text: &str) -> Vec<Listed> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_labelled_images_below_a_noted_name_that_nobody_uses_go() {
        let images = images(
            r#"[{"Names": ["localhost/app/web:1"], "Labels": {"dev.slipway.fingerprint": "a"}},
                {"Names": ["localhost/app/web:2"], "Labels": {"dev.slipway.fingerprint": "b"}},
                {"Names": ["localhost/app/stage-web:cache"], "Labels": {"dev.slipway.stage": "web"}},
                {"Names": ["localhost/app/mine:1"], "Labels": null},
                {"Names": ["localhost/silent/web:1"], "Labels": {"dev.slipway.fingerprint": "a"}},
                {"Names": ["localhost/other/web:1", "docker.io/app/web:1"], "Labels": {"dev.slipway.fingerprint": "a"}},
                {"Names": null, "Labels": {"dev.slipway.stage": "builder"}},
                {"Names": ["localhost/slipway-base/rust:1"], "Labels": {"dev.slipway.stand-in": "rust"}}]"#,
        );
        let used = BTreeMap::from([
            ("app".to_owned(), Some(BTreeSet::from(["localhost/app/web:2".to_owned()]))),
            ("silent".to_owned(), None),
            ("slipway-base".to_owned(), Some(BTreeSet::new())),
        ]);
        assert_eq!(unused(&images, &used), ["localhost/app/web:1", "localhost/app/stage-web:cache"]);
    }

    #[test]
    fn a_checkout_that_is_gone_uses_nothing_and_one_without_a_record_may_use_everything() {
        let folder = tempfile::tempdir().unwrap();
        let root = |path: &str| folder.path().join(path);
        let (live, silent, gone) = (root("a/live"), root("a/silent"), root("a/gone"));
        for root in [&live, &silent] {
            fs::create_dir_all(root.join("target/xtask")).unwrap();
            fs::write(root.join(FILE), "FROM scratch AS web-runtime\n").unwrap();
        }
        Record::default().write_at(&live).unwrap();
        let found = used([live.as_path(), &silent, &gone].into_iter());
        assert_eq!(
            found["live"],
            Some(BTreeSet::from(["localhost/live/stage-web-runtime:cache".to_owned()]))
        );
        assert_eq!((&found["silent"], &found["gone"]), (&None, &Some(BTreeSet::new())));
        // Of the same name, one silent checkout is enough to keep all.
        let twin = root("b/live");
        fs::create_dir_all(&twin).unwrap();
        fs::write(twin.join(FILE), "").unwrap();
        assert_eq!(used([live.as_path(), &twin].into_iter())["live"], None);
    }
}
