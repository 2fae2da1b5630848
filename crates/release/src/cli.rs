//! The command line: what was typed, and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use release::{
    Reference,
    credentials::{PasswordOnStdin, Sources},
};

/// Registries, signatures and release records. Results are JSON on stdout, talk goes to stderr
///
/// Exit codes: 0 done, 1 a fault in what was released, 2 usage, 3 environment, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "release", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a name stands for at its registry: digest, type and size
    Resolve {
        /// `registry/path:tag` or `registry/path@sha256:…`
        image: Reference,
        #[command(flatten)]
        access: Access,
    },
    /// One part of publishing a release, as `cargo xtask release` asks for it
    Publish {
        #[arg(value_enum)]
        part: Part,
        /// What to publish: a file that `cargo xtask release` writes
        #[arg(long, value_name = "FILE")]
        order: PathBuf,
        #[command(flatten)]
        access: Access,
    },
}

/// The parts of publishing, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// What the registry has already, and whether it is in the way; changes nothing
    Look,
    /// The images by digest, with signatures and SBOMs
    Push,
    /// Pull as a host does, and compare
    Verify,
    /// The tags and the record
    Publish,
}

/// How registries are asked.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// Auth file, as `podman login --authfile` writes it; else `SLIPWAY_REGISTRY_USER` and `…_PASSWORD`, else `REGISTRY_AUTH_FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// Read the password of `SLIPWAY_REGISTRY_USER` from standard input
    #[arg(long, conflicts_with = "authfile")]
    pub(crate) password_stdin: bool,
    /// A registry that is asked without TLS, besides those on loopback; may be given several times
    #[arg(long, value_name = "HOST")]
    pub(crate) insecure_registry: Vec<String>,
}

impl Access {
    /// Where credentials are looked for.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            password_on_stdin: self.password_stdin.then_some(PasswordOnStdin),
            auth_file: self.authfile.clone(),
        }
    }
}
