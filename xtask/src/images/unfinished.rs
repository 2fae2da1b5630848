//! What podman leaves when a build is interrupted or killed: a compile that goes on, and containers, each with its file
//! system mounted, that nobody will use.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::registry;
use crate::{context::Context, lock, outcome::StepError, podman::Podman};

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
    /// Removes what killed runs left, of this checkout and of those that are gone or where nothing runs.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub(super) fn begin(cx: &'a Context, podman: &'a Podman) -> Result<Self, StepError> {
        let containers = PathBuf::from(podman.process(cx).args(STORE).run()?.stdout.trim());
        let building = Self { cx, podman, containers };
        building.clear();
        Ok(building)
    }

    /// Ends what runs inside builds that no run will go on with, and removes their containers, with what they have mounted.
    fn clear(&self) {
        let own = registry::settings_folder(self.cx);
        end_what_mounts(&own);
        let mut left = Vec::new();
        for container in self.working() {
            let notes = fs::read(self.containers.join(&container).join(NOTES)).unwrap_or_default();
            let folders = settings_folders(&notes);
            if folders.iter().any(|it| *it == own || is_abandoned(it)) {
                folders.iter().for_each(|it| end_what_mounts(it));
                left.push(container);
            }
        }
        if !left.is_empty() {
            let remove = self.podman.process(self.cx).args(["rm", "--force"]).args(&left);
            let child = remove.spawn(Stdio::null(), Stdio::null(), Stdio::null());
            child.map(|mut it| it.wait()).ok();
        }
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

/// The folders of settings that a build's container has mounted, as only builds of the tool have.
fn settings_folders(notes: &[u8]) -> Vec<PathBuf> {
    let notes = serde_json::from_slice::<Notes>(notes).ok().and_then(|it| it.common_build_opts);
    let volumes = notes.and_then(|it| it.volumes).unwrap_or_default();
    let inside = format!(":{}:ro", registry::SETTINGS_INSIDE);
    volumes.iter().filter_map(|it| it.strip_suffix(&inside)).map(PathBuf::from).collect()
}

/// Whether the checkout that has this folder is gone, or no run holds it: a build is a part of a run.
fn is_abandoned(settings: &Path) -> bool {
    let Some(target) = settings.parent().filter(|_| settings.exists()) else { return true };
    match File::open(target.join(lock::FILE)) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Kills every process that has a checkout's folder mounted, which only its builds have. The folder is known by
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_whose_lock_a_run_holds_is_at_work_and_every_other_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("cargo");
        assert!(is_abandoned(&settings));
        fs::create_dir(&settings).unwrap();
        assert!(is_abandoned(&settings));
        let run = File::create(folder.path().join(lock::FILE)).unwrap();
        assert!(is_abandoned(&settings));
        run.lock().unwrap();
        assert!(!is_abandoned(&settings));
        drop(run);
        assert!(is_abandoned(&settings));
    }

    #[test]
    fn a_container_that_somebody_else_builds_in_has_no_settings_of_the_tool() {
        let notes = |volumes: &str| format!("{{\"CommonBuildOpts\": {{\"Volumes\": {volumes}}}}}");
        let own = notes(r#"["/w/target/xtask/cargo:/.cargo:ro", "/w/target/xtask/crates:/crates:ro"]"#);
        assert_eq!(settings_folders(own.as_bytes()), [Path::new("/w/target/xtask/cargo")]);
        assert!(settings_folders(notes(r#"["/root/.cargo:/root/.cargo"]"#).as_bytes()).is_empty());
        assert!(settings_folders(b"{}").is_empty());
    }
}
