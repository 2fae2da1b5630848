//! The git repository that a project lies in, asked through `git` itself: what it held at other revisions.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use crate::error::Error;

/// A repository, seen from a folder in its working tree.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// The top of the working tree, without symbolic links.
    top: PathBuf,
}

/// A file as a commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Below the directory that was asked for, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: Arc<[u8]>,
}

impl Repository {
    /// The repository that `folder` lies in.
    ///
    /// # Errors
    /// When it lies in none, or `git` cannot be run.
    pub(crate) fn around(folder: &Path) -> Result<Self, Error> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let output = run(folder, ["rev-parse", "--show-toplevel"], &[])?;
        if !output.status.success() {
            return Err(Error::Configuration(format!(
                "`{}` lies in no git repository that can be used ({}); run this in a clone, or leave out what asks git",
                folder.display(),
                said(&output)
            )));
        }
        Ok(Self { top: PathBuf::from(text(output.stdout).trim_end_matches('\n')) })
    }

    /// The commit that `revision` (a branch, a tag, a commit) means.
    ///
    /// # Errors
    /// When there is none; in a shallow clone the message says how to get the rest.
    pub(crate) fn commit(&self, revision: &str) -> Result<String, Error> {
        let commit = format!("{revision}^{{commit}}");
        let output = self.run(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?;
        if output.status.success() {
            return Ok(text(output.stdout).trim_end().to_owned());
        }
        let help = if self.is_shallow()? {
            "this clone is shallow: `git fetch --unshallow --tags` gets the rest (in a workflow, `fetch-depth: 0`)".into()
        } else {
            format!("`git fetch origin {revision}` gets a branch, `git fetch --tags` the tags")
        };
        Err(Error::Configuration(format!("git knows no revision `{revision}`; {help}")))
    }

    /// Where the histories of two revisions parted; nothing where they share none.
    ///
    /// # Errors
    /// When one of them is unknown, or the clone is too shallow to tell.
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, Error> {
        let (one, other) = (self.commit(one)?, self.commit(other)?);
        let output = self.run(["merge-base", &one, &other])?;
        match (output.status.code(), self.is_shallow()?) {
            (Some(0), _) => Ok(Some(text(output.stdout).trim_end().to_owned())),
            (Some(1), false) => Ok(None),
            (Some(1), true) => Err(Error::Configuration(
                "this clone is too shallow to tell where the branch began; `git fetch --unshallow` gets the rest (in a \
                 workflow, `fetch-depth: 0`)"
                    .into(),
            )),
            _ => Err(failed("merge-base", &output)),
        }
    }

    /// The tags whose names match `pattern` (such as `v*`), oldest first.
    ///
    /// # Errors
    /// In a shallow clone, which need not have all of them.
    pub(crate) fn tags(&self, pattern: &str) -> Result<Vec<String>, Error> {
        if self.is_shallow()? {
            return Err(Error::Configuration(
                "this clone is shallow and need not have every release's tag; `git fetch --unshallow --tags` gets them \
                 (in a workflow, `fetch-depth: 0`)"
                    .into(),
            ));
        }
        let arguments =
            ["tag", "--list", "--sort=v:refname", "--sort=creatordate", "--end-of-options", pattern];
        let output = self.expect(arguments, &[])?;
        Ok(text(output).lines().map(str::to_owned).collect())
    }

    /// The newest release before this commit, by its version, whose tag matches `pattern`; nothing where there is none.
    ///
    /// # Errors
    /// In a shallow clone, which need not have all of them.
    pub(crate) fn last_release(&self, pattern: &str) -> Result<Option<String>, Error> {
        if self.tags(pattern)?.is_empty() {
            return Ok(None);
        }
        // A release candidate comes before its release.
        let output = self.expect(
            [
                "-c",
                "versionsort.suffix=-",
                "tag",
                "--sort=-v:refname",
                "--merged=HEAD",
                "--no-contains=HEAD",
                "--list",
                pattern,
            ],
            &[],
        )?;
        Ok(text(output).lines().next().map(str::to_owned))
    }

    /// The folders called `name` at `revision`, wherever they are in the tree.
    ///
    /// # Errors
    /// When the revision is unknown, or git fails.
    pub(crate) fn folders_called(&self, revision: &str, name: &str) -> Result<Vec<PathBuf>, Error> {
        let commit = self.commit(revision)?;
        let output = text(self.expect(["ls-tree", "-rdz", "--name-only", &commit], &[])?);
        let folders =
            output.split('\0').map(Path::new).filter(|it| it.file_name().is_some_and(|it| it == name));
        Ok(folders.map(|it| self.top.join(it)).collect())
    }

    /// The files in and below `directory` at `revision`, by path; none where it did not have the directory.
    ///
    /// # Errors
    /// When the revision is unknown or the directory lies outside of the working tree.
    pub(crate) fn files(&self, revision: &str, directory: &Path) -> Result<Vec<Blob>, Error> {
        let commit = self.commit(revision)?;
        let mut of_each = self.files_of_each(&[commit.as_str()], directory)?;
        Ok(of_each.pop().unwrap_or_default())
    }

    /// [`Self::files`] of several commits or tags, each object read once.
    ///
    /// # Errors
    /// When the directory lies outside of the working tree or git fails.
    pub(crate) fn files_of_each(
        &self,
        revisions: &[&str],
        directory: &Path,
    ) -> Result<Vec<Vec<Blob>>, Error> {
        let directory = self.below_top(directory)?;
        let trees = self.trees(revisions, &directory)?;
        let mut listings: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for tree in trees.iter().flatten() {
            if !listings.contains_key(tree.as_str()) {
                listings.insert(tree, self.listing(tree)?);
            }
        }
        let mut ids: Vec<&str> = listings.values().flatten().map(|(id, _)| id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let contents = self.contents(&ids)?;
        let blobs = |tree: &Option<String>| {
            let listing = tree.as_deref().and_then(|it| listings.get(it)).into_iter().flatten();
            listing
                .map(|(id, path)| Blob {
                    path: path.clone(),
                    bytes: contents.get(id.as_str()).cloned().unwrap_or_default(),
                })
                .collect()
        };
        Ok(trees.iter().map(blobs).collect())
    }

    /// One file at `revision`, wherever in the working tree; nothing where the revision does not have it.
    ///
    /// # Errors
    /// As [`Self::files`].
    pub(crate) fn file(&self, revision: &str, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let commit = self.commit(revision)?;
        let object = format!("{commit}:{}", self.below_top(path)?);
        Ok(self.objects(&[&object])?.pop().flatten())
    }

    /// The trees that `directory` is at each revision; nothing where it does not exist there.
    fn trees(&self, revisions: &[&str], directory: &str) -> Result<Vec<Option<String>>, Error> {
        let names: Vec<String> = revisions.iter().map(|it| format!("{it}:{directory}")).collect();
        let input = lines(names.iter().map(String::as_str));
        let answers = text(self.expect(["cat-file", "--batch-check"], &input)?);
        let tree = |line: &str| {
            let mut words = line.split(' ');
            let id = words.next()?;
            (words.next() == Some("tree")).then(|| id.to_owned())
        };
        Ok(answers.lines().map(tree).collect())
    }

    /// Object id and path of every file below `tree`.
    fn listing(&self, tree: &str) -> Result<Vec<(String, String)>, Error> {
        let output = text(self.expect(["ls-tree", "-rz", tree], &[])?);
        let entry = |line: &str| {
            let (meta, path) = line.split_once('\t')?;
            let mut words = meta.split(' ').skip(1);
            (words.next() == Some("blob")).then(|| Some((words.next()?.to_owned(), path.to_owned())))?
        };
        Ok(output.split('\0').filter_map(entry).collect())
    }

    fn contents<'i>(&self, ids: &[&'i str]) -> Result<BTreeMap<&'i str, Arc<[u8]>>, Error> {
        let contents = self.objects(ids)?;
        Ok(ids.iter().zip(contents).filter_map(|(id, bytes)| Some((*id, bytes?.into()))).collect())
    }

    /// The contents of objects, by whatever name; nothing for one that does not exist.
    fn objects(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let output = self.expect(["cat-file", "--batch"], &lines(names.iter().copied()))?;
        let mut rest = output.as_slice();
        let mut objects = Vec::with_capacity(names.len());
        for _ in names {
            objects.push(take_object(&mut rest));
        }
        Ok(objects)
    }

    /// `path` as git names it: below the top of the working tree, with `/`.
    fn below_top(&self, path: &Path) -> Result<String, Error> {
        let outside = || {
            Error::Configuration(format!(
                "`{}` lies outside of the git working tree `{}`; name a path in it",
                path.display(),
                self.top.display()
            ))
        };
        // What is asked for may exist at the revision only.
        let absolute = std::path::absolute(path).map_err(|_| outside())?;
        let existing = absolute.ancestors().find(|it| it.exists()).ok_or_else(outside)?;
        let rest = absolute.strip_prefix(existing).map_err(|_| outside())?;
        let real = existing.canonicalize().map_err(|_| outside())?.join(rest);
        let below = real.strip_prefix(&self.top).map_err(|_| outside())?;
        Ok(below.display().to_string())
    }

    fn is_shallow(&self) -> Result<bool, Error> {
        Ok(text(self.expect(["rev-parse", "--is-shallow-repository"], &[])?).trim_end() == "true")
    }

    fn run<const N: usize>(&self, arguments: [&str; N]) -> Result<Output, Error> {
        run(&self.top, arguments, &[])
    }

    /// Standard output of a command that has no reason to fail.
    fn expect<const N: usize>(&self, arguments: [&str; N], input: &[u8]) -> Result<Vec<u8>, Error> {
        let output = run(&self.top, arguments, input)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failed(arguments.first().copied().unwrap_or_default(), &output))
        }
    }
}

