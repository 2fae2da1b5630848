//! A clone to measure in: at first nothing is compiled in it, and no layer of an image fits it.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;

use crate::{
    context::Context,
    process::{Log, Process},
};

/// Below the target folder of the tool.
const FOLDER: &str = "bench";
/// The commit that both clones are of, once both ways went through from nothing.
const COMMIT: &str = "commit";

/// What a measurement begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Anew,
    WithWhatIsThere,
}

/// What is in the clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Nothing,
    /// All that both ways compile.
    Compiled,
}

/// Whether the clones of an earlier measurement can be gone on with.
#[derive(Debug)]
pub(super) struct Warm {
    pub(super) state: State,
    file: PathBuf,
    commit: String,
}

impl Warm {
    /// Looks for clones of this commit; until the end of a cold case there are none.
    ///
    /// # Errors
    /// When the note about clones that are none any more cannot be removed.
    pub(super) fn of(cx: &Context, commit: &str, begin: Begin) -> anyhow::Result<Self> {
        let file = cx.target().join(FOLDER).join(COMMIT);
        let known = fs::read_to_string(&file).is_ok_and(|it| it == commit && !commit.is_empty());
        if known && begin == Begin::WithWhatIsThere {
            return Ok(Self { state: State::Compiled, file, commit: commit.into() });
        }
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove `{}`", cx.shown(&file)))
            }
            _ => Ok(Self { state: State::Nothing, file, commit: commit.into() }),
        }
    }

    /// Notes that both ways went through.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(super) fn keep(&self) -> anyhow::Result<()> {
        fs::write(&self.file, &self.commit).with_context(|| format!("cannot write `{}`", self.file.display()))
    }
}

/// A clone below the target folder; it stays, since what is compiled in it is gigabytes that a next case needs.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) root: PathBuf,
}

impl Checkout {
    /// The clone that is there, or a new one of what is committed: with a mark in the manifest so that images begin anew, and
    /// with tests that are tried again, so that one that fails once does not end hours of measuring.
    ///
    /// # Errors
    /// When git cannot clone, or the disk cannot hold it.
    pub(super) fn of(cx: &Context, name: &str, state: State, log: &Log) -> anyhow::Result<Self> {
        let root = cx.target().join(FOLDER).join(name);
        if state == State::Compiled {
            return Ok(Self { root });
        }
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
        checkout.try_tests_again().with_context(failed)?;
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

    fn try_tests_again(&self) -> io::Result<()> {
        const PROFILE: &str = "[profile.default]\n";
        let path = self.root.join(".config/nextest.toml");
        let text = fs::read_to_string(&path).unwrap_or_else(|_| PROFILE.to_owned());
        fs::create_dir_all(self.root.join(".config"))?;
        fs::write(path, text.replacen(PROFILE, &format!("{PROFILE}retries = 2\n"), 1))
    }

    fn commit(&self, log: &Log) -> anyhow::Result<()> {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        super::succeed(&self.process("git").args(["add", "--all"]).log(log))?;
        let commit = ["commit", "--quiet", "--message", "Measure this"];
        super::succeed(&self.process("git").args(identity).args(commit).log(log))
    }
}
