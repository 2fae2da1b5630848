//! What an image is made of: `release sbom` reads it out of the image, and the document is kept below `target/xtask`.

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use crate::{
    context::Context,
    outcome::{Finding, StepError},
    podman::Podman,
    process::{Finished, Log},
};

/// A document that was written.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    /// What keeps it from naming all that the image is made of, in words that end in what helps.
    pub(crate) gaps: Option<String>,
}

impl Document {
    /// Reads the image of a service and writes its document, also where that has gaps.
    ///
    /// # Errors
    /// When the image cannot be saved or read.
    pub(super) fn write(
        cx: &Context,
        podman: &Podman,
        log: &Log,
        service: &str,
        reference: &str,
    ) -> Result<Self, StepError> {
        let folder = cx.target().join("sbom");
        fs::create_dir_all(&folder).with_context(|| format!("cannot write `{}`", cx.shown(&folder)))?;
        let archive = folder.join(format!("{service}.tar"));
        // podman does not write over an archive, and a killed run leaves one.
        fs::remove_file(&archive).ok();
        let output = format!("--output={}", archive.display());
        podman.answer(cx, log, &["save", "--quiet", "--format=docker-archive", &output, reference])?;
        let mut release = cx.process(cx.gate_binary("release", log)?).arg("sbom").arg(&archive);
        if cx.root.join("Cargo.lock").is_file() {
            release = release.args(["--lock", "Cargo.lock"]);
        }
        let finished = release.run();
        fs::remove_file(&archive).ok();
        let finished = finished?;
        if finished.code() > 1 {
            let lacks = format!("what `{reference}` is made of cannot be read: {}", words(&finished));
            return Err(StepError::environment(lacks, "cargo xtask images build"));
        }
        let path = folder.join(format!("{service}.cdx.json"));
        fs::write(&path, &finished.stdout).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
        Ok(Self { path, gaps: (!finished.success()).then(|| words(&finished).to_owned()) })
    }

    /// What the gate says of it.
    pub(super) fn judged(&self, service: &str) -> Option<Finding> {
        let gaps = self.gaps.as_ref()?;
        let fix = "let the builder write the list of crates, as the stage `builder` of Slipway's Containerfile does";
        let message = format!("the image of `{service}`: {gaps}");
        Some(Finding::error("image-no-sbom", message).fix(fix))
    }
}

fn words(finished: &Finished) -> &str {
    finished.stderr.trim().trim_start_matches("error: ")
}
