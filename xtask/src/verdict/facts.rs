//! What counts besides files: programs, environment, cargo's settings outside of the tree, git's references, dates.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::tree::Tree;
use crate::{
    base,
    context::Context,
    process::{Process, seen_by_children},
    tools,
};

/// Variables that children see and that decide nothing: who sits where, and how wide the window is. `PATH` counts by the
/// programs that it leads to.
const NEUTRAL: &[&str] = &[
    "COLUMNS",
    "DBUS_SESSION_BUS_ADDRESS",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSH_AUTH_SOCK",
    "TERM",
    "USER",
    "XDG_RUNTIME_DIR",
    "XDG_SEAT",
    "XDG_VTNR",
];
const NEUTRAL_PREFIXES: &[&str] = &["INSTA_", "XDG_SESSION_", "XDG_CURRENT_"];
/// Settings of cargo, rustup and the lints that hold for every folder below the one that they lie in.
const ABOVE: &[&str] = &[
    ".cargo/config",
    ".cargo/config.toml",
    ".clippy.toml",
    ".rustfmt.toml",
    "clippy.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    "rustfmt.toml",
];
/// The fact that is the commit itself.
pub(super) const COMMIT: &str = "the commit";

/// Names with what they stand for; what is secret is only there as a hash.
pub(crate) type Facts = BTreeMap<String, String>;

/// What holds for every step: the environment, and settings that lie outside of the tree.
pub(crate) fn around(root: &Path) -> Facts {
    let mut facts = Facts::new();
    environment(&mut facts);
    settings_outside(root, &mut facts);
    facts
}

/// The variables that a child may see and that may decide something, by hash.
fn environment(facts: &mut Facts) {
    for (name, value) in seen_by_children() {
        let Some(name) = name.to_str() else { continue };
        let neutral =
            NEUTRAL.contains(&name) || NEUTRAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !neutral {
            facts.insert(format!("variable {name}"), short(&value));
        }
    }
}

/// Settings that lie above the root or in cargo's home.
fn settings_outside(root: &Path, facts: &mut Facts) {
    let above = root.ancestors().skip(1).flat_map(|folder| ABOVE.iter().map(|it| folder.join(it)));
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let own = ["config", "config.toml"].map(|it| cargo.join(it));
    let rustfmt = [home.join(".config/rustfmt/rustfmt.toml"), home.join(".config/rustfmt/.rustfmt.toml")];
    for path in above.chain(own).chain(rustfmt) {
        if let Ok(bytes) = fs::read(&path) {
            facts.insert(format!("{}", path.display()), short(&bytes));
        }
    }
}

/// The programs of the toolchain and those that the step's own tools are.
pub(super) fn programs(cx: &Context, step: &str, more: &[String], facts: &mut Facts) {
    let named = more.iter().flat_map(|name| tools::on_path(cx, name));
    for path in tools::programs(cx, step).into_iter().chain(named) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stamps = facts.entry(format!("program {name}")).or_default();
        stamps.push_str(&stamp(&path));
        stamps.push(' ');
    }
}

/// Which server a scratch Postgres is; nothing where that cannot be told without starting it.
pub(super) fn server(cx: &Context, facts: &mut Facts) -> Option<&'static str> {
    if std::env::var_os("XTASK_POSTGRES_URL").is_some() {
        return Some("it is judged on a given server, whose version may change");
    }
    match tools::server(cx).filter(|_| std::env::var("XTASK_POSTGRES").as_deref() != Ok("container")) {
        Some(program) => {
            facts.insert("program postgres".into(), stamp(&program));
        }
        None => {
            let image = cx.config.images.bases.get("postgres").map(|it| it.image.clone());
            facts.insert("Postgres's image".into(), image.unwrap_or_default());
        }
    }
    None
}

/// What git knows besides the tree: tags, where the branch left its base, the commit.
pub(super) fn git(root: &Path, tree: &Tree) -> Facts {
    let ask = |arguments: &[&str]| Process::new("git").folder(root).args(arguments).answer();
    let references = ask(&["for-each-ref", "--format=%(refname) %(objectname)"]).unwrap_or_default();
    let mut facts = Facts::new();
    let mut names = Vec::new();
    for (name, object) in references.lines().filter_map(|it| it.split_once(' ')) {
        match name.strip_prefix("refs/tags/") {
            Some(tag) => drop(facts.insert(format!("tag {tag}"), object.into())),
            None => names.push(name),
        }
    }
    // As `base::left` finds it, without asking for references that do not exist.
    let mut existing = base::REFERENCES.iter().filter(|it| names.contains(it));
    let left = existing.find_map(|base| ask(&["merge-base", "HEAD", base])).unwrap_or_default();
    facts.insert("where the branch left its base".into(), left.trim().into());
    facts.insert(COMMIT.into(), tree.commit.clone().unwrap_or_default());
    facts
}

/// Dates that a file names, each with whether it is to come, today or past.
pub(super) fn dates(path: &str, text: &str, today: &str, facts: &mut Facts) {
    let bytes = text.as_bytes();
    for (dash, _) in text.match_indices('-') {
        let Some(at) = dash.checked_sub(4) else { continue };
        let Some(window) = bytes.get(at..at + 10) else { continue };
        let looks = window.iter().enumerate().all(|(index, it)| match index {
            4 | 7 => *it == b'-',
            _ => it.is_ascii_digit(),
        });
        let Some(date) = text.get(at..at + 10).filter(|_| looks) else { continue };
        let state = match date.cmp(today) {
            std::cmp::Ordering::Less => "past",
            std::cmp::Ordering::Equal => "today",
            std::cmp::Ordering::Greater => "to come",
        };
        facts.insert(format!("{date} in {path}"), state.into());
    }
}

/// Today in UTC, as files write it.
pub(crate) fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.get(..10).unwrap_or_default().into()
}

/// Tells a program from another one without running it: where it is, and when it was put there.
fn stamp(path: &Path) -> String {
    let Ok(data) = fs::metadata(path) else { return "absent".into() };
    let (seconds, nanoseconds) = (data.mtime(), data.mtime_nsec());
    format!("{} {} {} {seconds}.{nanoseconds}", path.display(), data.ino(), data.len())
}

fn short(value: impl std::hash::Hash) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_changes_what_is_known_on_its_day_and_the_day_after() {
        let known = |today| {
            let mut facts = Facts::new();
            dates("w.toml", "expires = 2026-11-21 # not 12026-1-1", today, &mut facts);
            facts
        };
        assert_eq!(known("2026-11-20"), known("2026-01-01"));
        assert_ne!(known("2026-11-20"), known("2026-11-21"));
        assert_ne!(known("2026-11-21"), known("2026-11-22"));
        assert_eq!(known("2026-11-22").len(), 1);
    }
}
