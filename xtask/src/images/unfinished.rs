//! What podman leaves when a build is interrupted: a compile that goes on, and containers that nobody will use.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::registry;
use crate::{context::Context, outcome::StepError, podman::Podman};

/// What the store held before a build; a run that was killed leaves this file, below `target/xtask`.
const FILE: &str = "building.json";
const LIST: &[&str] = &["ps", "--all", "--external", "--no-trunc", "--format", "json"];

#[derive(Debug, Default, Serialize, Deserialize)]
struct Before {
    containers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
}

/// A build that is going on. Dropping it removes what an interrupt left of it.
#[derive(Debug)]
pub(super) struct Building<'a> {
    cx: &'a Context,
    podman: &'a Podman,
}

impl<'a> Building<'a> {
    /// Removes what a killed run left, and notes what there is before this build.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(super) fn begin(cx: &'a Context, podman: &'a Podman) -> Result<Self, StepError> {
        let building = Self { cx, podman };
        if cx.target().join(FILE).exists() {
            building.clear();
        }
        let before = Before { containers: building.working().into_iter().collect() };
        let text = serde_json::to_vec(&before).context("cannot spell what the store holds")?;
        let path = cx.target().join(FILE);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
        Ok(building)
    }

    /// Ends what runs inside this checkout's builds, and removes the containers that came since it began. Where somebody
    /// else builds too, theirs cannot be told apart and all of them stay.
    fn clear(&self) {
        let path = self.cx.target().join(FILE);
        end_what_mounts(&registry::settings_folder(self.cx));
        let before = fs::read(&path).ok().and_then(|it| serde_json::from_slice::<Before>(&it).ok());
        let before = before.unwrap_or_default().containers;
        if !somebody_builds() {
            let left: Vec<String> = self.working().into_iter().filter(|it| !before.contains(it)).collect();
            if !left.is_empty() {
                let remove = self.podman.process(self.cx).args(["rm", "--force"]).args(&left);
                let child = remove.spawn(Stdio::null(), Stdio::null(), Stdio::null());
                child.map(|mut it| it.wait()).ok();
            }
        }
        fs::remove_file(path).ok();
    }

    /// Containers of builds, running or left. Not through `run`, which refuses once the run is interrupted.
    fn working(&self) -> Vec<String> {
        let list = self.podman.process(self.cx).args(LIST);
        let Ok(child) = list.spawn(Stdio::null(), Stdio::piped(), Stdio::null()) else { return Vec::new() };
        let Ok(output) = child.wait_with_output() else { return Vec::new() };
        let listed: Vec<Listed> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let of_build =
            |it: &Listed| it.names.iter().flatten().any(|name| name.contains("-working-container"));
        listed.into_iter().filter(of_build).map(|it| it.id).collect()
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Kills every process that has a folder of this checkout mounted, which only its builds have. The folder is known by
/// what it is, not by its path: where the checkout itself is a mount, processes name it differently.
fn end_what_mounts(folder: &Path) {
    let identity = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    let Some(own) = identity(folder) else { return };
    let inside = registry::SETTINGS_INSIDE.trim_start_matches('/');
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(number) = process.file_name().to_str().and_then(|it| it.parse().ok()) else { continue };
        let mounted = identity(&process.path().join("root").join(inside));
        if let (true, Some(pid)) = (mounted == Some(own), Pid::from_raw(number)) {
            // One that has ended by itself needs no signal.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// Whether some other podman or buildah runs now.
fn somebody_builds() -> bool {
    fs::read_dir("/proc").into_iter().flatten().flatten().any(|process| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        let mut words = words.split('\0');
        let program = words.next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        program == "buildah" || (program == "podman" && words.any(|it| it == "build"))
    })
}
