//! The public images that builds start from: found in the store, pulled, or stood in for.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;

use super::stand_in;
use crate::{
    config::{Base, CONFIG_FILE},
    context::Context,
    outcome::{Finding, StepError},
    podman::Podman,
    process::{Log, ProcessError},
};

/// How long a registry may take to say whether it has an image.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);
const PULL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Registries that did not answer in this run, each asked once.
static SILENT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What a registry says to somebody whom it does not know, or knows otherwise.
const UNAUTHORIZED: &[&str] =
    &["unauthorized", "authentication required", "denied", "invalid username/password"];

/// An image that a build can start from.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The public name, which the configuration gives it.
    pub(super) name: String,
    pub(crate) reference: String,
    /// The build argument that takes the reference.
    pub(crate) argument: Option<String>,
    /// Whether it was made from packages, because the genuine one could not be pulled.
    pub(super) stand_in: bool,
    /// Names the files in it: the digests of its layers.
    pub(super) content: String,
    /// The digest of the genuine image's manifest; of a stand-in, which no registry has, that of its only layer.
    pub(super) digest: String,
    /// The recipe that a stand-in was made by.
    recipe: Option<String>,
    /// Every digest that registries know it by.
    known_as: Vec<String>,
}

/// What podman says of a base.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "RootFS")]
    root: Layers,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layers {
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// What to do about a base that is neither in the store nor can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Say so, with the command that helps.
    Tell,
    /// Make a stand-in from the distribution's packages.
    Make,
}

impl Found {
    fn look_at(
        cx: &Context,
        podman: &Podman,
        log: &Log,
        base: &Base,
        reference: &str,
    ) -> Result<Self, StepError> {
        let text = podman.answer(cx, log, &["image", "inspect", reference])?;
        let images: Vec<Inspected> =
            serde_json::from_str(&text).context("cannot read what podman says of a base")?;
        let inspected = images.into_iter().next().context("podman says nothing of a base")?;
        let layers = inspected.root.layers.unwrap_or_default();
        let stand_in = reference != base.image;
        let only_layer = layers.last().filter(|_| stand_in).cloned();
        Ok(Self {
            name: base.image.clone(),
            reference: reference.into(),
            argument: base.argument.clone(),
            stand_in,
            content: layers.join(" "),
            digest: only_layer.unwrap_or_else(|| inspected.digest.clone()),
            recipe: inspected.labels.unwrap_or_default().remove(stand_in::RECIPE_LABEL),
            known_as: inspected.repo_digests.into_iter().flatten().chain([inspected.digest]).collect(),
        })
    }

