//! `secrets`: no credential in the tree or in the commits that the base does not have, judged by ripsecrets.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    base,
    config::{Allowed, CONFIG_FILE},
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::Log,
    verdict::inputs::{Git, Inputs},
};

/// Bytes of arguments that one scanner is given.
const ARGUMENTS_MAX: usize = 64 << 10;
/// A line with this word is passed over by the scanner; the reason stands behind it.
const EXCUSE: &str = concat!("pragma: allow", "list secret");

pub(crate) fn inputs(cx: &Context) -> Inputs {
    Inputs { git: Git::Commits, ..Inputs::files(["**"]) }.setting(&cx.config.secrets)
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let mut findings = Vec::new();
    let Some(files) = listed(cx)? else {
        log.line("no git repository: the folder is searched as it is, without what git would ignore");
        let hits = scan(cx, log, &cx.root, std::slice::from_ref(&cx.root))?;
        return Ok(Outcome::Judged(hits.into_iter().map(Hit::in_tree).collect()));
    };
    let tree: Vec<PathBuf> = files.iter().map(|file| cx.root.join(file)).collect();
    let mut used = vec![false; cx.config.secrets.allow.len()];
    for hit in scan(cx, log, &cx.root, &tree)? {
        if !is_allowed(&cx.config.secrets.allow, &hit.file, &mut used) {
            findings.push(hit.in_tree());
        }
    }
    findings.extend(excuses(cx, &files));
    match base::left(&cx.root) {
        Some(base) => {
            let known: Vec<String> = findings.iter().filter_map(|it| it.file.clone()).collect();
            for (commit, hit) in in_commits(cx, log, &base)? {
                let reported = known.contains(&hit.file);
                if !reported && !is_allowed(&cx.config.secrets.allow, &hit.file, &mut used) {
                    findings.push(hit.in_commit(&commit));
                }
            }
        }
        None => log.line("no base to compare with: the commits were not searched, only the tree"),
    }
    for (allowed, _) in cx.config.secrets.allow.iter().zip(used).filter(|(_, used)| !used) {
        let message = format!("`{}` is allowed to hold a credential, but holds none", allowed.file);
        let fix = format!("remove the entry from {CONFIG_FILE}");
        findings.push(Finding::warning("secret-allowed-unused", message).at(CONFIG_FILE, None).fix(fix));
    }
    Ok(Outcome::Judged(findings))
}

/// Something that looks like a credential; what it is stays where it is.
#[derive(Debug)]
struct Hit {
    file: String,
    line: Option<u32>,
}

impl Hit {
    fn in_tree(self) -> Finding {
        Finding::error("secret", "this line holds what looks like a credential")
            .at(self.file, self.line)
            .fix("take it out and revoke it; what is no credential is allowed, with a reason, by `[[secrets.allow]]` in .config/xtask.toml")
    }

    fn in_commit(self, commit: &str) -> Finding {
        let message =
            format!("commit {commit} holds what looks like a credential; a later commit does not undo that");
        Finding::error("secret", message)
            .at(self.file, self.line)
            .fix("revoke it, then take it out of the commit before it is merged: `git rebase -i`")
    }
}

/// The files below a folder, relative to it, that hold what looks like a credential.
///
/// # Errors
/// When the scanner cannot be run.
pub(crate) fn scanned(cx: &Context, log: &Log, folder: &Path) -> Result<Vec<String>, StepError> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    let hits = scan(cx, log, folder, &files.collect::<Vec<_>>())?;
    Ok(hits.into_iter().map(|it| it.file).collect())
}

/// Runs the scanner over `files`, all below `root`; lines with what was found are neither kept nor logged.
fn scan(cx: &Context, log: &Log, root: &Path, files: &[PathBuf]) -> Result<Vec<Hit>, StepError> {
    // From a folder without `.secretsignore`: what is allowed stands in the configuration, with its reason.
    let folder = cx.target().join("secrets");
    fs::create_dir_all(&folder).with_context(|| format!("cannot write `{}`", cx.shown(&folder)))?;
    let mut hits = Vec::new();
    for some in chunks(files) {
        log.line(&format!("$ ripsecrets ({} files)", some.len()));
        let finished = cx.process("ripsecrets").folder(&folder).args(some).run()?;
        match finished.code() {
            0 => {}
            1 => hits.extend(finished.stdout.lines().filter_map(|line| hit(line, root))),
            _ => {
                let lacks = format!("ripsecrets failed: {}", finished.stderr.trim());
                return Err(StepError::environment(lacks, "cargo xtask doctor"));
            }
        }
    }
    Ok(hits)
}

/// The scanner says `FILE:LINE:TEXT`.
fn hit(line: &str, root: &Path) -> Option<Hit> {
    let rest = line.strip_prefix(&format!("{}/", root.display()))?;
    let mut parts = rest.splitn(3, ':');
    let file = parts.next()?.to_owned();
    Some(Hit { file, line: parts.next()?.parse().ok() })
}

fn chunks(files: &[PathBuf]) -> Vec<&[PathBuf]> {
    let mut chunks = Vec::new();
    let (mut from, mut size) = (0, 0);
    for (index, file) in files.iter().enumerate() {
        size += file.as_os_str().len() + 1;
        if size > ARGUMENTS_MAX {
            chunks.push(&files[from..index]);
            (from, size) = (index, file.as_os_str().len() + 1);
        }
    }
    chunks.push(&files[from..]);
    chunks.retain(|it| !it.is_empty());
    chunks
}

