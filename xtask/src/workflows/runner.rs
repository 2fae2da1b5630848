//! A host runner of Gitea Actions, as far as a job notices: a fresh clone, a shell, and what it sets.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::read::Job;
use crate::{
    context::Context,
    process::{Finished, Log, Process, ProcessError},
};

/// The shell that a host runner starts for a `run:` line.
const SHELL: &[&str] = &["--noprofile", "--norc", "-e", "-o", "pipefail", "-c"];

/// A clean clone with a temporary folder beside it; both go when it is dropped.
#[derive(Debug)]
pub(super) struct Workspace {
    folder: PathBuf,
    pub(super) commit: String,
}

impl Workspace {
    /// Clones what is committed; nothing of the working tree, of the verdicts or of what is compiled comes along.
    ///
    /// # Errors
    /// When git cannot clone, or the disk cannot hold it.
    pub(super) fn clone(cx: &Context, log: &Log) -> anyhow::Result<Self> {
        let folder = cx.target().join("replay");
        let failed = || format!("cannot write `{}`", cx.shown(&folder));
        if folder.exists() {
            // A replay that was killed has left it.
            fs::remove_dir_all(&folder).with_context(failed)?;
        }
        fs::create_dir_all(folder.join("temp")).with_context(failed)?;
        let mut workspace = Self { folder, commit: String::new() };
        let clone = cx.process("git").args(["clone", "--quiet", "--no-hardlinks"]).arg(&cx.root);
        git(&clone.arg(workspace.checkout()).log(log))?;
        let head = cx.process("git").folder(workspace.checkout()).args(["rev-parse", "HEAD"]);
        workspace.commit = git(&head)?.stdout.trim().into();
        Ok(workspace)
    }

    pub(super) fn checkout(&self) -> PathBuf {
        self.folder.join("checkout")
    }

    /// Runs one line of a job as the runner does.
    pub(super) fn run(
        &self,
        cx: &Context,
        job: &Job,
        line: &str,
        log: &Log,
    ) -> Result<Finished, ProcessError> {
        let temp = self.folder.join("temp");
        let mut process = Process::new("bash").args(SHELL).arg(line).folder(self.checkout());
        // What a person has set for this shell a runner does not know.
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy();
            if known.starts_with("XTASK_") || known.starts_with("INSTA_") || known.contains("TARGET_DIR") {
                process = process.env_remove(&name);
            }
        }
        for (name, value) in [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITEA_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_JOB", &job.name),
            ("GITHUB_SHA", &self.commit),
            ("TERM", "dumb"),
        ] {
            process = process.env(name, value);
        }
        // What the server keeps for the job, whoever replays it has under the same name.
        for name in &job.given {
            if let Some(value) = std::env::var_os(name) {
                process = process.env(name, value);
            }
        }
        process
            .env("GITHUB_WORKSPACE", self.checkout())
            .env("GITHUB_STEP_SUMMARY", temp.join(format!("{}.md", job.name)))
            .env("RUNNER_TEMP", &temp)
            .env("TMPDIR", scratch_folder(cx, &temp))
            .log(log)
            .run()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Where children put their own temporary files: sockets need short paths.
fn scratch_folder(cx: &Context, temp: &Path) -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(folder) => folder.into(),
        None if cx.root.as_os_str().len() > 40 => std::env::temp_dir(),
        None => temp.to_owned(),
    }
}

fn git(process: &Process) -> anyhow::Result<Finished> {
    let finished = process.run()?;
    anyhow::ensure!(
        finished.success(),
        "`{}` failed: {}",
        process.display(),
        finished.stderr.trim().lines().last().unwrap_or("git said nothing")
    );
    Ok(finished)
}
