//! A release: what is asked for, where it stands, and what may keep it from being made.
//!
//! What speaks to a registry, signs or looks into images is the binary `release`; this part knows git, the workspace's
//! version, and what the gate said. Nothing of where a release stands is kept beside it: it is read from git and from the
//! registry each time, so that a run which was killed is gone on with by running it again.

pub(crate) mod binary;
pub(crate) mod changelog;
pub(crate) mod checks;
pub(crate) mod edits;
pub(crate) mod git;
pub(crate) mod images;
mod manifest;
pub(crate) mod plan;
mod settings;
pub(crate) mod steps;
mod survey;
pub(crate) mod words;

use std::path::PathBuf;

use cargo_metadata::semver::Version;

pub(crate) use self::{
    edits::{Edit, without_version},
    settings::{Publisher, Settings},
    survey::{Situation, survey},
};
use crate::context::Context;

/// What is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A version, from its number in the manifest to its images.
    Version(Version),
    /// The images of a branch, without a version.
    Snapshot,
    /// The version whose tag is checked out.
    FromTag,
}

/// What somebody accepts to release in spite of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Accepted {
    /// Advisories that were not judged.
    pub(crate) no_advisories: bool,
    /// Bases that stand in for genuine ones.
    pub(crate) stand_in_bases: bool,
}

/// A release as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) what: What,
    pub(crate) accepted: Accepted,
    /// Credentials as podman keeps them.
    pub(crate) auth_file: Option<PathBuf>,
    /// The key that signs; without it the environment has it.
    pub(crate) signing_key: Option<PathBuf>,
    /// The password that came on standard input; never shown.
    pub(crate) password: Option<Vec<u8>>,
}

impl Wanted {
    /// What a person types to go on with it.
    pub(crate) fn again(&self, cx: &Context) -> String {
        let directory = if cx.home == cx.root { String::new() } else { format!(" -C {}", cx.root.display()) };
        let what = match &self.what {
            What::Version(version) => format!("{version} --execute"),
            What::Snapshot => "--snapshot".into(),
            What::FromTag => "--from-tag".into(),
        };
        let mut again = format!("cargo xtask{directory} release {what}");
        if self.accepted.no_advisories {
            again += " --accept-no-advisories";
        }
        if self.accepted.stand_in_bases {
            again += " --accept-stand-in-bases";
        }
        if let Some(path) = &self.auth_file {
            again += &format!(" --authfile {}", path.display());
        }
        if let Some(path) = &self.signing_key {
            again += &format!(" --signing-key {}", path.display());
        }
        if self.password.is_some() {
            again += " --password-stdin";
        }
        again
    }
}

/// The name of a version's tag in git.
pub(crate) fn tag_of(version: &Version) -> String {
    format!("v{version}")
}
