//! What cargo and the packages of registries said the last time, kept in a file until anything that they depend on
//! changes.
//!
//! A registry's package is what its checksum in `Cargo.lock` says, so it is looked through once. Every other package's
//! sources are looked at each time, and whatever cargo reads of them decides whether the file counts.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

use cargo_metadata::Metadata;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::workspace::Outline;

/// Coarser than the clock of any file system that matters.
const TICK: Duration = Duration::from_millis(20);
/// Where cargo looks for targets that no manifest names.
const TARGETS: &[&str] = &["src/bin", "examples", "tests", "benches"];
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs", "build.rs"];
/// What cargo and rustup read in a workspace's folder and in all above it.
const SETTINGS: &[&str] = &[".cargo/config", ".cargo/config.toml", "rust-toolchain", "rust-toolchain.toml"];

#[derive(Serialize)]
struct Keep<'k> {
    of: String,
    decisive: &'k Decisive,
    outline: &'k Outline,
}

#[derive(Deserialize)]
struct Kept {
    of: String,
    decisive: Decisive,
    outline: Outline,
}

/// What cargo's answer depends on.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Decisive {
    /// Files whose content counts, also those that do not exist.
    contents: BTreeSet<PathBuf>,
    /// Files that count by being there.
    present: BTreeSet<PathBuf>,
    /// Folders whose entries count.
    listed: BTreeSet<PathBuf>,
}

/// What was kept in `file` for the workspace at `root`, if it still holds.
pub(super) fn read(file: &Path, root: &Path) -> Option<Outline> {
    let kept: Kept = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let holds = kept.outline.root == root.canonicalize().ok()? && kept.of == kept.decisive.name();
    holds.then_some(kept.outline)
}

/// Keeps `outline`, which `metadata` gave, asked for at `asked`. What cannot be kept is found out again the next time.
pub(super) fn write(file: &Path, root: &Path, (metadata, asked): (&Metadata, SystemTime), outline: &Outline) {
    let same = root.canonicalize().is_ok_and(|it| it == outline.root);
    let Some(decisive) = same.then(|| decisive(metadata)).flatten() else { return };
    let of = decisive.name();
    if decisive.changed_since(asked) {
        return;
    }
    let Ok(text) = serde_json::to_vec(&Keep { of, decisive: &decisive, outline }) else { return };
    replace(file, &text).ok();
}

/// Whether a registry's checksum vouches for the package at this manifest.
pub(super) fn is_of_registry(package: &cargo_metadata::Package, registry: Option<&Path>) -> bool {
    let published = package.source.as_ref().is_some_and(|it| it.is_crates_io());
    published && registry.is_some_and(|it| package.manifest_path.as_std_path().starts_with(it))
}

/// Where cargo unpacks what registries send.
pub(super) fn registry() -> Option<PathBuf> {
    Some(home("CARGO_HOME", ".cargo")?.join("registry/src"))
}

/// Nothing where that cannot be told without asking cargo.
fn decisive(metadata: &Metadata) -> Option<Decisive> {
    let root = metadata.workspace_root.as_std_path();
    let manifest = table(&root.join("Cargo.toml"))?;
    let workspace = manifest.get("workspace")?.as_table()?;
    let mut found = Decisive::default();
    for key in ["members", "default-members"] {
        let patterns = workspace.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        for pattern in patterns.filter_map(toml::Value::as_str) {
            found.listed.extend(expanded(root, pattern)?);
        }
    }
    let registry = registry();
    let local = metadata.packages.iter().filter(|it| !is_of_registry(it, registry.as_deref()));
    for manifest in local.map(|it| it.manifest_path.as_std_path()) {
        let folder = manifest.parent()?;
        let elsewhere = table(manifest)?.get("package").is_some_and(|it| it.get("workspace").is_some());
        if elsewhere {
            return None;
        }
        found.contents.extend(folder.ancestors().map(|it| it.join("Cargo.toml")));
        found.present.extend(ROOTS.iter().map(|it| folder.join(it)));
        found.listed.extend(TARGETS.iter().map(|it| folder.join(it)));
    }
    let lock = root.join("Cargo.lock");
    if !knows_all(&table(&lock)?, metadata) {
        return None;
    }
    found.contents.insert(lock);
    let settings: Vec<_> = settings(root).collect();
    // Both name further files.
    if settings.iter().any(|it| mentions(it, "include") || mentions(it, "path")) {
        return None;
    }
    found.contents.extend(settings);
    Some(found)
}

