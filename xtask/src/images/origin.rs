//! What an image is made of and where that comes from: its fingerprint, and the commit that last changed it.

use std::{collections::BTreeMap, fs, path::Path};

use super::{bases::Found, containerfile::FILE};
use crate::{
    context::Context,
    services::Service,
    verdict::{
        inputs::Inputs,
        tree::{Content, Tree},
    },
};

/// What says what builds may see.
const IGNORE_FILE: &str = ".containerignore";
/// What no build of a service reads.
const NEVER: &[&str] =
    &["LICENSE*", "*.md", ".ci/", ".gitea/", ".github/", ".config/", "compose*.yaml", ".env*"];
/// Folders of a crate that no image holds.
const NOT_COMPILED: &[&str] = &["tests/", "benches/", "examples/"];
/// Every manifest and the lock file: they decide over the dependencies of all.
const MANIFESTS: &str = "**/Cargo.toml";

/// When what was never committed counts as made: the year 2000.
const LONG_AGO_S: u64 = 946_684_800;

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// Names everything that the image is made of; the same on every machine.
    pub(super) fingerprint: Option<String>,
    /// The last commit that changed any of that, with `-dirty` where the tree is not what it says.
    pub(super) revision: Option<String>,
    /// When that was, in seconds since 1970.
    pub(super) committed_s: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Self { fingerprint: None, revision: None, committed_s: LONG_AGO_S }
    }
}

/// The files that the images of these services may be made of.
pub(super) fn files<'a>(cx: &Context, services: impl IntoIterator<Item = &'a Service>) -> Inputs {
    let names: Vec<&str> = services.into_iter().map(|it| it.name.as_str()).collect();
    let mut patterns = context(&cx.root);
    let folders: Vec<String> = patterns.iter().filter(|it| *it != "**").map(|it| format!("{it}/")).collect();
    patterns.extend(folders);
    patterns.push(FILE.into());
    patterns.push(IGNORE_FILE.into());
    patterns.extend(left_out(cx, &names).into_iter().map(|it| format!("!{it}")));
    patterns.push(MANIFESTS.into());
    Inputs::files(patterns)
}

/// What a build may see of the tree: everything, or what a list of exceptions from nothing lets in.
fn context(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join(IGNORE_FILE)).unwrap_or_default();
    let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    if !matches!(lines.next(), Some("*" | "**")) {
        return vec!["**".into()];
    }
    lines.filter_map(|it| it.strip_prefix('!')).map(|it| it.trim_matches('/').to_owned()).collect()
}

fn left_out(cx: &Context, names: &[&str]) -> Vec<String> {
    let built = cx.crates_below(names.iter().copied());
    let mut patterns: Vec<String> = NEVER.iter().map(|it| (*it).to_owned()).collect();
    for package in cx.metadata.workspace_packages() {
        let Some(folder) = cx.folder_of(&package.name).filter(|it| !it.is_empty()) else { continue };
        let folders: &[&str] = if built.contains(package.name.as_str()) { NOT_COMPILED } else { &[""] };
        patterns.extend(folders.iter().map(|it| format!("{folder}{it}")));
    }
    patterns
}

/// The working tree and its history, asked once for all images of a build.
pub(super) struct Origins<'a> {
    cx: &'a Context,
    tree: Option<Tree>,
    /// What the commit holds, by path; asked for when something is not committed.
    committed: BTreeMap<String, String>,
    /// The last commit that changed a manifest.
    manifests: Option<String>,
}

impl<'a> Origins<'a> {
    pub(super) fn read(cx: &'a Context) -> Self {
        let tree = Tree::read(&cx.root).filter(|it| it.commit.is_some());
        let dirty = tree.as_ref().is_some_and(|it| it.dirty);
        let committed = if dirty { committed(cx) } else { BTreeMap::new() };
        let manifests = tree.as_ref().and_then(|_| last(cx, &[format!(":(glob){MANIFESTS}")]));
        Self { cx, tree, committed, manifests }
    }

