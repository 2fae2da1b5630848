//! `test`: nextest and the doctests, on a real Postgres where the workspace has a database.

use std::{
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
};

/// nextest's exit codes that say that a test failed, or that the tests do not compile.
const FAULTS: &[i32] = &[100, 101];

/// What a run of the tests may be narrowed to.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) profile: Option<String>,
    pub(crate) arguments: Vec<String>,
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    run(cx, log, &Selection::default())
}

/// Runs nextest, and the doctests where the whole suite was asked for.
pub(crate) fn run(cx: &Context, log: &Log, selection: &Selection) -> StepResult {
    let scratch = if needs_postgres(cx) { Some(Scratch::start(cx, log)?) } else { None };
    let nextest = with_database(nextest(cx, selection)?, scratch.as_ref()).log(log).run()?;
    keep_results(cx, selection)?;
    if !nextest.success() {
        let output = relevant(&nextest.stderr);
        if !FAULTS.contains(&nextest.code()) {
            let said = nextest.stderr.trim();
            let lacks = format!("nextest could not run (exit {}): {said}", nextest.code());
            return Err(StepError::environment(lacks, "cargo xtask doctor"));
        }
        let mut findings = failures(&nextest.stderr);
        if findings.is_empty() {
            findings.push(Finding::error("test-build", "the tests do not compile"));
        }
        return Ok(Outcome::ToolFailed { findings, output });
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
    cx.config.postgres.tests.unwrap_or_else(|| cx.migrations().is_some())
}

fn nextest(cx: &Context, selection: &Selection) -> anyhow::Result<Process> {
    let configuration = cx.target().join("nextest.toml");
    fs::write(&configuration, "[profile.default.junit]\npath = \"junit.xml\"\n")
        .with_context(|| format!("cannot write `{}`", cx.shown(&configuration)))?;
    let mut process = cx.cargo().args(["nextest", "run", "--workspace", "--locked", "--no-tests", "pass"]);
    process = process
        .arg("--no-fail-fast")
        .arg("--tool-config-file")
        .arg(format!("xtask:{}", configuration.display()));
    if let Some(profile) = &selection.profile {
        process = process.args(["--profile", profile]);
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
    let findings =
        vec![Finding::error("doctest-failed", "a doctest failed").fix("cargo test --doc --workspace")];
    Ok(Outcome::ToolFailed { findings, output: format!("{}{}", finished.stdout, finished.stderr) })
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

/// nextest lists what failed as `FAIL [   0.012s] ( 1/12) crate::binary test_name`, once as it happens and once in the end.
fn failures(output: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for line in output.lines() {
        let line = line.trim_start();
        let Some(state) = ["FAIL", "SIGABRT", "SIGSEGV", "SIGKILL", "TIMEOUT", "LEAK-FAIL"]
            .iter()
            .find(|it| line.starts_with(**it))
        else {
            continue;
        };
        let Some((_, name)) = line.split_once(']') else { continue };
        let name =
            name.trim_start().trim_start_matches(|c: char| "( /)".contains(c) || c.is_ascii_digit()).trim();
        if !name.is_empty() && !findings.iter().any(|it| it.message.ends_with(name)) {
            let fix = format!("cargo xtask test -- {}", name.split_whitespace().last().unwrap_or(name));
            let verb = if *state == "TIMEOUT" { "timed out" } else { "failed" };
            findings.push(located(
                output,
                name,
                Finding::error("test-failed", format!("{verb}: {name}")).fix(fix),
            ));
        }
    }
    findings
}

/// Where it failed: a snapshot names its `Source: FILE:LINE`, any other panic where it was raised.
fn located(output: &str, name: &str, finding: Finding) -> Finding {
    let test = name.split_whitespace().last().unwrap_or(name);
    let mark = format!("thread '{test}'");
    let short = test.rsplit("::").next().unwrap_or(test);
    let snapshot = output.lines().skip_while(|line| !line.contains("Snapshot: ") || !line.contains(short));
    let snapshot = snapshot.take(3).find_map(|line| line.trim().strip_prefix("Source: "));
    let panic = output.lines().find(|line| line.trim_start().starts_with(&mark));
    let panic =
        panic.and_then(|line| line.split_once("panicked at ")).and_then(|(_, place)| place.rsplit_once(':'));
    let place = snapshot.or(panic.and_then(|(place, _)| place.rsplit_once(':')).map(|(place, _)| place));
    match place.and_then(|it| it.rsplit_once(':')) {
        Some((file, line)) => finding.at(file, line.parse().ok()),
        None => finding,
    }
}

/// From the first failure on, without what nextest says of tests that passed.
fn relevant(output: &str) -> String {
    let quiet = |line: &&str| {
        !["PASS [", "Compiling ", "Finished "].iter().any(|it| line.trim_start().starts_with(it))
    };
    output.lines().filter(quiet).collect::<Vec<_>>().join("\n")
}