impl Decisive {
    /// The digest of everything.
    fn name(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        };
        for path in &self.contents {
            add(path.as_os_str().as_bytes());
            match fs::read(path) {
                Ok(content) => add(&content),
                Err(error) => add(error.to_string().as_bytes()),
            }
        }
        for path in &self.present {
            add(path.as_os_str().as_bytes());
            add(&[u8::from(path.is_file())]);
        }
        for folder in &self.listed {
            add(folder.as_os_str().as_bytes());
            entries(folder).iter().for_each(|it| add(it));
        }
        for program in programs() {
            add(program.as_os_str().as_bytes());
            if let Ok(it) = fs::metadata(&program) {
                add(&it.size().to_le_bytes());
                add(&it.mtime().to_le_bytes());
                add(&it.mtime_nsec().to_le_bytes());
            }
        }
        let mut variables: Vec<_> = env::vars_os().filter(|(name, _)| is_of_cargo(name)).collect();
        variables.sort();
        for (name, value) in &variables {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether cargo may have read something else than there is now.
    fn changed_since(&self, asked: SystemTime) -> bool {
        let since = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK);
        let since = (since.as_secs().cast_signed(), i64::from(since.subsec_nanos()));
        self.contents
            .iter()
            .chain(&self.listed)
            .any(|path| fs::metadata(path).is_ok_and(|it| (it.ctime(), it.ctime_nsec()) >= since))
    }
}

/// The folder whose entries a pattern for members chooses from; nothing where a whole tree would have to be looked at.
fn expanded(root: &Path, pattern: &str) -> Option<Option<PathBuf>> {
    let is_pattern = |text: &str| text.contains(['*', '?', '[']);
    if !is_pattern(pattern) {
        return Some(None);
    }
    let (folder, last) = pattern.trim_end_matches('/').rsplit_once('/').unwrap_or(("", pattern));
    (!is_pattern(folder) && last != "**").then(|| Some(root.join(folder)))
}

/// Whether cargo told of every package that has no source in the lock file; else a manifest counts that is not known.
fn knows_all(lock: &toml::Table, metadata: &Metadata) -> bool {
    let locked = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let unsourced = locked.filter(|it| it.get("source").is_none()).count();
    unsourced == metadata.packages.iter().filter(|it| it.source.is_none()).count()
        && !lock.contains_key("patch")
}

/// What is in a folder, each with whether it can be a target or a member.
fn entries(folder: &Path) -> Vec<Vec<u8>> {
    let read = fs::read_dir(folder).into_iter().flatten().flatten();
    let entry = |it: fs::DirEntry| {
        let inside = ["main.rs", "Cargo.toml"].map(|name| u8::from(it.path().join(name).is_file()));
        [it.file_name().as_bytes(), &inside].concat()
    };
    let mut found: Vec<_> = read.map(entry).collect();
    found.sort();
    found
}

fn settings(root: &Path) -> impl Iterator<Item = PathBuf> {
    let around = root.ancestors().flat_map(|folder| SETTINGS.iter().map(move |name| folder.join(name)));
    let cargo = home("CARGO_HOME", ".cargo").into_iter();
    let cargo = cargo.flat_map(|it| ["config", "config.toml"].map(|name| it.join(name)));
    let rustup = home("RUSTUP_HOME", ".rustup").map(|it| it.join("settings.toml"));
    around.chain(cargo).chain(rustup)
}

/// This program, cargo and rustc as they are started, and those that rustup chooses from.
fn programs() -> Vec<PathBuf> {
    let mut found: Vec<_> = env::current_exe().into_iter().collect();
    let path = env::var_os("PATH").unwrap_or_default();
    for name in ["cargo", "rustc"] {
        let first = env::split_paths(&path).map(|it| it.join(name)).find(|it| it.is_file());
        found.extend(first.and_then(|it| it.canonicalize().ok()));
    }
    if let Some(home) = home("RUSTUP_HOME", ".rustup") {
        let toolchains = fs::read_dir(home.join("toolchains")).into_iter().flatten().flatten();
        found.extend(
            toolchains.flat_map(|it| ["cargo", "rustc"].map(|name| it.path().join("bin").join(name))),
        );
    }
    found.sort();
    found
}

fn home(variable: &str, folder: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(folder)))
}

fn is_of_cargo(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"CARGO") || name.as_bytes().starts_with(b"RUST")
}

fn mentions(file: &Path, key: &str) -> bool {
    let said = |line: &str| line.split('#').next().is_some_and(|it| it.contains(key));
    fs::read_to_string(file).is_ok_and(|it| it.lines().any(said))
}

fn table(file: &Path) -> Option<toml::Table> {
    fs::read_to_string(file).ok()?.parse().ok()
}

/// Whole or not at all.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)?;
    let unfinished = file.with_extension(format!("{}.tmp", process::id()));
    fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, file))
        .inspect_err(|_| drop(fs::remove_file(&unfinished)))
}
