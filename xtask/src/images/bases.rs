//! The public images that builds start from: found in the store, pulled, or stood in for.

use std::{sync::Mutex, time::Duration};

use super::stand_in;
use crate::{
    config::Base,
    context::Context,
    outcome::StepError,
    podman::Podman,
    process::{Log, ProcessError},
};

/// How long a registry may take to say whether it has an image.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);
const PULL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Registries that did not answer in this run, each asked once.
static SILENT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// An image that a build can start from.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) reference: String,
    /// The build argument that takes the reference.
    pub(crate) argument: Option<String>,
}

/// What to do about a base that is neither in the store nor can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Say so, with the command that helps.
    Tell,
    /// Make a stand-in from the distribution's packages.
    Make,
}

/// One base: the genuine image, else a stand-in for it.
///
/// # Errors
/// When there is neither, or one could not be made.
pub(super) fn find(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    base: &Base,
    missing: Missing,
) -> Result<Found, StepError> {
    let found = |reference: &str| Found { reference: reference.into(), argument: base.argument.clone() };
    let stand_in = stand_in::name(&base.image);
    let exists = |reference: &str| podman.agrees(cx, &["image", "exists", reference]);
    if exists(&base.image)? {
        return Ok(found(&base.image));
    }
    let have_stand_in = match &stand_in {
        Some(name) => exists(name)?,
        None => false,
    };
    if let (Some(name), true, Missing::Tell) = (&stand_in, have_stand_in, missing) {
        // A gate run does not ask the network again for what it has a stand-in for; `images bases` does.
        return Ok(found(name));
    }
    let Some(reason) = pull(cx, podman, log, &base.image)? else { return Ok(found(&base.image)) };
    match stand_in {
        Some(name) if have_stand_in => Ok(found(&name)),
        Some(name) if missing == Missing::Make => {
            log.line(&format!("`{}` cannot be pulled ({reason}); making `{name}` from packages", base.image));
            stand_in::make(cx, podman, log, &base.image)?;
            Ok(found(&name))
        }
        _ => Err(StepError::environment(
            format!("the base image `{}` cannot be pulled: {reason}", base.image),
            "cargo xtask images bases",
        )),
    }
}

/// Pulls an image; returns why it cannot be had, if so.
fn pull(cx: &Context, podman: &Podman, log: &Log, image: &str) -> Result<Option<String>, StepError> {
    let registry = image.split('/').next().unwrap_or(image).to_owned();
    let silent = || SILENT.lock().is_ok_and(|it| it.contains(&registry));
    if silent() {
        return Ok(Some(format!("`{registry}` did not answer before")));
    }
    // A pull tries again and again; a question about the manifest fails at once where there is no way.
    let ask = podman.process(cx).args(["manifest", "inspect", image]).timeout(ASK_TIMEOUT);
    let asked = match ask.log(log).run() {
        Ok(asked) => asked,
        Err(ProcessError::TimedOut { after, .. }) => {
            remember(registry.clone());
            return Ok(Some(format!("`{registry}` did not answer within {} s", after.as_secs())));
        }
        Err(error) => return Err(error.into()),
    };
    // Whatever it says, a registry that says it is there; older podman cannot read every manifest.
    let words = last_words(&asked.stderr);
    let silent = ["no such host", "connection refused", "timeout", "unreachable"];
    if !asked.success() && silent.iter().any(|it| words.contains(it)) {
        remember(registry);
        return Ok(Some(words));
    }
    let pulled = podman.process(cx).args(["pull", "--quiet", image]).timeout(PULL_TIMEOUT).log(log).run()?;
    Ok((!pulled.success()).then(|| last_words(&pulled.stderr)))
}

fn remember(registry: String) {
    if let Ok(mut silent) = SILENT.lock() {
        silent.push(registry);
    }
}

fn last_words(stderr: &str) -> String {
    stderr.lines().last().unwrap_or("it gave no reason").trim_start_matches("Error: ").to_owned()
}

/// The genuine image or its stand-in, whichever the store has, found without a trial of podman.
pub(super) fn in_store(cx: &Context, base: &Base) -> Option<String> {
    let candidates = [Some(base.image.clone()), stand_in::name(&base.image)];
    candidates.into_iter().flatten().find(|it| {
        cx.process("podman").args(["image", "exists", it]).run().is_ok_and(|asked| asked.success())
    })
}