fn is_allowed(allow: &[Allowed], file: &str, used: &mut [bool]) -> bool {
    let found = allow.iter().position(|it| it.file == file);
    found.inspect(|&index| used[index] = true).is_some()
}

/// Lines that the scanner is told to pass over, without a word on why.
fn excuses(cx: &Context, files: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(cx.root.join(file)) else { continue };
        for (index, line) in text.lines().enumerate() {
            let Some((_, reason)) = line.split_once(EXCUSE) else { continue };
            if !reason.chars().any(char::is_alphanumeric) {
                let message = "this line is kept from the scanner, and nothing says why";
                let fix = format!("say why behind `{EXCUSE}`: `{EXCUSE}: the key of a test`");
                let line = u32::try_from(index + 1).ok();
                findings.push(Finding::error("secret-without-reason", message).at(file, line).fix(fix));
            }
        }
    }
    findings
}

/// Files of the tree, tracked or not, without what is ignored; nothing where there is no repository.
fn listed(cx: &Context) -> Result<Option<Vec<String>>, StepError> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let finished = cx.process("git").args(arguments).run()?;
    if finished.stderr.contains("not a git repository") {
        return Ok(None);
    }
    if !finished.success() {
        let lacks = format!("git cannot list the files: {}", finished.stderr.trim());
        return Err(StepError::environment(lacks, "git fsck"));
    }
    let files = finished.stdout.split('\0').filter(|it| !it.is_empty());
    let mut files: Vec<String> = files.filter(|it| cx.root.join(it).is_file()).map(Into::into).collect();
    files.dedup();
    Ok(Some(files))
}

/// Looks at the lines that each commit since `base` has added, at the places where they stood.
fn in_commits(cx: &Context, log: &Log, base: &str) -> Result<Vec<(String, Hit)>, StepError> {
    let range = format!("{base}..HEAD");
    let arguments = [
        "-c",
        "core.quotepath=off",
        "log",
        "--patch",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-renames",
        "--diff-filter=AM",
        "--format=%x00%H",
        &range,
    ];
    let finished = cx.process("git").args(arguments).run()?;
    if !finished.success() {
        let lacks = format!("git cannot read the commits since {base}: {}", finished.stderr.trim());
        return Err(StepError::environment(lacks, "git fetch --unshallow"));
    }
    let folder = cx.target().join("secrets").join("commits");
    fs::remove_dir_all(&folder).ok();
    let mut files = Vec::new();
    for commit in finished.stdout.split('\0').filter(|it| !it.is_empty()) {
        let (hash, patch) = commit.split_once('\n').unwrap_or((commit, ""));
        for (file, text) in added(patch) {
            let path = folder.join(&hash[..hash.len().min(12)]).join(&file);
            let written =
                path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
            written.with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
            files.push(path);
        }
    }
    let hits = scan(cx, log, &folder, &files);
    fs::remove_dir_all(&folder).ok();
    let split = |hit: Hit| {
        let (commit, file) = hit.file.split_once('/')?;
        Some((commit.to_owned(), Hit { file: file.to_owned(), line: hit.line }))
    };
    Ok(hits?.into_iter().filter_map(split).collect())
}

/// The added lines of a patch by file, each at its line, with empty lines in between.
fn added(patch: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    let mut inside = false;
    for line in patch.lines() {
        if line.starts_with("diff --git ") {
            (current, inside) = (None, false);
        } else if let Some(name) = line.strip_prefix("+++ b/").filter(|_| !inside) {
            current = Some(name.trim_end_matches('\t').into());
        } else if let Some(hunk) = line.strip_prefix("@@ ") {
            inside = true;
            let Some(text) = current.as_ref().map(|it| files.entry(it.clone()).or_default()) else {
                continue;
            };
            let start: usize = hunk
                .split_once('+')
                .and_then(|(_, new)| new.split([',', ' ']).next())
                .and_then(|it| it.parse().ok())
                .unwrap_or(1);
            let lines = text.matches('\n').count();
            text.push_str(&"\n".repeat(start.saturating_sub(lines + 1)));
        } else if let (Some(name), Some(text)) = (&current, line.strip_prefix('+')) {
            let file = files.entry(name.clone()).or_default();
            file.push_str(text);
            file.push('\n');
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_lines_stand_where_they_stood_in_the_commit() {
        let patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +2 @@\n+two\n@@ -4,0 +5,2 @@ fn\n+++ five\n+six\n\
                     diff --git a/y b/y\nnew file mode 100644\n--- /dev/null\n+++ b/y\n@@ -0,0 +1 @@\n+one\n";
        let files = added(patch);
        assert_eq!(files["x"], "\ntwo\n\n\n++ five\nsix\n");
        assert_eq!(files["y"], "one\n");
    }

    #[test]
    fn a_long_list_of_files_is_given_in_parts() {
        let files: Vec<PathBuf> =
            (0..5000).map(|it| PathBuf::from(format!("/some/folder/file-{it}"))).collect();
        let parts = chunks(&files);
        assert!(parts.len() > 1);
        assert_eq!(parts.iter().map(|it| it.len()).sum::<usize>(), files.len());
        assert!(chunks(&[]).is_empty());
    }
}
