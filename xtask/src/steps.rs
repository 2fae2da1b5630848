//! The gate's steps: one table, in the order in which they run, cheapest first.
//!
//! **To add a step, add a line to [`STEPS`] and the function that it names.** The command line, the plan, the report
//! and the documentation derive from the table or are checked against it.

mod clippy;
pub(crate) mod custom;
pub(crate) mod deny;
mod fmt;
mod house;
pub(crate) mod migrations;
pub(crate) mod secrets;
pub(crate) mod sqlx;
pub(crate) mod test;
mod workflows;

use serde::{Deserialize, Serialize};

use crate::{
    config::{ConfigError, nearest},
    context::Context,
    images,
    outcome::StepResult,
    process::Log,
    verdict::inputs::Inputs,
};

/// What a step holds while it runs; steps of one lane run in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lane {
    /// Nothing but the sources.
    #[default]
    Source,
    /// cargo's build directory.
    Compile,
    /// A scratch Postgres.
    Database,
    /// podman's storage.
    Image,
}

impl Lane {
    /// In the order in which the table has them.
    pub(crate) const ALL: [Self; 4] = [Self::Source, Self::Compile, Self::Database, Self::Image];

    /// As reports and workflows spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Compile => "compile",
            Self::Database => "database",
            Self::Image => "image",
        }
    }
}

/// Something that a step needs and that one place makes for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The gate's own tools, compiled; where a lane compiles, it makes them before anything else.
    GateBinaries,
}

/// A function of a step, which may know what the configuration says of it.
type Of<T> = &'static (dyn Fn(&Context) -> T + Sync);

/// One step of the gate.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    /// What holds when it is green, as the rest of a sentence.
    pub(crate) proves: &'static str,
    /// The command that mends what it finds, where one does.
    pub(crate) fix: Option<&'static str>,
    /// Why it does not apply to a workspace, where it does not.
    pub(crate) skip: Of<Option<String>>,
    /// What its verdict depends on.
    pub(crate) inputs: Of<Inputs>,
    /// What it needs; waited for where it is used, and that wait is told.
    pub(crate) needs: Of<&'static [Need]>,
    pub(crate) run: &'static (dyn Fn(&Context, &Log) -> StepResult + Sync),
}

#[rustfmt::skip] // a line a step
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt",        lane: Lane::Source,   proves: "the sources are formatted",                                   fix: Some("cargo fmt --all"),                                        skip: &never,                inputs: &fmt::inputs,         needs: &nothing,      run: &fmt::check },
    Step { name: "workflows",  lane: Lane::Source,   proves: "the workflow files are what the step table writes",           fix: Some("cargo xtask workflows"),                                  skip: &workflows::skip,      inputs: &workflows::inputs,   needs: &nothing,      run: &workflows::check },
    Step { name: "house",      lane: Lane::Source,   proves: "the architecture's own rules hold",                           fix: None,                                                           skip: &house::skip,          inputs: &house::inputs,       needs: &nothing,      run: &house::check },
    Step { name: "secrets",    lane: Lane::Source,   proves: "no credential is in the tree or in the commits since the base", fix: None,                                                          skip: &never,                inputs: &secrets::inputs,     needs: &nothing,      run: &secrets::check },
    Step { name: "deny",       lane: Lane::Source,   proves: "licences, crates and sources are allowed, advisories are known", fix: None,                                                        skip: &deny::skip,           inputs: &deny::inputs,        needs: &nothing,      run: &deny::check },
    Step { name: "clippy",     lane: Lane::Compile,  proves: "clippy and rustc have no warning",                            fix: Some("cargo clippy --fix --allow-dirty --workspace --all-targets"), skip: &never,                inputs: &clippy::inputs,      needs: &nothing,      run: &clippy::check },
    Step { name: "test",       lane: Lane::Compile,  proves: "tests and doctests pass, on a real Postgres",                 fix: None,                                                           skip: &never,                inputs: &test::inputs,        needs: &test::needs,  run: &test::check },
    Step { name: "sqlx",       lane: Lane::Database, proves: "`.sqlx` holds what the queries say against the schema",       fix: Some("cargo xtask db prepare"),                                 skip: &sqlx::skip,           inputs: &sqlx::inputs,        needs: &the_gate,     run: &sqlx::check },
    Step { name: "migrations", lane: Lane::Database, proves: "production would accept the migrations, role by role",        fix: None,                                                           skip: &migrations::skip,     inputs: &migrations::inputs,  needs: &the_gate,     run: &migrations::check },
    Step { name: "images",     lane: Lane::Image,    proves: "every runtime image builds, starts, turns healthy and stops", fix: None,                                                           skip: &images::skip,         inputs: &images::inputs,      needs: &the_gate,     run: &images::check },
];

impl Step {
    /// Every step of this workspace's gate: the built-in ones, and its own.
    pub(crate) fn all(cx: &Context) -> Vec<&'static Self> {
        cx.steps.clone()
    }

    /// The named steps in the table's order; all without names.
    ///
    /// # Errors
    /// When there is no step of a name; the nearest one is named.
    pub(crate) fn selected(cx: &Context, names: &[String]) -> Result<Vec<&'static Self>, ConfigError> {
        let known: Vec<&str> = cx.steps.iter().map(|step| step.name).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let hint = nearest(unknown, &known).map(|it| format!("; did you mean `{it}`?"));
            return Err(ConfigError::new(format!(
                "there is no step `{unknown}`{}\nThere are: {}",
                hint.unwrap_or_default(),
                known.join(" ")
            )));
        }
        let wanted = |step: &&Self| names.is_empty() || names.iter().any(|name| name == step.name);
        Ok(cx.steps.iter().copied().filter(wanted).collect())
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn nothing(_: &Context) -> &'static [Need] {
    &[]
}

fn the_gate(_: &Context) -> &'static [Need] {
    &[Need::GateBinaries]
}

fn never(_: &Context) -> Option<String> {
    None
}