/// Takes one answer of `cat-file --batch` off `rest`: a head line, then as many bytes as it says, then a line end.
fn take_object(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    *rest = &rest[end + 1..];
    // `ID TYPE SIZE`, or `NAME missing`.
    let size: usize = head.rsplit(' ').next()?.parse().ok()?;
    let bytes = rest.get(..size)?.to_vec();
    *rest = rest.get(size + 1..).unwrap_or_default();
    Some(bytes)
}

/// Runs git in `folder`, with nothing of the caller's `GIT_*`: hooks and worktrees set them for another repository.
fn run<const N: usize>(folder: &Path, arguments: [&str; N], input: &[u8]) -> Result<Output, Error> {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_git(name)) {
        command.env_remove(name);
    }
    // It neither takes locks nor fetches, asks nobody, and says what it has to say in English.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0");
    command.env("LC_ALL", "C").current_dir(folder).args(arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let unusable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NoGit("`git` is not installed".into()),
        _ => Error::NoGit(format!("cannot run `git`: {error}")),
    };
    let mut child = child.map_err(unusable)?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // git answers while it is still being asked.
        scope.spawn(move || stdin.map(|mut it| it.write_all(input)));
        child.wait_with_output().map_err(unusable)
    })
}

fn is_git(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("GIT_")
}

