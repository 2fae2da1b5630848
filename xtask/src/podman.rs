//! The container engine: podman, with settings of the run's own where the host's cannot run a container.
//!
//! The host's configuration is never edited. Whether podman works is found out by running a container once; what
//! made it work is kept in `target/xtask/containers.conf` until podman, the limits or the host's settings change.

mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

pub(crate) use self::settings::document;
use crate::{
    context::Context,
    outcome::StepError,
    process::{Finished, Log, Process},
};

/// The label that ties a container to the run that started it.
pub(crate) const RUN_LABEL: &str = "dev.slipway.run";

/// The generated settings, below `target/xtask`.
pub(crate) const SETTINGS_FILE: &str = "containers.conf";
/// What the last trial found out, below `target/xtask`.
const VERDICT_FILE: &str = "podman.json";
/// The empty image of the trial; its tag is the run's, so that two trials at once do not take it from each other.
const TRIAL_IMAGE: &str = "localhost/slipway-base/trial";
/// An archive without entries: two blocks of zeros.
const EMPTY_TAR: [u8; 1024] = [0; 1024];
const TRIAL_TIMEOUT: Duration = Duration::from_secs(60);
/// What a container gets where podman's own default is more than this process may give.
const MOST_FILES: u64 = 4096;
const MOST_PROCESSES: u64 = 4096;

/// What podman says when it cannot run a container, and the command that helps.
const REMEDIES: &[(&str, &str)] = &[
    ("newuidmap", "sudo apt-get install --yes uidmap"),
    ("subuid", "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \"$USER\""),
    ("conmon", "sudo apt-get install --yes conmon"),
    ("fuse", "sudo apt-get install --yes fuse-overlayfs"),
    ("crun", "sudo apt-get install --yes runc"),
];

/// podman, known to run containers here.
#[derive(Debug, Clone)]
pub(crate) struct Podman {
    settings: Option<PathBuf>,
    /// Where it keeps everything, if not in the user's own store.
    store: Option<Store>,
}

/// A store that is not the user's.
#[derive(Debug, Clone)]
struct Store {
    /// What lasts, and what builds keep in mounts.
    folder: PathBuf,
    /// What is of no use once containers have ended. podman refuses a path of more than 50 characters.
    run: PathBuf,
}

/// What is kept of a trial that succeeded.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    /// What the verdict holds for.
    key: String,
    /// Whether the generated settings were needed.
    own_settings: bool,
}

impl Podman {
    /// Finds podman and the settings with which it runs a container.
    ///
    /// # Errors
    /// When it is not installed, or cannot run a container: in its own words, with the command that helps.
    pub(crate) fn find(cx: &Context, log: &Log) -> Result<Self, StepError> {
        let Some(program) = on_path("podman") else {
            return Err(StepError::environment(
                "`podman` is not installed, and images cannot be built without it",
                "cargo xtask ci --setup images",
            ));
        };
        let key = key(&program);
        let verdict = cx.target().join(VERDICT_FILE);
        let own = cx.target().join(SETTINGS_FILE);
        let known = fs::read(&verdict).ok().and_then(|it| serde_json::from_slice::<Verdict>(&it).ok());
        if let Some(known) = known.filter(|it| it.key == key && (!it.own_settings || own.is_file())) {
            return Ok(Self { settings: known.own_settings.then_some(own), store: None });
        }
        let found = Self::try_out(cx, log, &own)?;
        let known = Verdict { key, own_settings: found.settings.is_some() };
        fs::write(&verdict, serde_json::to_vec(&known).context("cannot spell podman's verdict")?)
            .with_context(|| format!("cannot write `{}`", cx.shown(&verdict)))?;
        Ok(found)
    }

    /// A podman child with the settings that work here.
    pub(crate) fn process(&self, cx: &Context) -> Process {
        let mut process = self.lent(cx.process("podman"));
        if let Some(store) = &self.store {
            // What builds keep in mounts lies below the folder for temporary files.
            process = process.env("TMPDIR", store.folder.join("tmp"));
            process = process.arg("--root").arg(store.folder.join("root")).arg("--runroot").arg(&store.run);
        }
        process
    }

    /// A child that starts podman itself, with the same settings.
    pub(crate) fn lent(&self, process: Process) -> Process {
        match &self.settings {
            Some(path) => process.env("CONTAINERS_CONF", path),
            None => process,
        }
    }

    /// The same podman with a store of its own below a folder, and another one, with a short path, for what runs.
    pub(crate) fn elsewhere(&self, folder: &Path, run: &Path) -> Self {
        Self { store: Some(Store { folder: folder.to_owned(), run: run.to_owned() }), ..self.clone() }
    }

    /// Runs podman and returns what it wrote.
    ///
    /// # Errors
    /// When it ends with an error, which is told in its own words.
    pub(crate) fn answer(&self, cx: &Context, log: &Log, arguments: &[&str]) -> Result<String, StepError> {
        let process = self.process(cx).args(arguments).log(log);
        let finished = process.run()?;
        if finished.success() {
            return Ok(finished.stdout.trim().to_owned());
        }
        Err(refused(&format!("`{}` failed", process.display()), &finished))
    }

