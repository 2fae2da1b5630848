//! `deny`: the licences, crates and sources of the dependencies are allowed, and no advisory speaks of one.

use std::{fs, time::Duration};

use serde::Deserialize;

use crate::{
    context::Context,
    outcome::{Finding, Level, Outcome, StepError, StepResult},
    process::{Finished, Log},
    verdict::inputs::Inputs,
};

/// What is allowed, with the comments that say why.
const CONFIG: &str = ".config/deny.toml";
/// How long the database of advisories may take to arrive.
const FETCH: Duration = Duration::from_secs(60);
/// The code of the finding that `release` looks for.
pub(crate) const NOT_JUDGED: &str = "advisories-not-judged";

pub(crate) fn skip(cx: &Context) -> Option<String> {
    (!cx.root.join(CONFIG).is_file()).then(|| format!("no `{CONFIG}`: nothing says what is allowed"))
}

/// Advisories are those of a day.
pub(crate) fn inputs(_: &Context) -> Inputs {
    Inputs { day: true, ..Inputs::files(["**/Cargo.toml", "Cargo.lock", CONFIG]) }
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let mut findings = ask(cx, log, &["bans", "licenses", "sources"], None)?;
    match ask(cx, log, &["advisories"], Some(FETCH)) {
        Ok(advisories) => findings.extend(advisories),
        Err(StepError::Interrupted) => return Err(StepError::Interrupted),
        Err(StepError::Environment { lacks, .. }) => findings.push(not_judged(&lacks)),
        Err(error) => findings.push(not_judged(&format!("{:#}", error.into_error()))),
    }
    Ok(Outcome::Judged(findings))
}

fn ask(cx: &Context, log: &Log, what: &[&str], timeout: Option<Duration>) -> Result<Vec<Finding>, StepError> {
    let process = cx
        .process("cargo-deny")
        .args(["--format", "json", "--color", "never", "--locked", "--config", CONFIG, "check"])
        .args(what)
        .log(log);
    let process = match timeout {
        Some(timeout) => process.timeout(timeout),
        None => process,
    };
    let finished = process.run()?;
    let said: Vec<Said> =
        finished.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if !said.iter().any(|it| it.kind == "summary") {
        return Err(StepError::environment(trouble(&said, &finished), "cargo xtask log deny"));
    }
    let lock = fs::read_to_string(cx.root.join("Cargo.lock")).unwrap_or_default();
    let diagnostics = said.into_iter().filter(|it| it.kind == "diagnostic").map(|it| it.fields);
    Ok(diagnostics.filter_map(|it| it.finding(&lock)).collect())
}

/// Why cargo-deny came to no verdict.
fn trouble(said: &[Said], finished: &Finished) -> String {
    let errors = said.iter().filter(|it| it.fields.level.as_deref() == Some("ERROR"));
    let texts: Vec<&str> = errors.flat_map(|it| it.fields.message.lines()).map(str::trim).collect();
    match (texts.first(), texts.iter().rfind(|it| it.contains("fatal: "))) {
        (Some(_), Some(fatal)) => fatal.trim_start_matches("fatal: ").into(),
        (Some(first), None) => (*first).into(),
        (None, _) => finished.stderr.lines().next().unwrap_or("cargo-deny said nothing").into(),
    }
}

fn not_judged(why: &str) -> Finding {
    let message = format!(
        "security advisories were NOT judged: their database cannot be reached ({why}); a release is refused until they are"
    );
    Finding::warning(NOT_JUDGED, message).fix("cargo xtask ci deny --force, where the network allows it")
}

/// A line of cargo-deny's: a diagnostic, a log line, or the summary.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    message: String,
    /// Of a log line.
    level: Option<String>,
    /// Of a diagnostic.
    severity: Option<String>,
    code: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    graphs: Vec<Graph>,
    advisory: Option<Advisory>,
}

#[derive(Deserialize)]
struct Label {
    message: String,
    span: String,
}

#[derive(Deserialize)]
struct Graph {
    #[serde(rename = "Krate")]
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Advisory {
    id: String,
    title: String,
}

impl Fields {
    fn finding(self, lock: &str) -> Option<Finding> {
        let level = match self.severity.as_deref()? {
            "error" => Level::Error,
            "warning" => Level::Warning,
            _ => return None,
        };
        let package = self.graphs.into_iter().find_map(|it| it.package);
        let mut message = self.message;
        if let Some(Advisory { id, title }) = self.advisory {
            message = format!("{id}: {title}");
        }
        if let Some(label) = self.labels.iter().rfind(|it| !it.message.is_empty()) {
            message = format!("{message}: `{}` {}", label.span.replace('\n', " "), label.message);
        }
        let code = format!("deny-{}", self.code.as_deref().unwrap_or("refused"));
        let finding = match package {
            Some(package) => {
                let message = format!("`{} {}`: {message}", package.name, package.version);
                Finding::error(&code, message).at("Cargo.lock", line_of(lock, &package))
            }
            None => Finding::error(&code, message).at(CONFIG, None),
        };
        let fix = format!("take another crate, or allow it in {CONFIG} with a comment that says why");
        Some(Finding { level, ..finding }.fix(fix))
    }
}

/// Where the lock file speaks of a package, from 1.
fn line_of(lock: &str, package: &Package) -> Option<u32> {
    let head = format!("name = \"{}\"\nversion = \"{}\"", package.name, package.version);
    let at = lock.find(&head)?;
    u32::try_from(lock[..at].matches('\n').count() + 1).ok()
}
