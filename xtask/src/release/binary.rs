//! The binary `release`, which speaks to registries and signs: what it is told, and what it answers.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Wanted, checks::Kind, images::Ready};
use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError},
    podman::Podman,
    process::{Finished, Log},
};

/// The command that makes a key, for messages.
pub(crate) const NEW_KEY: &str = "cargo run --package release -- keys new FILE";
/// What it may see of the caller's environment besides what every child sees: credentials and keys, which are for it alone.
const SECRETS: &[&str] = &[
    "SLIPWAY_REGISTRY_USER",
    "SLIPWAY_REGISTRY_PASSWORD",
    "SLIPWAY_SIGNING_KEY",
    "SLIPWAY_SIGNING_PASSPHRASE",
    "SLIPWAY_URL",
    "SLIPWAY_TOKEN",
];
/// Its exit code for wrong usage or configuration, and for what the environment lacks.
const USAGE: i32 = 2;
const ENVIRONMENT: i32 = 3;

/// What it is told of a release; a file without secrets.
#[derive(Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) version: Option<String>,
    /// The release's commit; empty where it is still to be made.
    pub(crate) commit: String,
    /// That commit's time in RFC 3339.
    pub(crate) created_at: String,
    pub(crate) registry: String,
    pub(crate) path: String,
    pub(crate) images: Vec<Ordered>,
    pub(crate) immutable: Vec<String>,
    pub(crate) moving: Vec<String>,
    pub(crate) trusted_keys: Vec<PathBuf>,
    pub(crate) evidence: BTreeMap<String, Evidence>,
    pub(crate) accepted: Accepted,
    /// Where `release.json` is written.
    pub(crate) folder: PathBuf,
}

/// An image, and what the store has of it; before the gate ran that may be nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Ordered {
    pub(crate) service: String,
    pub(crate) reference: Option<String>,
    pub(crate) id: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Evidence {
    pub(crate) verdict: &'static str,
    pub(crate) fingerprint: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Accepted {
    pub(crate) no_advisories: bool,
    pub(crate) stand_in_bases: Vec<String>,
}

impl Ordered {
    pub(crate) fn of(ready: &Ready) -> Self {
        Self {
            service: ready.service.clone(),
            reference: Some(ready.reference.clone()),
            id: Some(ready.id.clone()),
        }
    }
}

/// What the registry has of a release.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) images: Vec<SeenImage>,
    #[serde(default)]
    pub(crate) refusals: Vec<Refused>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SeenImage {
    pub(crate) service: String,
    pub(crate) tags: Vec<SeenTag>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SeenTag {
    pub(crate) tag: String,
    pub(crate) state: TagState,
    pub(crate) digest: Option<String>,
    /// The commit that the image there was built from, as its label says.
    pub(crate) built_from: Option<String>,
}

/// What a tag at the registry is to this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TagState {
    /// Nothing is there.
    Free,
    /// This very image is there.
    Same,
    /// Another image is there.
    Other,
    /// Something is there, and the image that it would be compared with is still to be built.
    There,
}

/// Why it does not go on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) fix: String,
    pub(crate) kind: RefusedKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefusedKind {
    Fault,
    Usage,
    Environment,
}

impl RefusedKind {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Fault => Kind::Fault,
            Self::Usage => Kind::Usage,
            Self::Environment => Kind::Environment,
        }
    }
}

/// What it says when it did not do what it was told.
#[derive(Debug, Default, Deserialize)]
struct Refusals {
    #[serde(default)]
    refusals: Vec<Refused>,
}

/// What was published, as the last line tells it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Published {
    pub(crate) images: Vec<PublishedImage>,
    /// The record's file.
    pub(crate) record: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PublishedImage {
    pub(crate) service: String,
    /// `registry/path/service@sha256:…`
    pub(crate) reference: String,
    pub(crate) tags: Vec<String>,
}

/// The binary, ready to be asked about one order.
#[derive(Debug)]
pub(crate) struct Binary<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) wanted: &'a Wanted,
    pub(crate) podman: &'a Podman,
}

impl Binary<'_> {
    /// Asks what the registry has, without changing anything.
    ///
    /// # Errors
    /// When the binary does not compile or cannot say.
    pub(crate) fn look(&self, log: &Log, order: &Order) -> Result<Seen, StepError> {
        let finished = self.run(log, "look", order)?;
        if finished.success() {
            return Ok(answer(&finished)?);
        }
        Ok(Seen { images: Vec::new(), refusals: refusals(&finished)? })
    }

    /// Has it do one part of the publishing.
    ///
    /// # Errors
    /// When the environment lacks something: in its words, with what helps.
    pub(crate) fn does(&self, log: &Log, part: &str, order: &Order) -> Result<Done, StepError> {
        let finished = self.run(log, part, order)?;
        if finished.success() {
            return Ok(Done::All(answer(&finished)?));
        }
        let refusals = refusals(&finished)?;
        if let Some(lacks) = refusals.iter().find(|it| it.kind != RefusedKind::Fault) {
            return Err(StepError::environment(&lacks.message, &lacks.fix));
        }
        let finding = |it: Refused| Finding::error(&it.code, it.message).fix(it.fix);
        Ok(Done::Refused(Outcome::Judged(refusals.into_iter().map(finding).collect())))
    }

    fn run(&self, log: &Log, part: &str, order: &Order) -> Result<Finished, StepError> {
        let cx = self.cx;
        let program = cx.gate_binary("release", log)?;
        fs::create_dir_all(&order.folder)
            .with_context(|| format!("cannot write `{}`", cx.shown(&order.folder)))?;
        let path = order.folder.join("order.json");
        crate::report::write_whole(&path, order)?;
        let mut process = self.podman.lent(cx.process(program)).args(["publish", part, "--order"]).arg(&path);
        for name in SECRETS {
            if let Some(value) = std::env::var_os(name) {
                process = process.env(name, value);
            }
        }
        if let Some(path) = &self.wanted.signing_key {
            process = process.arg("--signing-key").arg(path);
        }
        if let Some(path) = &self.wanted.auth_file {
            process = process.arg("--authfile").arg(path);
        }
        if let Some(password) = &self.wanted.password {
            process = process.arg("--password-stdin").input(password.clone());
        }
        Ok(process.log(log).run()?)
    }
}

/// How a part of the publishing ended.
#[derive(Debug)]
pub(crate) enum Done {
    All(Published),
    /// There is a fault in what would be released.
    Refused(Outcome),
}

fn answer<T: serde::de::DeserializeOwned>(finished: &Finished) -> anyhow::Result<T> {
    serde_json::from_str(finished.stdout.trim()).context("cannot read what the binary `release` says")
}

/// Why it ended badly: in its own structure, else in its own words.
fn refusals(finished: &Finished) -> anyhow::Result<Vec<Refused>> {
    if let Ok(Refusals { refusals }) = serde_json::from_str(finished.stdout.trim())
        && !refusals.is_empty()
    {
        return Ok(refusals);
    }
    let said = finished.stderr.lines().rfind(|it| !it.trim().is_empty()).unwrap_or("it gave no reason");
    let message = said.trim().trim_start_matches("error: ").to_owned();
    let kind = match finished.code() {
        USAGE => RefusedKind::Usage,
        ENVIRONMENT => RefusedKind::Environment,
        _ => anyhow::bail!("the binary `release` ended with {}: {message}", finished.code()),
    };
    Ok(vec![Refused { code: "release-publisher".into(), message, fix: "see the message".into(), kind }])
}
