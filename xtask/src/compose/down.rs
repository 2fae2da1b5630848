//! `down`: everything of this checkout's stack is stopped, the front first, and taken away.

use super::{containers::STACK_LABEL, running::Engine};
use crate::{context::Context, outcome::StepError, podman::Podman, process::Log};

/// What becomes of the volumes, in which data outlives containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Volumes {
    Keep,
    Remove,
}

/// Removes the stack and says what it was, a line each.
///
/// # Errors
/// When podman cannot be asked, or refuses.
pub(crate) fn down(cx: &Context, log: &Log, volumes: Volumes) -> Result<Vec<String>, StepError> {
    let podman = Podman::find(cx, log)?;
    let engine = Engine { cx, podman: &podman, log };
    let mut held = engine.held()?;
    held.sort_by(|a, b| (b.order, &b.name).cmp(&(a.order, &a.name)));
    let mut said = Vec::new();
    for container in &held {
        engine.remove(&container.name)?;
        said.push(format!("removed  {}", container.name));
    }
    let ours = format!("label={STACK_LABEL}={}", cx.root.display());
    for network in names(&engine.ask(&["network", "ls", "--quiet", "--filter", &ours])?) {
        engine.ask(&["network", "rm", "--force", network])?;
        said.push(format!("removed  the network {network}"));
    }
    for volume in names(&engine.ask(&["volume", "ls", "--quiet", "--filter", &ours])?) {
        if volumes == Volumes::Remove {
            engine.ask(&["volume", "rm", "--force", volume])?;
            said.push(format!("removed  the volume {volume}"));
        } else {
            said.push(format!("kept     the volume {volume}; `cargo xtask down --volumes` removes it too"));
        }
    }
    if said.is_empty() {
        said.push("nothing of this checkout's stack is there".into());
    }
    Ok(said)
}

fn names(list: &str) -> Vec<&str> {
    list.lines().map(str::trim).filter(|it| !it.is_empty()).collect()
}
