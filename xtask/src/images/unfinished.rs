//! What podman leaves when a build is interrupted or killed: a compile that goes on, and containers, each with its file
//! system mounted, that nobody will use.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::registry;
use crate::{context::Context, outcome::StepError, podman::Podman};

/// There while a build goes on; a run that was killed leaves this file, below `target/xtask`. It says where podman keeps
/// what it knows of containers.
const FILE: &str = "building";
const LIST: &[&str] = &["ps", "--all", "--external", "--no-trunc", "--format", "json"];
const STORE: &[&str] = &["info", "--format", "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-containers"];
/// What podman notes of a build's container, below its folder.
const NOTES: &str = "userdata/buildah.json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notes {
    common_build_opts: Option<Options>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Options {
    #[serde(default)]
    volumes: Option<Vec<String>>,
}

/// A build that is going on. Dropping it removes what an interrupt left of it.
#[derive(Debug)]
pub(super) struct Building<'a> {
    cx: &'a Context,
    podman: &'a Podman,
    /// The folder of podman's containers.
    containers: PathBuf,
}

impl<'a> Building<'a> {
    /// Removes what killed runs of this checkout left, and of checkouts that are gone.
    ///
    /// # Errors
    /// When podman cannot be asked, or that a build goes on cannot be noted.
    pub(super) fn begin(cx: &'a Context, podman: &'a Podman) -> Result<Self, StepError> {
        let containers = PathBuf::from(podman.process(cx).args(STORE).run()?.stdout.trim());
        let building = Self { cx, podman, containers };
        let path = cx.target().join(FILE);
        if path.exists() {
            building.clear();
        }
        fs::write(&path, "").with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
        Ok(building)
    }

    /// Ends what runs inside this checkout's builds, and removes their containers, with what they have mounted. Those of
    /// other checkouts stay: somebody may be building there.
    fn clear(&self) {
        end_what_mounts(&registry::settings_folder(self.cx));
        let left: Vec<String> = self.working().into_iter().filter(|it| self.is_own(it)).collect();
        if !left.is_empty() {
            let remove = self.podman.process(self.cx).args(["rm", "--force"]).args(&left);
            let child = remove.spawn(Stdio::null(), Stdio::null(), Stdio::null());
            child.map(|mut it| it.wait()).ok();
        }
        fs::remove_file(self.cx.target().join(FILE)).ok();
    }

    /// Whether a container is of a build of this checkout, which its mounts tell, or of one that is not there any more.
    fn is_own(&self, container: &str) -> bool {
        let notes = fs::read(self.containers.join(container).join(NOTES)).unwrap_or_default();
        let notes = serde_json::from_slice::<Notes>(&notes).ok().and_then(|it| it.common_build_opts);
        let volumes = notes.and_then(|it| it.volumes).unwrap_or_default();
        let inside = format!(":{}:ro", registry::SETTINGS_INSIDE);
        let folders = volumes.iter().filter_map(|it| it.strip_suffix(&inside)).map(Path::new);
        let own = registry::settings_folder(self.cx);
        folders.into_iter().any(|it| it == own || !it.exists())
    }

    /// Containers of builds, running or left. Not through `run`, which refuses once the run is interrupted.
    fn working(&self) -> Vec<String> {
        let list = self.podman.process(self.cx).args(LIST);
        let Ok(child) = list.spawn(Stdio::null(), Stdio::piped(), Stdio::null()) else { return Vec::new() };
        let Ok(output) = child.wait_with_output() else { return Vec::new() };
        let listed: Vec<Listed> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let of_build = |it: &Listed| it.names.iter().flatten().any(|name| name.contains("working-container"));
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