    /// Whether podman says yes, to a question that it answers by its exit status.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(crate) fn agrees(&self, cx: &Context, arguments: &[&str]) -> Result<bool, StepError> {
        Ok(self.process(cx).args(arguments).run()?.success())
    }

    fn try_out(cx: &Context, log: &Log, own: &Path) -> Result<Self, StepError> {
        fs::create_dir_all(cx.target())
            .with_context(|| format!("cannot write `{}`", cx.shown(&cx.target())))?;
        let plain = Self { settings: None, store: None };
        let image = format!("{TRIAL_IMAGE}:{}", cx.run_id);
        let store = plain.process(cx).args(["import", "--quiet", "-", &image]).input(EMPTY_TAR);
        let stored = store.log(log).timeout(TRIAL_TIMEOUT).run()?;
        if !stored.success() {
            return Err(refused("podman cannot store an image", &stored));
        }
        let result = Self::first_that_runs(cx, log, own);
        plain.process(cx).args(["rmi", "--force", &image]).log(log).run()?;
        result
    }

    fn first_that_runs(cx: &Context, log: &Log, own: &Path) -> Result<Self, StepError> {
        let base = settings::host();
        let mut last = None;
        for attempt in attempts() {
            let podman = if attempt.is_empty() {
                Self { settings: None, store: None }
            } else {
                fs::write(own, settings::with(&base, &attempt))
                    .with_context(|| format!("cannot write `{}`", cx.shown(own)))?;
                Self { settings: Some(own.to_owned()), store: None }
            };
            let finished = podman.trial(cx).log(log).timeout(TRIAL_TIMEOUT).run()?;
            if finished.success() {
                return Ok(podman);
            }
            last = Some(finished);
        }
        fs::remove_file(own).ok();
        Err(last.map_or_else(
            || StepError::environment("podman cannot run a container", "podman info"),
            |finished| refused("podman cannot run a container", &finished),
        ))
    }

    /// A container that holds nothing and runs the host's own `true`.
    fn trial(&self, cx: &Context) -> Process {
        let mut process =
            self.process(cx).args(["run", "--rm", "--network=none", "--security-opt=label=disable"]);
        process = process.arg(format!("--label={RUN_LABEL}={}", cx.run_id));
        for folder in ["/usr", "/bin", "/lib", "/lib64"].into_iter().filter(|it| Path::new(it).is_dir()) {
            process = process.arg(format!("--volume={folder}:{folder}:ro"));
        }
        process.arg(format!("{TRIAL_IMAGE}:{}", cx.run_id)).arg("/bin/true")
    }
}

/// An error from what podman itself said: a full disk by its name, else its words and the command that helps.
pub(crate) fn refused(what: &str, finished: &Finished) -> StepError {
    let words = said(finished);
    if words.to_lowercase().contains("no space left on device") {
        return StepError::environment(
            format!("{what}: the disk that podman keeps images on is full: {words}"),
            "podman system df",
        );
    }
    let fix = REMEDIES.iter().find(|(word, _)| words.contains(word)).map_or("podman info", |(_, fix)| fix);
    StepError::environment(format!("{what}: {words}"), fix)
}

/// The last line that is an error; what podman only notes has a `level`.
pub(crate) fn said(finished: &Finished) -> &str {
    let lines = || finished.stderr.lines().map(str::trim).filter(|it| !it.is_empty());
    let error = lines().rfind(|it| !it.contains("level="));
    error.or(lines().next_back()).unwrap_or("it gave no reason").trim_start_matches("Error: ")
}

/// What to try, from the host's own settings to the ones that cope with every known quirk.
fn attempts() -> Vec<Vec<settings::Setting>> {
    let limits = settings::limits(most(Resource::Nofile, MOST_FILES), most(Resource::Nproc, MOST_PROCESSES));
    let runtime = on_path("runc").map(|_| settings::runtime("runc"));
    let mut attempts = vec![vec![], vec![limits.clone()]];
    if let Some(runtime) = runtime {
        attempts.push(vec![runtime.clone()]);
        attempts.push(vec![runtime, limits]);
    }
    if let Some(mut most) = attempts.last().cloned() {
        most.extend(settings::without_systemd());
        attempts.push(most);
    }
    attempts
}

fn most(resource: Resource, wanted: u64) -> u64 {
    getrlimit(resource).maximum.map_or(wanted, |it| it.min(wanted))
}

/// What a verdict holds for: this podman, this user's limits, these settings.
fn key(program: &Path) -> String {
    let mut parts = vec![stamp(program), format!("{:?}", getrlimit(Resource::Nofile).maximum)];
    parts.push(format!("{:?}", getrlimit(Resource::Nproc).maximum));
    parts.push(rustix::process::geteuid().as_raw().to_string());
    parts.extend(["runc", "crun"].into_iter().filter_map(on_path).map(|it| stamp(&it)));
    parts.extend(settings::files().iter().map(|it| stamp(it)));
    parts.join(" ")
}

fn stamp(path: &Path) -> String {
    let Ok(data) = fs::metadata(path) else { return path.display().to_string() };
    let time = data.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{}:{}:{}", path.display(), data.len(), time.as_nanos())
}

/// A program of the caller's `PATH`, or of the folders for administrators that podman looks into besides.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn told(stderr: &str) -> String {
        let status = std::process::ExitStatus::from_raw(126 << 8);
        let finished = Finished { status, stdout: String::new(), stderr: stderr.into() };
        match refused("podman cannot run a container", &finished) {
            StepError::Environment { lacks, fix } => format!("{lacks}\n{fix}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn podmans_own_words_are_told_without_its_warnings() {
        insta::assert_snapshot!(
            told("time=\"x\" level=warning msg=\"cni\"\nError: crun: hybrid mode not supported: OCI runtime error\n"),
            @r"
        podman cannot run a container: crun: hybrid mode not supported: OCI runtime error
        sudo apt-get install --yes runc
        "
        );
    }

    #[test]
    fn a_full_disk_is_told_by_its_name() {
        insta::assert_snapshot!(
            told("Error: writing blob: write /var/tmp/x: no space left on device"),
            @r"
        podman cannot run a container: the disk that podman keeps images on is full: writing blob: write /var/tmp/x: no space left on device
        podman system df
        "
        );
    }
}
