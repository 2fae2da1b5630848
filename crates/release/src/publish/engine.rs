//! podman, as far as a release needs it: to take images out of the store, and to pull as a host does.

use std::{ffi::OsStr, process::Stdio};

use tokio::process::Command;

use super::refusal::Refusal;
use crate::credentials::{PASSWORD_VARIABLE, USER_VARIABLE};

/// Variables that are for this process alone.
const OWN: &[&str] =
    &[USER_VARIABLE, PASSWORD_VARIABLE, "SLIPWAY_SIGNING_KEY", "SLIPWAY_SIGNING_PASSPHRASE", "SLIPWAY_TOKEN"];

/// Runs podman and returns what it wrote.
///
/// # Errors
/// When it cannot be run or ends badly, in its own words after `failed`.
pub(super) async fn podman<T: AsRef<OsStr>>(failed: &str, arguments: &[T]) -> Result<String, Refusal> {
    let mut command = Command::new("podman");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for name in OWN {
        command.env_remove(name);
    }
    let refuse =
        |why: &str, fix: &str| Refusal::environment("release-podman", format!("{failed}: {why}"), fix);
    let output = command.output().await.map_err(|error| refuse(&error.to_string(), "cargo xtask doctor"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = || said.lines().map(str::trim).filter(|it| !it.is_empty());
    let error = lines().rfind(|it| !it.contains("level=")).or(lines().next_back());
    let words = error.unwrap_or("it gave no reason").trim_start_matches("Error: ");
    let fix = if words.contains("no space left on device") { "podman system df" } else { "podman info" };
    Err(refuse(words, fix))
}
