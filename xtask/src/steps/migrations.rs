//! `migrations`: the migration gate, on a cluster of its own.

use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::{Finished, Log, Process},
    scratch::with_engine,
    verdict::inputs::{Git, Inputs},
};

pub(crate) fn skip(cx: &Context) -> Option<String> {
    cx.migrations().is_none().then(|| format!("no migrations in `{}`", cx.config.migrations.path))
}

pub(crate) fn inputs(cx: &Context) -> Inputs {
    let files = files(cx);
    Inputs { server: true, gate: true, git: Git::Releases, dates: files.clone(), ..Inputs::files(files) }
        .and([".sqlx/"])
        .setting((&cx.config.postgres, &cx.config.roles, &cx.config.migrations))
}

/// The migrations with what lies beside them, the ledger and the prelude.
pub(crate) fn files(cx: &Context) -> Vec<String> {
    let settings = &cx.config.migrations;
    let named = [&settings.ledger, &settings.prelude];
    let folder = settings.path.trim_end_matches('/');
    std::iter::once(format!("{folder}/")).chain(named.into_iter().flatten().cloned()).collect()
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let process = with_engine(cx, gate(cx, log, "check")?).args(["--message-format", "json"]);
    let finished = process.log(log).run()?;
    let findings: Vec<Finding> =
        finished.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match finished.code() {
        0 | 1 => judged(findings, &finished),
        // What cannot be read, such as a malformed ledger, is a fault in the tree.
        2 => Ok(Outcome::Judged(vec![Finding::error("configuration", said(&finished))])),
        3 => Err(StepError::environment(said(&finished), "cargo xtask doctor")),
        _ => Err(StepError::Other(anyhow::anyhow!("{}", said(&finished)))),
    }
}

/// The gate's binary with what this workspace's configuration says of migrations and roles.
pub(crate) fn gate(cx: &Context, log: &Log, command: &str) -> anyhow::Result<Process> {
    let settings = &cx.config.migrations;
    let roles = &cx.config.roles;
    let mut process = cx.process(cx.gate_binary("migration-gate", log)?).arg(command);
    process = process.args(["--migrations", &settings.path]);
    process = process.args(["--owner", &roles.owner, "--deployer", &roles.deployer, "--app", &roles.app]);
    let beside = format!("{}/applied.toml", settings.path);
    let ledger = settings.ledger.clone().or_else(|| cx.root.join(&beside).is_file().then_some(beside));
    for (flag, value) in [
        ("--ledger", &ledger),
        ("--prelude", &settings.prelude),
        ("--policy", &settings.policy),
        ("--lock-timeout", &settings.lock_timeout),
        ("--boot", &settings.boot),
    ] {
        if let Some(value) = value {
            process = process.args([flag, value]);
        }
    }
    Ok(process)
}

/// What the gate said to people, in one line.
pub(crate) fn said(finished: &Finished) -> String {
    let text = finished.stderr.trim().trim_start_matches("error: ");
    if text.is_empty() {
        format!("the migration gate ended with exit code {} and said nothing", finished.code())
    } else {
        text.into()
    }
}

/// A gate that ends with 1 found an error; one that does not say which has failed itself.
fn judged(findings: Vec<Finding>, finished: &Finished) -> StepResult {
    let red = findings.iter().any(|it| it.level == crate::outcome::Level::Error);
    if red == (finished.code() == 1) {
        Ok(Outcome::Judged(findings))
    } else {
        Err(StepError::Other(anyhow::anyhow!("the migration gate contradicts itself: {}", said(finished))))
    }
}
