//! The command line: what was typed, and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use release::{
    Reference, Repository,
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
    /// Make a signing key, or show its public half
    #[command(subcommand)]
    Keys(Keys),
    /// Say what a name stands for at its registry: digest, type and size
    Resolve {
        /// `registry/path:tag` or `registry/path@sha256:…`
        image: Reference,
        #[command(flatten)]
        access: Access,
    },
    /// Sign an image as part of its repository, beside the signatures of other keys; a key signs once
    Sign {
        /// `registry/path@sha256:…`
        image: Reference,
        #[command(flatten)]
        key: Signing,
        #[command(flatten)]
        access: Access,
    },
    /// Attach a document to an image; the same document is attached once
    #[command(subcommand)]
    Attach(Attach),
    /// Sign, verify or fetch a release record
    #[command(subcommand)]
    Record(RecordCommand),
    /// Verify an image, or every image of a record: digest, signature, labels, SBOM
    Verify {
        /// `registry/path@sha256:…`
        #[arg(required_unless_present = "record", conflicts_with = "record")]
        image: Option<Reference>,
        /// A release record, signed in the file beside it
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
        /// The repository that must have been signed, where the image is a copy of one from there
        #[arg(long, value_name = "REPOSITORY", conflicts_with = "record")]
        identity: Option<Repository>,
        /// Do not ask for an SBOM
        #[arg(long, conflicts_with = "record")]
        without_sbom: bool,
        #[command(flatten)]
        trust: Trust,
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
        key: Signing,
        #[command(flatten)]
        access: Access,
    },
    /// Say what an image is made of, as CycloneDX, from an archive of `podman save` or a folder in OCI's layout
    ///
    /// Ends with 1 when a Rust program in it does not name its crates; the document is written all the same.
    Sbom {
        #[arg(value_name = "ARCHIVE")]
        image: PathBuf,
        /// Besides, every crate in it must be one that this lock file names
        #[arg(long, value_name = "FILE")]
        lock: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key: FILE for who signs, FILE.pub for who verifies
    ///
    /// It is encrypted with the passphrase that `SLIPWAY_SIGNING_PASSPHRASE` holds or standard input gives, else not.
    New {
        /// Where the private half goes; a file that is there is not overwritten
        file: PathBuf,
        /// Read the passphrase from standard input
        #[arg(long)]
        passphrase_stdin: bool,
    },
    /// Write the public half of a signing key to stdout, as PEM
    Public {
        #[command(flatten)]
        key: Signing,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Attach {
    /// Attach an SBOM in CycloneDX's JSON
    Sbom {
        /// `registry/path@sha256:…`
        image: Reference,
        /// The document
        file: PathBuf,
        #[command(flatten)]
        access: Access,
    },
    /// Attach a release record, with the signature in the file beside it
    Record {
        /// `registry/path@sha256:…`
        image: Reference,
        /// `release.json`
        file: PathBuf,
        #[command(flatten)]
        access: Access,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecordCommand {
    /// Sign a record, into FILE.sig, beside the signatures of other keys
    Sign {
        /// `release.json`
        file: PathBuf,
        #[command(flatten)]
        key: Signing,
    },
    /// Verify that a trusted key signed a record, in FILE.sig; no registry is asked
    Verify {
        /// `release.json`
        file: PathBuf,
        #[command(flatten)]
        trust: Trust,
    },
    /// Write the record of the release that an image belongs to, once a trusted key's signature of it is verified
    Fetch {
        /// `registry/path@sha256:…`
        image: Reference,
        #[command(flatten)]
        trust: Trust,
        #[command(flatten)]
        access: Access,
    },
}

/// The key that signs.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// PKCS#8 in PEM; else the PEM that `SLIPWAY_SIGNING_KEY` holds
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_key: Option<PathBuf>,
    /// Read the key's passphrase from standard input; else from `SLIPWAY_SIGNING_PASSPHRASE`
    #[arg(long)]
    pub(crate) passphrase_stdin: bool,
}

/// The keys that count.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Public keys in PEM, one or more in a file; may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
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
    /// Have Slipway record it, where `SLIPWAY_URL` says that it is, with the API token in `SLIPWAY_TOKEN`
    Announce,
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
