//! `clippy`: no warning of clippy's or rustc's, in the same form as a plain `cargo clippy`, so that nothing rebuilds.

use serde::Deserialize;

use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::Log,
    verdict::inputs::Inputs,
};

#[derive(Deserialize)]
struct Message {
    reason: String,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    rendered: Option<String>,
    code: Option<Code>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    is_primary: bool,
}

pub(crate) fn inputs(_: &Context) -> Inputs {
    Inputs::of_workspace().and([
        "!.ci/",
        "!.gitea/",
        "!.github/",
        "!Containerfile",
        "!.containerignore",
        "!compose*.yaml",
    ])
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    // Warnings are counted here and not denied by a flag: another flag is another fingerprint, and all is checked anew.
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--message-format", "json"];
    let finished = cx.cargo().args(arguments).log(log).run()?;
    if finished.stderr.contains("no such command: `clippy`")
        || finished.stderr.contains("'cargo-clippy' is not installed")
    {
        return Err(StepError::environment("`clippy` is not installed", "rustup component add clippy"));
    }
    let mut findings = Vec::new();
    let mut output = String::new();
    for diagnostic in finished.stdout.lines().filter_map(diagnostic) {
        let finding = finding(&diagnostic);
        // Targets of one crate share files, and each says it.
        if !findings.contains(&finding) {
            output.push_str(diagnostic.rendered.as_deref().unwrap_or(&diagnostic.message));
            findings.push(finding);
        }
    }
    if findings.is_empty() && !finished.success() {
        findings.push(Finding::error("clippy", "cargo clippy failed"));
        output = finished.stderr;
    }
    log.line(&output);
    if findings.is_empty() {
        Ok(Outcome::Judged(findings))
    } else {
        Ok(Outcome::ToolFailed { findings, output })
    }
}

/// A warning or an error with a place; cargo's closing counts have none.
fn diagnostic(line: &str) -> Option<Diagnostic> {
    let message: Message = serde_json::from_str(line).ok()?;
    let diagnostic = message.message.filter(|_| message.reason == "compiler-message")?;
    let counts = diagnostic.spans.is_empty() && diagnostic.code.is_none();
    (matches!(diagnostic.level.as_str(), "warning" | "error") && !(counts && is_closing(&diagnostic.message)))
        .then_some(diagnostic)
}

fn is_closing(message: &str) -> bool {
    message.starts_with("aborting due to")
        || message.contains("warning emitted")
        || message.contains("warnings emitted")
}

fn finding(diagnostic: &Diagnostic) -> Finding {
    let code = diagnostic.code.as_ref().map_or("rustc", |it| it.code.as_str());
    let finding = Finding::error(code, &diagnostic.message);
    match diagnostic.spans.iter().find(|span| span.is_primary) {
        Some(span) => finding.at(&span.file_name, span.line_start),
        None => finding,
    }
}
