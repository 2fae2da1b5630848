//! `cargo sqlx prepare` itself, which compiles: what it decides, and what it says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{COMMITTED, Database, REFRESH};
use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::{Finished, Log},
    steps::house,
};

/// Compares what a build has with `.sqlx`.
pub(super) fn check(cx: &Context, database: &Database, log: &Log) -> StepResult {
    let finished = prepare(cx, database, &["--check"], log)?;
    if finished.success() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    let findings = differences(cx)?;
    if findings.is_empty() {
        // It did not come to a comparison: a query does not compile against the schema.
        return Ok(Outcome::ToolFailed { findings: broken(&finished.stderr), output: finished.stderr });
    }
    Ok(Outcome::Judged(findings))
}

/// Writes `.sqlx` anew. `cargo sqlx prepare` empties the folder before it compiles; what stood there comes back unless it
/// came to its end.
pub(super) fn refresh(cx: &Context, database: &Database, log: &Log) -> StepResult {
    let folder = cx.root.join(COMMITTED);
    let before = queries(&folder)?;
    let finished = prepare(cx, database, &[], log);
    if matches!(&finished, Ok(it) if it.success()) {
        return Ok(Outcome::Judged(Vec::new()));
    }
    put_back(&folder, &before)?;
    let finished = finished?;
    Ok(Outcome::ToolFailed { findings: broken(&finished.stderr), output: finished.stderr })
}

fn put_back(folder: &Path, before: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let failed = || format!("cannot put back what was in `{COMMITTED}`; try: git restore {COMMITTED}");
    fs::create_dir_all(folder).with_context(failed)?;
    for name in queries(folder)?.keys().filter(|it| !before.contains_key(*it)) {
        fs::remove_file(folder.join(name)).with_context(failed)?;
    }
    before.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text)).with_context(failed)
}

fn prepare(cx: &Context, database: &Database, flags: &[&str], log: &Log) -> Result<Finished, StepError> {
    let process = cx.cargo().env_remove("SQLX_OFFLINE").env("DATABASE_URL", &database.url);
    let process = process.args(["sqlx", "prepare"]).args(flags).args(["--workspace", "--", "--locked"]);
    let finished = process.log(log).run()?;
    if finished.stderr.contains("no such command: `sqlx`") {
        return Err(StepError::environment("`cargo-sqlx` is not installed", "cargo xtask ci --setup sqlx"));
    }
    Ok(finished)
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
        for path in house::sources(folder) {
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