    /// What is to be said of a base that was found: a genuine one that is not the table's, a stand-in of another recipe.
    pub(super) fn judged(&self, cx: &Context, base: &Base) -> Option<Finding> {
        if self.stand_in {
            let is_stale = stand_in::recipe(cx, &base.image).is_some_and(|it| Some(it) != self.recipe);
            let message = format!("`{}` was made by another recipe than today's", self.reference);
            let fix = "cargo xtask images bases";
            return is_stale.then(|| Finding::warning("image-stale-stand-in", message).fix(fix));
        }
        let Some(pinned) = &base.digest else {
            let message = format!("nothing says which `{}` is the right one", base.image);
            let fix = format!("digest = \"{}\"", self.digest);
            return Some(Finding::warning("image-unpinned-base", message).at(CONFIG_FILE, None).fix(fix));
        };
        if self.known_as.iter().any(|it| it.ends_with(pinned.as_str())) {
            return None;
        }
        let message =
            format!("`{}` in podman's store is `{}`, the table says `{pinned}`", base.image, self.digest);
        let fix = format!("podman rmi {} && cargo xtask images bases", base.image);
        Some(Finding::error("image-unpinned-base", message).at(CONFIG_FILE, None).fix(fix))
    }
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
    let found = |reference: &str| Found::look_at(cx, podman, log, base, reference);
    let stand_in = stand_in::name(&base.image);
    let exists = |reference: &str| podman.agrees(cx, &["image", "exists", reference]);
    if exists(&base.image)? {
        return found(&base.image);
    }
    let have_stand_in = match &stand_in {
        Some(name) => exists(name)?,
        None => false,
    };
    if let (Some(name), true, Missing::Tell) = (&stand_in, have_stand_in, missing) {
        // A gate run does not ask the network again for what it has a stand-in for; `images bases` does.
        return found(name);
    }
    let reason = match pull(cx, podman, log, base)? {
        Pulled::Yes => return found(&base.image),
        Pulled::Refused { registry, words } => {
            return Err(StepError::environment(
                format!("`{registry}` does not give out `{}`: {words}", base.image),
                format!("podman login {registry}"),
            ));
        }
        Pulled::No(reason) => reason,
    };
    match stand_in {
        Some(name) if have_stand_in && missing == Missing::Tell => found(&name),
        Some(name) if missing == Missing::Make => {
            if have_stand_in && found(&name)?.judged(cx, base).is_none() {
                return found(&name);
            }
            log.line(&format!("`{}` cannot be pulled ({reason}); making `{name}` from packages", base.image));
            stand_in::make(cx, podman, log, &base.image)?;
            found(&name)
        }
        _ => Err(StepError::environment(
            format!("the base image `{}` cannot be pulled: {reason}", base.image),
            "cargo xtask images bases",
        )),
    }
}

/// How a pull ended.
enum Pulled {
    Yes,
    /// The registry is there, and wants another login.
    Refused {
        registry: String,
        words: String,
    },
    No(String),
}

/// Pulls the image that the table names: by its digest, where it gives one, so that a tag that moved changes nothing.
fn pull(cx: &Context, podman: &Podman, log: &Log, base: &Base) -> Result<Pulled, StepError> {
    let image = &base.image;
    let registry = image.split('/').next().unwrap_or(image).to_owned();
    let silent = || SILENT.lock().is_ok_and(|it| it.contains(&registry));
    if silent() {
        return Ok(Pulled::No(format!("`{registry}` did not answer before")));
    }
    let exact = match (&base.digest, image.rfind(':')) {
        (Some(digest), Some(tag)) => format!("{}@{digest}", &image[..tag]),
        _ => image.clone(),
    };
    // A pull tries again and again; a question about the manifest fails at once where there is no way.
    let ask = podman.process(cx).args(["manifest", "inspect", &exact]).timeout(ASK_TIMEOUT);
    let asked = match ask.log(log).run() {
        Ok(asked) => asked,
        Err(ProcessError::TimedOut { after, .. }) => {
            remember(registry.clone());
            return Ok(Pulled::No(format!("`{registry}` did not answer within {} s", after.as_secs())));
        }
        Err(error) => return Err(error.into()),
    };
    // Whatever it says, a registry that says it is there; older podman cannot read every manifest.
    let words = last_words(&asked.stderr);
    let silent = ["no such host", "connection refused", "timeout", "unreachable"];
    if !asked.success() && silent.iter().any(|it| words.contains(it)) {
        remember(registry);
        return Ok(Pulled::No(words));
    }
    let pulled = podman.process(cx).args(["pull", "--quiet", &exact]).timeout(PULL_TIMEOUT).log(log).run()?;
    if !pulled.success() {
        let words = last_words(&pulled.stderr);
        let is_refused = UNAUTHORIZED.iter().any(|it| words.to_lowercase().contains(it));
        // Docker's own registry says `denied` of what does not exist, too.
        return Ok(if is_refused && !registry.ends_with("docker.io") {
            Pulled::Refused { registry, words }
        } else {
            Pulled::No(words)
        });
    }
    if exact != *image {
        podman.answer(cx, log, &["tag", &exact, image])?;
    }
    Ok(Pulled::Yes)
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
