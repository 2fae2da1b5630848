//! `test`: nextest and the doctests, on a real Postgres where the workspace has a database.

mod crates;
mod output;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::{Log, Process},
    scratch::Scratch,
    steps::Need,
    verdict::{inputs::Inputs, parts::Kept},
};

/// nextest's exit codes that say that a test failed, or that the tests do not compile.
const FAULTS: &[i32] = &[100, 101];
/// Those that say that its arguments cannot be read: an option, a filter, a profile.
const MISUSED: &[i32] = &[2, 94, 96];
/// The one that says that no test was left to run.
const NO_TESTS: i32 = 4;

/// What a run of the tests may be narrowed to.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) profile: Option<String>,
    pub(crate) arguments: Vec<String>,
    /// Only the tests of these.
    pub(crate) crates: Option<BTreeSet<String>>,
}

impl Selection {
    /// Why nextest could not run what was asked for, if that is why.
    fn misused(&self, code: i32, said: &str) -> Option<String> {
        let asked = self.profile.is_some() || !self.arguments.is_empty();
        match code {
            NO_TESTS => Some(format!(
                "no test matches `{}`; `cargo nextest list --workspace` shows which there are",
                self.arguments.join(" ")
            )),
            _ if asked && MISUSED.contains(&code) => {
                // What cargo did before is not the reason.
                let lines = said.lines().skip_while(|it| !it.starts_with("error"));
                let why = lines.collect::<Vec<_>>().join("\n");
                Some(if why.is_empty() { said.into() } else { why })
            }
            _ => None,
        }
    }

    /// What nextest does where no test is left: a workspace may have none, and a filter that nothing matches is mistyped.
    fn no_tests(&self) -> Option<&'static str> {
        let told = self.arguments.iter().any(|it| it.starts_with("--no-tests"));
        (!told).then_some(if self.arguments.is_empty() { "pass" } else { "fail" })
    }
}

/// Tests may read whatever lies in the tree.
pub(crate) fn inputs(cx: &Context) -> Inputs {
    database_inputs(cx, Inputs::of_workspace())
}

fn database_inputs(cx: &Context, inputs: Inputs) -> Inputs {
    let database = needs_postgres(cx);
    Inputs { server: database, gate: database, ..inputs }.setting(&cx.config.postgres)
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    check_after(cx, log, Kept::Count)
}

/// All tests, whatever was green before.
pub(crate) fn check_all(cx: &Context, log: &Log) -> StepResult {
    check_after(cx, log, Kept::AreIgnored)
}

fn check_after(cx: &Context, log: &Log, earlier: Kept) -> StepResult {
    if cx.config.test.by_crate {
        crates::check(cx, log, earlier)
    } else {
        run(cx, log, &Selection::default())
    }
}

/// Runs nextest, and the doctests where the whole suite was asked for.
pub(crate) fn run(cx: &Context, log: &Log, selection: &Selection) -> StepResult {
    if selection.crates.as_ref().is_some_and(BTreeSet::is_empty) {
        return Ok(Outcome::Skipped("no crate is reached by the changes".into()));
    }
    let scratch = if needs_postgres(cx) { Some(Scratch::start(cx, log)?) } else { None };
    let nextest = with_database(nextest(cx, selection)?, scratch.as_ref()).log(log).run()?;
    keep_results(cx, selection)?;
    if !nextest.success() {
        if !FAULTS.contains(&nextest.code()) {
            let said = nextest.stderr.trim();
            if let Some(why) = selection.misused(nextest.code(), said) {
                return Err(StepError::Misused(why));
            }
            let lacks = format!("nextest could not run (exit {}): {said}", nextest.code());
            return Err(StepError::environment(lacks, "cargo xtask doctor"));
        }
        let mut findings = output::failures(&nextest.stderr);
        if findings.is_empty() {
            findings = output::compile_errors(&nextest.stderr);
        }
        if findings.is_empty() {
            findings.push(Finding::error("test-build", "the tests do not compile"));
        }
        return Ok(Outcome::ToolFailed { findings, output: output::relevant(&nextest.stderr) });
    }
    if selection.profile.is_some() || !selection.arguments.is_empty() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    doctests(cx, log, scratch.as_ref())
}

pub(crate) fn needs(cx: &Context) -> &'static [Need] {
    if needs_postgres(cx) { &[Need::GateBinaries] } else { &[] }
}

fn needs_postgres(cx: &Context) -> bool {
    cx.config.postgres.tests.unwrap_or_else(|| !cx.migrations().is_empty())
}

fn nextest(cx: &Context, selection: &Selection) -> anyhow::Result<Process> {
    let configuration = cx.target().join("nextest.toml");
    fs::write(&configuration, "[profile.default.junit]\npath = \"junit.xml\"\n")
        .with_context(|| format!("cannot write `{}`", cx.shown(&configuration)))?;
    let mut process = cx.cargo().args(["nextest", "run", "--workspace", "--locked"]);
    if let Some(no_tests) = selection.no_tests() {
        process = process.args(["--no-tests", no_tests]);
    }
    process = process
        .arg("--no-fail-fast")
        .arg("--tool-config-file")
        .arg(format!("xtask:{}", configuration.display()));
    if let Some(profile) = &selection.profile {
        process = process.args(["--profile", profile]);
    }
    if let Some(crates) = &selection.crates {
        let filters: Vec<String> = crates.iter().map(|it| format!("package(={it})")).collect();
        process = process.args(["--filterset", &filters.join(" | ")]);
    }
    if std::env::var_os("INSTA_UPDATE").is_none() {
        // A snapshot is compared, never written, unless somebody asks for it.
        process = process.env("INSTA_UPDATE", "no");
    }
    Ok(process.args(&selection.arguments))
}

fn doctests(cx: &Context, log: &Log, scratch: Option<&Scratch>) -> StepResult {
    let libraries = cx.metadata.workspace_packages().iter().flat_map(|it| &it.targets).any(|it| it.is_lib());
    if !libraries {
        return Ok(Outcome::Judged(Vec::new()));
    }
    let process = cx.cargo().args(["test", "--doc", "--workspace", "--locked", "--quiet"]);
    let finished = with_database(process, scratch).log(log).run()?;
    if finished.success() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    let said = format!("{}{}", finished.stdout, finished.stderr);
    let mut findings = output::doctests(&said);
    if findings.is_empty() {
        findings
            .push(Finding::error("doctest-failed", "a doctest failed").fix("cargo test --doc --workspace"));
    }
    Ok(Outcome::ToolFailed { findings, output: said })
}

fn with_database(process: Process, scratch: Option<&Scratch>) -> Process {
    match scratch {
        Some(scratch) => process.env("XTASK_POSTGRES_URL", &scratch.admin_url),
        None => process,
    }
}

/// Where nextest's results of the last run of the tests are kept, for the report.
pub(crate) fn results(folder: &Path) -> PathBuf {
    folder.join("nextest.xml")
}

/// nextest's results go where the report finds them; those of an earlier run go.
fn keep_results(cx: &Context, selection: &Selection) -> anyhow::Result<()> {
    let profile = selection.profile.as_deref().unwrap_or("default");
    let made: PathBuf = cx.metadata.target_directory.join("nextest").join(profile).join("junit.xml").into();
    let kept = results(&cx.target());
    let moved = if made.exists() { fs::rename(&made, &kept) } else { fs::remove_file(&kept) };
    match moved {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot keep `{}`", cx.shown(&kept)))
        }
        _ => Ok(()),
    }
}
