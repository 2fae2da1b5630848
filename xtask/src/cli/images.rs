//! `cargo xtask images`, as it can be typed.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Build the image of every service
    Build(CacheFlags),
    /// Write what the images that were built last are made of, as CycloneDX; of one service to standard output
    Sbom {
        #[arg(value_name = "SERVICE")]
        service: Option<String>,
    },
    /// What is in each image: layers, sizes, files, labels, and who brought what
    Inspect {
        /// The service; all without
        service: Option<String>,
        /// How it is told
        #[arg(long, value_enum, default_value_t = InspectFormat::Human)]
        message_format: InspectFormat,
    },
    /// Build every image anew, and compare
    Verify {
        /// Also compile again, in a store of its own
        #[arg(long)]
        from_scratch: bool,
    },
    /// Pull the base images, or make stand-ins
    Bases,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectFormat {
    Human,
    /// A table for documents
    Markdown,
    Json,
}

/// Where compiled dependencies are kept for builders that have none; counts before `[images.cache]`.
///
/// A repository of a registry (`registry.example/acme/cache`), or a folder (`/…`, `./…` from the workspace's root).
#[derive(Debug, Default, Args)]
pub(crate) struct CacheFlags {
    /// Take the compiled dependencies from there, where it has those of this lock file
    #[arg(long, value_name = "PLACE")]
    pub(crate) cache_from: Option<String>,
    /// Put the compiled dependencies there after the build
    #[arg(long, value_name = "PLACE")]
    pub(crate) cache_to: Option<String>,
}
