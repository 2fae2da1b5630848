//! The working tree as git knows it: each file with the id of its content, read without touching what did not change.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::process::Process;

/// Folders that are ignored and hold nothing that a step reads.
const NEVER_READ: &[&str] = &[".direnv", ".idea", ".venv", ".vscode", "node_modules", "target"];
/// What marks a folder as a cache, such as a target folder of another name.
const CACHE_TAG: &str = "CACHEDIR.TAG";
/// The most files of an ignored folder that are looked at.
const IGNORED_MAX: usize = 2000;

/// A working tree at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// By path below the root; what cannot be told apart by content has the reason as its error.
    pub(crate) files: BTreeMap<String, Content>,
    pub(crate) commit: Option<String>,
    /// Whether anything differs from the commit.
    pub(crate) dirty: bool,
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Kind of file and id of the content.
    Known(String),
    /// Why it cannot be told.
    Opaque(&'static str),
}

impl Tree {
    /// Reads the tree below `root`; nothing where there is no usable git repository.
    pub(crate) fn read(root: &Path) -> Option<Self> {
        let git = |arguments: &[&str]| {
            let calm = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotepath=off"];
            Process::new("git").folder(root).args(calm).args(arguments).answer()
        };
        let (listed, status) = std::thread::scope(|scope| {
            let listed = scope.spawn(|| git(&["ls-files", "--stage", "-v", "-z"]));
            let status = git(&[
                "status",
                "--porcelain=v2",
                "--branch",
                "-z",
                "--no-renames",
                "--untracked-files=all",
                "--ignored=matching",
                "--ignore-submodules=none",
                "--",
                ".",
            ]);
            (listed.join().ok().flatten(), status)
        });
        let mut tree = Self::default();
        let mut unknown = tree.committed(&listed?);
        unknown.extend(tree.changed(&status?, &prefix(root)));
        tree.look_at(root, unknown);
        Some(tree)
    }

