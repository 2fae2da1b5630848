//! What `cargo xtask release` takes.

use std::path::PathBuf;

use cargo_metadata::semver::Version;
use clap::Args;

use super::{MessageFormat, Telling};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["version", "snapshot", "from_tag"]))]
pub(crate) struct ReleaseArgs {
    /// The version to release, such as 1.4.0
    #[arg(value_name = "X.Y.Z", value_parser = released_version)]
    pub(crate) version: Option<Version>,
    /// Push the images of this branch without a version
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Push the images of the version whose tag is checked out, as the generated workflow does
    #[arg(long)]
    pub(crate) from_tag: bool,
    /// Do it; without it a version's plan is shown and nothing is touched
    #[arg(long)]
    pub(crate) execute: bool,
    /// Show what a snapshot or a tag's run would do, and touch nothing
    #[arg(long, conflicts_with = "execute")]
    pub(crate) plan: bool,
    /// First install or build what is missing
    #[arg(long, conflicts_with = "plan")]
    pub(crate) setup: bool,
    /// Release although nobody judged the advisories of the dependencies
    #[arg(long)]
    pub(crate) accept_no_advisories: bool,
    /// Release images that start from stand-ins for the public bases
    #[arg(long)]
    pub(crate) accept_stand_in_bases: bool,
    /// Credentials of the registry, as `podman login --authfile` writes them; else SLIPWAY_REGISTRY_USER and …_PASSWORD
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// Read the password of SLIPWAY_REGISTRY_USER from standard input
    #[arg(long, conflicts_with = "authfile")]
    pub(crate) password_stdin: bool,
    /// The key that signs, PKCS#8 in PEM; else the PEM in SLIPWAY_SIGNING_KEY
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_key: Option<PathBuf>,
    /// How to talk: `human` and `plain` for people, `json` for one event a line
    #[arg(long, value_enum, default_value_t = MessageFormat::Human, value_name = "FORMAT")]
    pub(crate) message_format: MessageFormat,
    #[command(flatten)]
    pub(crate) telling: Telling,
}

/// Three numbers, and what may stand behind them in a tag.
fn released_version(text: &str) -> Result<Version, String> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    match Version::parse(bare) {
        Ok(version) if !version.build.is_empty() => {
            Err("a tag cannot hold what stands after `+`; leave it out".into())
        }
        Ok(version) => Ok(version),
        Err(error) => Err(format!("{error}; three numbers are a version, such as 1.4.0 or 1.4.0-rc.1")),
    }
}
