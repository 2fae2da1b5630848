//! A clone to measure in: nothing is compiled in it, and no layer of an image fits it.

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use crate::{
    context::Context,
    process::{Log, Process},
};

/// A clone below the target folder; it stays, since what is compiled in it is gigabytes that a next case needs.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) root: PathBuf,
}

impl Checkout {
    /// Clones what is committed, with a mark in the manifest so that images begin anew.
    ///
    /// # Errors
    /// When git cannot clone, or the disk cannot hold it.
    pub(super) fn clone(cx: &Context, name: &str, log: &Log) -> anyhow::Result<Self> {
        let root = cx.target().join("bench").join(name);
        let shown = cx.shown(&root);
        let failed = || format!("cannot write `{shown}`");
        if root.exists() {
            fs::remove_dir_all(&root).with_context(failed)?;
        }
        fs::create_dir_all(&root).with_context(failed)?;
        let checkout = Self { root };
        super::succeed(
            &cx.process("git").args(["clone", "--quiet"]).arg(&cx.root).arg(&checkout.root).log(log),
        )?;
        checkout.append(
            "Cargo.toml",
            &format!("\n[workspace.metadata.bench]\nrun = \"{name}-{}\"\n", cx.run_id),
        )?;
        let containerfile = checkout.root.join("Containerfile");
        if let Ok(text) = fs::read_to_string(&containerfile) {
            // What one way keeps beside its layers is not the other's.
            let text = text.replace("type=cache,id=", &format!("type=cache,id=bench-{name}-"));
            fs::write(&containerfile, text).with_context(failed)?;
        }
        checkout.commit(log)?;
        Ok(checkout)
    }

    /// Adds text to the end of a file.
    pub(super) fn append(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(file);
        let failed = || format!("cannot change `{}`", path.display());
        let old = fs::read_to_string(&path).with_context(failed)?;
        fs::write(&path, old + text).with_context(failed)
    }

    /// A child that runs there, with a target folder of its own.
    pub(super) fn process(&self, program: &str) -> Process {
        Process::new(program)
            .folder(&self.root)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET_DIR")
    }

    fn commit(&self, log: &Log) -> anyhow::Result<()> {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        let commit = ["commit", "--quiet", "--all", "--message", "Measure this"];
        super::succeed(&self.process("git").args(identity).args(commit).log(log))
    }
}