fn failed(what: &str, output: &Output) -> Error {
    Error::NoGit(format!("`git {what}` failed: {}", said(output)))
}

/// git's own words, in one line.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lines<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u8> {
    names.flat_map(|it| [it, "\n"]).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git(&folder, &["init", "--quiet", "--initial-branch=main"]);
        write(&folder, "migrations/1_users.sql", "one");
        git(&folder, &["add", "."]);
        git(&folder, &["commit", "--quiet", "--message=first"]);
        git(&folder, &["tag", "v1.0"]);
        folder
    }

    fn git(folder: &tempfile::TempDir, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
        let status = Command::new("git").current_dir(folder).args(identity).args(arguments).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    }

    fn write(folder: &tempfile::TempDir, path: &str, content: &str) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(folder: &tempfile::TempDir, path: &str, content: &str) {
        write(folder, path, content);
        git(folder, &["add", "."]);
        git(folder, &["commit", "--quiet", "--message=next"]);
    }

    fn at(repository: &Repository, revision: &str, directory: &Path) -> Vec<(String, String)> {
        let blobs = repository.files(revision, directory).unwrap();
        blobs.into_iter().map(|it| (it.path, text(it.bytes.to_vec()))).collect()
    }

    #[test]
    fn files_are_read_as_each_revision_has_them() {
        let folder = repository();
        commit(&folder, "migrations/old/2_posts.sql", "two\n\0more\n");
        commit(&folder, "migrations/1_users.sql", "changed");
        git(&folder, &["tag", "v1.1"]);
        git(&folder, &["tag", "nightly"]);
        let repository = Repository::around(&folder.path().join("migrations")).unwrap();
        let migrations = folder.path().join("migrations");
        let pair = |path: &str, content: &str| (path.to_owned(), content.to_owned());

        assert_eq!(at(&repository, "v1.0", &migrations), [pair("1_users.sql", "one")]);
        let both = [pair("1_users.sql", "changed"), pair("old/2_posts.sql", "two\n\0more\n")];
        assert_eq!(at(&repository, "main", &migrations), both);
        assert_eq!(at(&repository, "main", &folder.path().join("nowhere")), []);
        let one = repository.file("v1.0", &folder.path().join("migrations/1_users.sql")).unwrap();
        assert_eq!(one.as_deref(), Some(b"one".as_slice()));
        assert_eq!(repository.file("v1.0", &folder.path().join("migrations/2.sql")).unwrap(), None);
        assert_eq!(repository.tags("v*").unwrap(), ["v1.0", "v1.1"]);
    }

    #[test]
    fn where_two_branches_parted_is_their_merge_base() {
        let folder = repository();
        git(&folder, &["switch", "--quiet", "--create", "topic"]);
        commit(&folder, "a", "a");
        git(&folder, &["switch", "--quiet", "main"]);
        commit(&folder, "b", "b");
        let repository = Repository::around(folder.path()).unwrap();

        let base = repository.merge_base("topic", "main").unwrap();

        assert_eq!(base, Some(repository.commit("v1.0").unwrap()));
    }

    #[test]
    fn what_git_cannot_tell_is_said_with_the_command_that_helps() {
        let folder = repository();
        commit(&folder, "a", "a");
        let shallow = tempfile::tempdir().unwrap();
        let from = format!("file://{}", folder.path().display());
        git(&shallow, &["clone", "--quiet", "--depth=1", &from, "."]);
        let nowhere = tempfile::tempdir().unwrap();
        let refused = |error: Error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string().replace(&nowhere.path().display().to_string(), "DIR")
        };

        let full = Repository::around(folder.path()).unwrap();
        insta::assert_snapshot!(refused(full.commit("v9").unwrap_err()), @"git knows no revision `v9`; `git fetch origin v9` gets a branch, `git fetch --tags` the tags");
        let clone = Repository::around(shallow.path()).unwrap();
        insta::assert_snapshot!(refused(clone.commit("v1.0").unwrap_err()), @"git knows no revision `v1.0`; this clone is shallow: `git fetch --unshallow --tags` gets the rest (in a workflow, `fetch-depth: 0`)");
        insta::assert_snapshot!(refused(clone.tags("v*").unwrap_err()), @"this clone is shallow and need not have every release's tag; `git fetch --unshallow --tags` gets them (in a workflow, `fetch-depth: 0`)");
        insta::assert_snapshot!(refused(Repository::around(nowhere.path()).unwrap_err()), @"`DIR` lies in no git repository that can be used (not a git repository (or any of the parent directories): .git); run this in a clone, or leave out what asks git");
    }
}
