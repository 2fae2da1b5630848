//! `sqlx`: what `.sqlx` holds is what the queries say against the schema, judged by `cargo sqlx prepare --check` itself.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use super::migrations;
use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::{Log, Process},
    scratch::Scratch,
};

/// The folder of the committed queries.
const COMMITTED: &str = ".sqlx";
const REFRESH: &str = "cargo xtask db prepare";

pub(crate) fn skip(cx: &Context) -> Option<String> {
    (!cx.root.join(COMMITTED).is_dir())
        .then(|| format!("no `{COMMITTED}`: no query is checked at compile time"))
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let scratch = Scratch::start(cx, log)?;
    let finished =
        prepare(cx, &scratch, log)?.args(["--check", "--workspace", "--", "--locked"]).log(log).run()?;
    if finished.success() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    if finished.stderr.contains("no such command: `sqlx`") {
        return Err(StepError::environment("`cargo-sqlx` is not installed", "cargo xtask ci --setup sqlx"));
    }
    let findings = differences(cx)?;
    let output = if findings.is_empty() { finished.stderr.clone() } else { String::new() };
    if findings.is_empty() {
        // It did not come to a comparison: a query does not compile against the schema.
        return Ok(Outcome::ToolFailed { findings: broken(&finished.stderr), output });
    }
    Ok(Outcome::Judged(findings))
}

/// `cargo xtask db prepare`: refreshes `.sqlx`.
pub(crate) fn refresh(cx: &Context, log: &Log) -> StepResult {
    let scratch = Scratch::start(cx, log)?;
    let finished = prepare(cx, &scratch, log)?.args(["--workspace", "--", "--locked"]).log(log).run()?;
    if finished.success() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    Ok(Outcome::ToolFailed { findings: broken(&finished.stderr), output: finished.stderr })
}

/// `cargo sqlx prepare` on a database that has all migrations, applied role by role.
fn prepare(cx: &Context, scratch: &Scratch, log: &Log) -> Result<Process, StepError> {
    let database = "sqlx_prepare";
    let provision = migrations::gate(cx, log, "provision")?.args(["--database", database]);
    // The address goes by the environment: a given server's may hold a password.
    let finished = provision.env("MIGRATION_GATE_SERVER_URL", &scratch.admin_url).log(log).run()?;
    match finished.code() {
        0 => {}
        1 => {
            let lacks = format!("no schema to judge by: {}", migrations::said(&finished));
            return Err(StepError::environment(lacks, "cargo xtask ci migrations"));
        }
        _ => return Err(StepError::environment(migrations::said(&finished), "cargo xtask doctor")),
    }
    let url = scratch.url(database, None);
    Ok(cx.cargo().env_remove("SQLX_OFFLINE").env("DATABASE_URL", url).args(["sqlx", "prepare"]))
}

#[derive(Deserialize)]
struct Query {
    query: String,
}

/// The tool says only that something differs; what it prepared lies beside, so each query can be named.
fn differences(cx: &Context) -> anyhow::Result<Vec<Finding>> {
    let prepared = cx.metadata.target_directory.join("sqlx-prepare-check");
    let prepared = queries(prepared.as_std_path())?;
    let committed = queries(&cx.root.join(COMMITTED))?;
    let mut findings = Vec::new();
    for (name, text) in &prepared {
        match committed.get(name) {
            None => findings.push(finding(cx, "query-missing", "is not in `.sqlx`", text)),
            Some(old) if !same(old, text) => {
                findings.push(finding(cx, "query-stale", "says something else against today's schema", text));
            }
            Some(_) => {}
        }
    }
    if !findings.is_empty() {
        for (name, text) in committed.iter().filter(|(name, _)| !prepared.contains_key(*name)) {
            let unused =
                finding(cx, "query-unused", "is used nowhere", text).at(format!("{COMMITTED}/{name}"), None);
            findings.push(Finding { level: crate::outcome::Level::Warning, ..unused });
        }
    }
    Ok(findings)
}

fn queries(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for path in
        entries.flatten().map(|it| it.path()).filter(|it| it.extension().is_some_and(|it| it == "json"))
    {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(name, text);
    }
    Ok(found)
}

fn same(a: &str, b: &str) -> bool {
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    value(a).is_some() && value(a) == value(b)
}

fn finding(cx: &Context, code: &str, what: &str, text: &str) -> Finding {
    let query = serde_json::from_str::<Query>(text).map_or_else(|_| text.to_owned(), |it| it.query);
    let shown: String = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = if shown.chars().count() > 100 {
        format!("{}…", shown.chars().take(100).collect::<String>())
    } else {
        shown
    };
    let finding = Finding::error(code, format!("the query `{shown}` {what}")).fix(REFRESH);
    match place(cx, &query) {
        Some((file, line)) => finding.at(cx.shown(&file), line),
        None => finding,
    }
}

/// Where a query stands in the sources: its first line that has words, looked up as text.
fn place(cx: &Context, query: &str) -> Option<(PathBuf, u32)> {
    let first = query.lines().map(str::trim).find(|line| !line.is_empty())?;
    for package in cx.metadata.workspace_packages() {
        let folder = package.manifest_path.parent()?.as_std_path();
        for path in super::house::sources(folder) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(index) = text.lines().position(|line| line.contains(first)) {
                return Some((path, u32::try_from(index + 1).ok()?));
            }
        }
    }
    None
}

/// Queries that the database refuses; rustc says `error: …` and then `--> FILE:LINE:COLUMN`.
fn broken(output: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut message = None;
    for line in output.lines() {
        if let Some(text) = line
            .strip_prefix("error: ")
            .or_else(|| line.strip_prefix("error[").and_then(|it| it.split_once("]: ")).map(|it| it.1))
        {
            message = Some(text);
        } else if let (Some(place), Some(text)) = (line.trim_start().strip_prefix("--> "), message.take()) {
            let mut parts = place.rsplitn(3, ':').skip(1);
            let line = parts.next().and_then(|it| it.parse().ok());
            findings.push(Finding::error("query-broken", text).at(parts.next().unwrap_or(place), line));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::error("query-broken", "cargo sqlx prepare failed"));
    }
    findings
}
