//! cargo's sources for a build without a network: a copy of what the lock file names, under a name that says nothing of
//! where it came from.
//!
//! The host's cargo gets them, with the host's own proxies, mirrors, certificates and tokens. A build sees the sources
//! and no address: cargo writes the folder of a registry, which has the registry's name, into all that it compiles.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use toml::{Table, Value};

use super::build::LAYER_TIME_S;
use crate::{context::Context, outcome::StepError, podman::document, process::Log};

/// Where cargo looks for settings, whatever folder it is run in.
pub(super) const SETTINGS_INSIDE: &str = "/.cargo";
/// Where a build has the crates.
const CRATES_INSIDE: &str = "/crates";
/// cargo's settings for a build, below [`settings_folder`].
const SETTINGS_FILE: &str = "config.toml";
const LOCK_FILE: &str = "Cargo.lock";
/// The lock file that the crates are of, beside the settings.
const COPIED_FILE: &str = "copied.lock";

/// Makes sure of the crates that the lock file names, and returns the mounts with which a build finds them. None of
/// them ends in a layer.
///
/// # Errors
/// When something cannot be fetched, in cargo's own words.
pub(super) fn mounts(cx: &Context, log: &Log) -> Result<Vec<String>, StepError> {
    let (settings, crates) = (settings_folder(cx), cx.target().join("crates"));
    for folder in [&settings, &crates] {
        fs::create_dir_all(folder).with_context(|| format!("cannot write `{}`", cx.shown(folder)))?;
    }
    let lock = fs::read(cx.root.join(LOCK_FILE)).context("the workspace has no `Cargo.lock`")?;
    let of = settings.join(COPIED_FILE);
    if fs::read(&of).ok().as_ref() != Some(&lock) {
        let written = |path: PathBuf, content: &[u8]| {
            fs::write(&path, content).with_context(|| format!("cannot write `{}`", cx.shown(&path)))
        };
        let text = copied(cx, log, &crates)?;
        let registries = registries(&[cargo_home().join("config.toml"), cx.root.join(".cargo/config.toml")]);
        written(settings.join(SETTINGS_FILE), document(&offline(&text, registries)).as_bytes())?;
        // Last: what was interrupted is done again.
        written(of, &lock)?;
    }
    Ok(vec![
        format!("{}:{SETTINGS_INSIDE}:ro", settings.display()),
        format!("{}:{CRATES_INSIDE}:ro", crates.display()),
    ])
}

/// The folder with the settings of this checkout's builds, which nothing else mounts.
pub(super) fn settings_folder(cx: &Context) -> PathBuf {
    cx.target().join("cargo")
}

/// Copies the crates into the folder, those that are there already excepted; returns the settings with which cargo
/// finds them. It is all that the lock file names, also for other systems: without their manifests cargo cannot tell
/// that the lock file is up to date.
fn copied(cx: &Context, log: &Log, crates: &PathBuf) -> Result<String, StepError> {
    let copy = cx.cargo().args(["vendor", "--locked", "--versioned-dirs", "--respect-source-config"]);
    let copied = copy.arg(crates).log(log).run()?;
    if copied.success() {
        let time = UNIX_EPOCH + Duration::from_secs(LAYER_TIME_S);
        age(crates, time).with_context(|| format!("cannot write `{}`", cx.shown(crates)))?;
        return Ok(copied.stdout);
    }
    Err(StepError::environment(
        format!("the dependencies cannot be fetched: {}", copied.stderr.trim()),
        "cargo fetch --locked",
    ))
}

/// Makes everything below a folder no newer than this time. A build script that names its files is run again, and all
/// that stands on its crate compiled again, where one of them is newer than what was compiled; and that has the time of
/// its layer.
fn age(path: &Path, time: SystemTime) -> io::Result<()> {
    let data = fs::symlink_metadata(path)?;
    if data.is_dir() {
        for entry in fs::read_dir(path)? {
            age(&entry?.path(), time)?;
        }
    }
    if data.is_symlink() || data.modified()? <= time {
        return Ok(());
    }
    File::open(path)?.set_modified(time)
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// The registries that manifests may call by a name: where their index is, and nothing else that the host knows of them.
fn registries(files: &[PathBuf]) -> Table {
    let mut known = Table::new();
    let mut know = |name: String, index: Value| {
        known.insert(name, Value::Table(Table::from_iter([("index".to_owned(), index)])));
    };
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut settings: Table = text.parse().unwrap_or_default();
        let Some(Value::Table(registries)) = settings.remove("registries") else { continue };
        for (name, registry) in registries {
            if let Some(index) = registry.get("index") {
                know(name, index.clone());
            }
        }
    }
    for (name, index) in std::env::vars() {
        let name = name.strip_prefix("CARGO_REGISTRIES_").and_then(|it| it.strip_suffix("_INDEX"));
        if let Some(name) = name {
            know(name.to_lowercase().replace('_', "-"), Value::String(index));
        }
    }
    known
}

/// The settings with the folder's name inside, and no network.
fn offline(text: &str, registries: Table) -> Table {
    let mut settings: Table = text.parse().unwrap_or_default();
    settings.retain(|name, _| name == "source");
    let sources = settings.get_mut("source").and_then(Value::as_table_mut);
    for (_, source) in sources.into_iter().flat_map(Table::iter_mut) {
        if let Some(directory) = source.get_mut("directory") {
            *directory = Value::String(CRATES_INSIDE.into());
        }
    }
    let offline = Table::from_iter([("offline".to_owned(), Value::Boolean(true))]);
    settings.insert("net".into(), Value::Table(offline));
    settings.insert("registries".into(), Value::Table(registries));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_and_no_folder_of_a_crate_is_newer_than_a_layer() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, file) = (folder.path().join("x-1.0.0/src"), folder.path().join("x-1.0.0/src/build.rs"));
        fs::create_dir_all(&inside).unwrap();
        fs::write(&file, "").unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(LAYER_TIME_S);
        age(folder.path(), time).unwrap();
        for path in [folder.path(), &inside, &file] {
            assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), time, "{}", path.display());
        }
        let older = UNIX_EPOCH + Duration::from_secs(1);
        File::open(&file).unwrap().set_modified(older).unwrap();
        age(folder.path(), time).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), older);
    }

    #[test]
    fn a_build_is_told_one_folder_for_all_registries_and_no_token() {
        let said = "[source.crates-io]\nreplace-with = \"vendored-sources\"\n\n[source.\"sparse+https://acme/\"]\n\
                    registry = \"sparse+https://acme/\"\nreplace-with = \"vendored-sources\"\n\n\
                    [source.vendored-sources]\ndirectory = \"/home/x/target/xtask/crates\"\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, "[registries.acme]\nindex = \"sparse+https://acme/\"\ntoken = \"s3cret\"\n")
            .unwrap();
        insta::assert_snapshot!(document(&offline(said, registries(&[file]))), @r#"
        # Generated by `cargo xtask`; an edit is lost.

        ["net"]
        "offline" = true

        ["registries"]
        "acme" = { "index" = "sparse+https://acme/" }

        ["source"]
        "crates-io" = { "replace-with" = "vendored-sources" }
        "sparse+https://acme/" = { "registry" = "sparse+https://acme/", "replace-with" = "vendored-sources" }
        "vendored-sources" = { "directory" = "/crates" }
        "#);
    }
}
