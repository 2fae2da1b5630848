//! The pipeline that teams write by hand: one command after the other, then one image build after the other.

use super::{Checkout, succeed};
use crate::{
    context::Context,
    images,
    outcome::StepError,
    process::{Log, Process},
    scratch::Scratch,
    steps::{migrations, sqlx},
};

/// What it runs of cargo, in this order.
const CARGO: &[&str] = &[
    "fmt --all --check",
    "clippy --workspace --all-targets --locked",
    "build --workspace --locked",
    "nextest run --workspace --locked --no-fail-fast --no-tests pass",
    "test --doc --workspace --locked",
];
const PREPARED: &[&str] = &["sqlx", "prepare", "--check", "--workspace", "--", "--locked"];

/// A checkout, its database, and the builds of its images.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) checkout: Checkout,
    /// As a pipeline's own database service: it is there before the clock starts.
    scratch: Option<Scratch>,
    database: Option<String>,
    builds: Vec<Process>,
}

impl Plain {
    /// Starts the database, with all migrations in it.
    pub(super) fn prepare(cx: &Context, checkout: Checkout, log: &Log) -> anyhow::Result<Self> {
        let scratch = if cx.migrations().is_empty() {
            None
        } else {
            Some(Scratch::start(cx, log).map_err(StepError::into_error)?)
        };
        let mut database = None;
        if let Some(scratch) = scratch.as_ref().filter(|_| sqlx::skip(cx).is_none()) {
            let name = "bench";
            let provision = migrations::gate(cx, log, "provision")?.args(["--database", name]);
            succeed(&provision.env("MIGRATION_GATE_SERVER_URL", &scratch.admin_url).log(log))?;
            database = Some(scratch.url(name, None));
        }
        let builds = match images::skip(cx) {
            Some(_) => Vec::new(),
            None => images::plain_builds(cx, log).map_err(StepError::into_error)?,
        };
        let builds = builds.into_iter().map(|it| it.folder(&checkout.root)).collect();
        Ok(Self { checkout, scratch, database, builds })
    }

    /// What is compared, as people read it.
    pub(super) fn told(&self) -> Vec<String> {
        let mut lines =
            vec!["pipeline: one after the other, with a Postgres that is there before".to_owned()];
        lines.extend(CARGO.iter().map(|it| format!("  cargo {it}")));
        lines.extend(self.database.iter().map(|_| format!("  cargo {}", PREPARED.join(" "))));
        if !self.builds.is_empty() {
            lines.push(format!("  podman build --target …, for each of {} images", self.builds.len()));
        }
        lines.push(
            "gate: cargo xtask ci, with cargo's own start, the tool's compilation and its own Postgres"
                .into(),
        );
        lines
    }

    /// Once through.
    pub(super) fn run(&self, log: &Log) -> anyhow::Result<()> {
        for line in CARGO {
            let mut process = self.cargo().env("SQLX_OFFLINE", "true").args(line.split(' '));
            if let Some(scratch) = &self.scratch {
                process = process.env("XTASK_POSTGRES_URL", &scratch.admin_url);
            }
            succeed(&process.log(log))?;
        }
        if let Some(database) = &self.database {
            succeed(&self.cargo().env("DATABASE_URL", database).args(PREPARED).log(log))?;
        }
        self.builds.iter().try_for_each(|build| succeed(&build.clone().log(log)))
    }

    fn cargo(&self) -> Process {
        self.checkout.process("cargo").env("CARGO_TERM_COLOR", "never")
    }
}
