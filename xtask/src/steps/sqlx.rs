//! `sqlx`: what `.sqlx` holds is what the queries say against the schema.
//!
//! The migration gate compares without compiling. Where only a build can tell, and where `--exact` asks for it,
//! `cargo sqlx prepare --check` decides.

mod exact;

use std::fs;

use super::{house, migrations};
use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::Log,
    scratch::Scratch,
    verdict::inputs::Inputs,
};

/// The folder of the committed queries.
const COMMITTED: &str = ".sqlx";
const REFRESH: &str = "cargo xtask db prepare";
/// The database with all migrations.
const DATABASE: &str = "sqlx_prepare";
/// What the gate found out about the workspace, below `target/xtask`.
const KEPT: &str = "prepared.json";
/// What the gate calls a place that only a build sees through.
const UNSEEN: &str = "query-unseen";

pub(crate) fn skip(cx: &Context) -> Option<String> {
    (!cx.root.join(COMMITTED).is_dir() && !has_queries(cx))
        .then(|| format!("no `{COMMITTED}`: no query is checked at compile time"))
}

pub(crate) fn inputs(cx: &Context) -> Inputs {
    let users = cx.crates_above(["sqlx"]);
    let crates = Inputs::of_crates(cx, users.iter().map(String::as_str));
    let database = migrations::files(cx);
    Inputs { server: true, gate: true, ..crates }.and([format!("{COMMITTED}/")]).and(database).setting((
        &cx.config.postgres,
        &cx.config.roles,
        &cx.config.migrations,
    ))
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let database = Database::start(cx, log)?;
    match compare(cx, &database, log)? {
        Compared::Decided(findings) => {
            log.remark("decided without compiling");
            Ok(Outcome::Judged(findings))
        }
        Compared::Open(places) => {
            log.remark(&format!("`cargo sqlx prepare --check` decided, {}", because(&places)));
            exact::check(cx, &database, log)
        }
    }
}

/// The same, whatever could be told without compiling.
pub(crate) fn check_exactly(cx: &Context, log: &Log) -> StepResult {
    log.remark("`cargo sqlx prepare --check` decided, as asked for");
    exact::check(cx, &Database::start(cx, log)?, log)
}

/// `cargo xtask db prepare`: refreshes `.sqlx`.
pub(crate) fn refresh(cx: &Context, log: &Log) -> StepResult {
    exact::refresh(cx, &Database::start(cx, log)?, log)
}

/// A database that has all migrations, applied role by role; gone when dropped.
struct Database {
    scratch: Scratch,
    url: String,
}

impl Database {
    fn start(cx: &Context, log: &Log) -> Result<Self, StepError> {
        let scratch = Scratch::start(cx, log)?;
        let provision = migrations::gate(cx, log, "provision")?.args(["--database", DATABASE]);
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
        let url = scratch.url(DATABASE, None);
        Ok(Self { scratch, url })
    }
}

/// What comparing without compiling came to.
enum Compared {
    Decided(Vec<Finding>),
    /// The places that only a build sees through.
    Open(Vec<Finding>),
}

fn compare(cx: &Context, database: &Database, log: &Log) -> Result<Compared, StepError> {
    let process = cx.process(cx.gate_binary("migration-gate", log)?).arg("prepared");
    let process = process.arg("--keep").arg(cx.target().join(KEPT));
    let process = process.args(["--queries", COMMITTED, "--database", DATABASE, "--message-format", "json"]);
    let finished = process.env("MIGRATION_GATE_SERVER_URL", &database.scratch.admin_url).log(log).run()?;
    let findings: Vec<Finding> =
        finished.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let refreshed = |finding: Finding| match finding.fix.as_deref() {
        Some("cargo sqlx prepare --workspace") => finding.fix(REFRESH),
        _ => finding,
    };
    let (open, certain): (Vec<_>, Vec<_>) =
        findings.into_iter().map(refreshed).partition(|it| it.code == UNSEEN);
    match finished.code() {
        0 | 1 if open.is_empty() => Ok(Compared::Decided(certain)),
        3 if !open.is_empty() => Ok(Compared::Open(open)),
        3 => Err(StepError::environment(migrations::said(&finished), "cargo xtask doctor")),
        _ => Err(StepError::Other(anyhow::anyhow!("{}", migrations::said(&finished)))),
    }
}

/// The first place that only a build sees through, and how many more there are.
fn because(places: &[Finding]) -> String {
    let Some(first) = places.first() else { return String::new() };
    let file = first.file.as_deref().unwrap_or("the workspace");
    let line = first.line.map_or_else(String::new, |it| format!(":{it}"));
    // What follows the semicolon is the gate's word on consequences, of which there are none.
    let why = first.message.split_once("; nothing").map_or(first.message.as_str(), |it| it.0);
    let more = if places.len() > 1 { format!(" (and {} more)", places.len() - 1) } else { String::new() };
    format!("because of {file}{line}: {why}{more}")
}

/// Whether a member asks sqlx to check a query while it compiles.
fn has_queries(cx: &Context) -> bool {
    let packages = cx.metadata.workspace_packages();
    let users = packages.iter().filter(|it| it.dependencies.iter().any(|it| it.name == "sqlx"));
    users.filter_map(|it| it.manifest_path.parent()).any(|folder| {
        house::sources(folder.as_std_path())
            .iter()
            .any(|file| fs::read_to_string(file).is_ok_and(|text| calls_query(&text)))
    })
}

/// Whether a macro whose name begins with `query` is called, as text tells it.
fn calls_query(text: &str) -> bool {
    text.match_indices("query").any(|(at, _)| {
        text[at..].trim_start_matches(|it: char| it.is_ascii_lowercase() || it == '_').starts_with("!(")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_checked_while_it_compiles_is_known_by_its_macro() {
        assert!(calls_query("sqlx::query!(\"SELECT 1\")"));
        assert!(calls_query("query_file_as_unchecked!(Row, \"a.sql\")"));
        assert!(!calls_query("sqlx::query(\"SELECT 1\"); query != other"));
    }
}