    /// Takes in `TAG MODE ID STAGE\tPATH` of the index; returns the paths that git was told not to look at.
    fn committed(&mut self, listed: &str) -> Vec<String> {
        let mut unknown = Vec::new();
        for line in listed.split('\0') {
            let Some((head, path)) = line.split_once('\t') else { continue };
            let mut words = head.split(' ');
            let tag = words.next().unwrap_or_default();
            let (mode, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            self.files.insert(path.into(), Content::Known(format!("{} {id}", kind(mode))));
            // `assume-unchanged` and `skip-worktree`: what lies there may be anything.
            if tag != "H" {
                unknown.push(path.into());
            }
        }
        unknown
    }

    /// Takes in what differs from the index; returns the paths whose content git has no id for.
    fn changed(&mut self, status: &str, prefix: &str) -> Vec<String> {
        let mut unknown = Vec::new();
        for line in status.split('\0') {
            let (sort, rest) = line.split_once(' ').unwrap_or((line, ""));
            let fields = match sort {
                "#" => {
                    let commit = rest.strip_prefix("branch.oid ").filter(|it| !it.starts_with('('));
                    self.commit = commit.map(str::to_owned).or(self.commit.take());
                    continue;
                }
                "1" => 8,
                "u" => 10,
                "?" | "!" => 1,
                _ => continue,
            };
            self.dirty |= sort != "!";
            let Some(path) = rest.splitn(fields, ' ').nth(fields - 1) else { continue };
            let Some(path) = path.strip_prefix(prefix) else { continue };
            let in_tree = rest.as_bytes().get(1).copied();
            let submodule = rest.split(' ').nth(1).is_some_and(|it| it.starts_with('S'));
            match sort {
                // Staged, and the same in the tree as in the index.
                "1" if in_tree == Some(b'.') => {}
                "1" if submodule => {
                    self.files.insert(path.into(), Content::Opaque("is a submodule with changes"));
                }
                _ => unknown.push(path.to_owned()),
            }
        }
        unknown
    }

    /// Finds out what lies at paths that git has no id for.
    fn look_at(&mut self, root: &Path, unknown: Vec<String>) {
        let mut asked = Vec::new();
        for path in unknown {
            match path.strip_suffix('/') {
                Some(folder) => self.folder(root, folder, &mut asked),
                None => self.file(root, path, &mut asked),
            }
        }
        if asked.is_empty() {
            return;
        }
        let names: Vec<&str> = asked.iter().map(|(path, _)| path.as_str()).collect();
        let hash = Process::new("git").folder(root).args(["hash-object", "--stdin-paths"]);
        let ids = hash.input(names.join("\n") + "\n").answer().unwrap_or_default();
        let mut ids = ids.lines();
        for (path, kind) in asked {
            let content = match ids.next() {
                Some(id) => Content::Known(format!("{kind} {id}")),
                None => Content::Opaque("cannot be read"),
            };
            self.files.insert(path, content);
        }
    }

    fn file(&mut self, root: &Path, path: String, asked: &mut Vec<(String, &'static str)>) {
        let full = root.join(&path);
        let Ok(data) = fs::symlink_metadata(&full) else {
            self.files.remove(&path);
            return;
        };
        if data.is_symlink() {
            let target = fs::read_link(&full).unwrap_or_default();
            self.files.insert(path, Content::Known(format!("link {}", target.display())));
        } else if !data.is_file() || path.contains('\n') {
            self.files.insert(path, Content::Opaque("is no plain file"));
        } else {
            asked.push((path, if data.permissions().mode() & 0o100 == 0 { "file" } else { "program" }));
        }
    }

    /// An ignored folder, or a repository of its own.
    fn folder(&mut self, root: &Path, folder: &str, asked: &mut Vec<(String, &'static str)>) {
        let mut waiting = vec![PathBuf::from(folder)];
        let mut count = 0;
        while let Some(folder) = waiting.pop() {
            let name = folder.file_name().unwrap_or_default();
            let full = root.join(&folder);
            if NEVER_READ.iter().any(|it| name == *it) || full.join(CACHE_TAG).exists() {
                continue;
            }
            if full.join(".git").exists() {
                let shown = folder.to_string_lossy().into_owned();
                self.files.insert(shown, Content::Opaque("is a repository of its own"));
                continue;
            }
            for entry in fs::read_dir(full).into_iter().flatten().flatten() {
                count += 1;
                let path = folder.join(entry.file_name());
                if count > IGNORED_MAX {
                    let shown = path.to_string_lossy().into_owned();
                    self.files.insert(shown, Content::Opaque("lies among too many ignored files"));
                    return;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => waiting.push(path),
                    _ => self.file(root, path.to_string_lossy().into_owned(), asked),
                }
            }
        }
    }
}

fn kind(mode: &str) -> &'static str {
    match mode {
        "100755" => "program",
        "120000" => "link",
        "160000" => "submodule",
        _ => "file",
    }
}

/// Where the root lies below the repository's own, as `status` names paths; ends with `/` where there is something.
fn prefix(root: &Path) -> String {
    let repository = root.ancestors().find(|it| it.join(".git").exists()).unwrap_or(root);
    match root.strip_prefix(repository) {
        Ok(below) if !below.as_os_str().is_empty() => format!("{}/", below.display()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_staged_and_unchanged_since_has_the_id_of_the_index() {
        let mut tree = Tree::default();
        let listed = "H 100644 aaaa 0\ta.rs\0H 100755 bbbb 0\trun\0h 100644 cccc 0\tassumed\0";
        assert_eq!(tree.committed(listed), ["assumed"]);
        let status = "# branch.oid 1234\0# branch.head main\0\
                      1 M. N... 100644 100644 100644 aaaa aaaa a.rs\0\
                      1 .M N... 100755 100755 100755 bbbb bbbb run\0\
                      ? new file\0! ignored/\0";
        assert_eq!(tree.changed(status, ""), ["run", "new file", "ignored/"]);
        assert_eq!(tree.commit.as_deref(), Some("1234"));
        assert!(tree.dirty);
    }

    #[test]
    fn paths_of_a_workspace_inside_a_repository_are_its_own() {
        let mut tree = Tree::default();
        assert_eq!(tree.changed("? inner/new\0? outer\0", "inner/"), ["new"]);
    }
}