    /// Where the image of a service comes from, made with these arguments from these bases; nothing is known outside of
    /// a git repository.
    pub(super) fn of(&self, service: &Service, bases: &[Found], arguments: &[&str]) -> Origin {
        let Some(tree) = &self.tree else { return Origin::default() };
        let inputs = files(self.cx, [service]);
        let mut text = format!("{}\n{arguments:?}\n", service.manifest.image);
        for base in bases {
            text += &format!("base {} {}\n", base.name, base.content);
        }
        let mut dirty = false;
        for (path, content) in tree.files.iter().filter(|(path, _)| inputs.reads(path)) {
            let Content::Known(id) = content else { return Origin::default() };
            text += &format!("{path}\t{id}\n");
            dirty |= tree.dirty && self.committed.get(path) != Some(id);
        }
        dirty |=
            tree.dirty && self.committed.keys().any(|it| inputs.reads(it) && !tree.files.contains_key(it));
        let hash = self.cx.process("git").args(["hash-object", "--stdin"]).input(text);
        let fingerprint = hash.answer().map(|it| it.trim().to_owned());
        let Some(commit) = self.commit(service) else { return Origin { fingerprint, ..Origin::default() } };
        let time = ask(self.cx, &["show", "--no-patch", "--format=%ct", &commit]);
        let committed_s = time.and_then(|it| it.parse().ok()).unwrap_or(LONG_AGO_S);
        let revision = Some(if dirty { format!("{commit}-dirty") } else { commit });
        Origin { fingerprint, revision, committed_s }
    }

    /// The last commit that changed what the image is made of, so that one that touches nothing of it leaves its labels,
    /// and with them its digest, as they are on every machine.
    fn commit(&self, service: &Service) -> Option<String> {
        let mut paths = context(&self.cx.root);
        paths.iter_mut().filter(|it| *it == "**").for_each(|it| ".".clone_into(it));
        paths.extend([FILE.to_owned(), IGNORE_FILE.to_owned()]);
        let names = [service.name.as_str()];
        paths.extend(left_out(self.cx, &names).into_iter().map(|it| excluded(&it)));
        let (own, manifests) = (last(self.cx, &paths), self.manifests.clone());
        let (Some(own), Some(manifests)) = (own.clone(), manifests.clone()) else { return own.or(manifests) };
        let is_before =
            |one: &str, other: &str| ask(self.cx, &["merge-base", "--is-ancestor", one, other]).is_some();
        if own == manifests || is_before(&manifests, &own) {
            return Some(own);
        }
        if is_before(&own, &manifests) {
            return Some(manifests);
        }
        // Neither holds the other; the commit at hand holds both.
        self.tree.as_ref().and_then(|it| it.commit.clone())
    }
}

/// A pattern of inputs as git spells it.
fn excluded(pattern: &str) -> String {
    match pattern.strip_prefix('*') {
        Some(_) => format!(":(exclude,glob)**/{pattern}"),
        None if pattern.contains('*') => format!(":(exclude,glob){pattern}"),
        None => format!(":(exclude){pattern}"),
    }
}

/// The last commit that changed one of these paths.
fn last(cx: &Context, paths: &[String]) -> Option<String> {
    let mut words = vec!["log", "-1", "--format=%H", "--"];
    words.extend(paths.iter().map(String::as_str));
    ask(cx, &words).filter(|it| !it.is_empty())
}

/// Each file of the commit, with its kind and id as the tree of files spells them.
fn committed(cx: &Context) -> BTreeMap<String, String> {
    let listed = ask(cx, &["ls-tree", "-r", "-z", "HEAD"]).unwrap_or_default();
    let entry = |line: &str| {
        let (head, path) = line.split_once('\t')?;
        let mut words = head.split(' ');
        let kind = match words.next()? {
            "100755" => "program",
            "120000" => "link",
            "160000" => "submodule",
            _ => "file",
        };
        Some((path.to_owned(), format!("{kind} {}", words.nth(1)?)))
    };
    listed.split('\0').filter_map(entry).collect()
}

fn ask(cx: &Context, words: &[&str]) -> Option<String> {
    let git = cx.process("git").args(["--no-optional-locks", "-c", "core.quotepath=off"]);
    git.args(words).answer().map(|it| it.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_sees_only_a_list_is_made_of_no_more() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(context(folder.path()), ["**"]);
        fs::write(folder.path().join(IGNORE_FILE), "# why\n*\n!Cargo.toml\n!crates/\n**/*.md\n").unwrap();
        assert_eq!(context(folder.path()), ["Cargo.toml", "crates"]);
        fs::write(folder.path().join(IGNORE_FILE), "target\n").unwrap();
        assert_eq!(context(folder.path()), ["**"]);
    }
}
