//! One page without anything from elsewhere: the verdict, a row a step on a timeline, and what was found.

mod timeline;

use std::fmt::Write as _;

use super::Told;
use crate::{
    events::StepRecord,
    outcome::{Finding, Level, Status, Verdict},
    terminal::{again, counts, readable, took},
};

const STYLE: &str = include_str!("html/page.css");

/// The page. Everything that comes from a run is escaped.
pub(crate) fn page(told: &Told<'_>) -> String {
    let run = told.run;
    let (class, word) = match run.verdict {
        Verdict::Green => ("good", "green"),
        Verdict::Red => ("bad", "red"),
        Verdict::Environment => ("odd", "not judged"),
        Verdict::Interrupted => ("odd", "interrupted"),
    };
    let commit = run.commit.as_deref().map_or_else(String::new, |commit| {
        let dirty = if run.dirty { " with changes" } else { "" };
        format!(
            "<div><dt>Commit</dt><dd><code>{}</code>{dirty}</dd></div>",
            text(commit.get(..12).unwrap_or(commit))
        )
    });
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{word}: cargo xtask {command}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1><span class=\"verdict {class}\">{word}</span> <code>cargo xtask {command}</code></h1>\n<p>{counts}</p>\n<dl>\n<div><dt>Took</dt><dd>{took}</dd></div>\n<div><dt>Started</dt><dd><time datetime=\"{started}\">{shown}</time></dd></div>\n{commit}\n</dl>\n</header>\n<main>\n",
        command = text(run.command),
        counts = text(&counts(run)),
        took = took(run.duration_ms),
        started = text(&run.started_at),
        shown = text(&moment(&run.started_at)),
    );
    if !run.findings.is_empty() {
        let items: String = run.findings.iter().map(item).collect();
        page += &format!("<section class=\"found odd\"><h2>The run</h2>\n<ul>\n{items}</ul>\n</section>\n");
    }
    page += &timeline::section(told);
    page += &found(told);
    page + "</main>\n</body>\n</html>\n"
}

/// How a step's status is shown: class, sign and word. The sign is decoration, the word carries the meaning.
fn status(status: Status) -> (&'static str, &'static str, &'static str) {
    match status {
        Status::Passed => ("good", "✓", "passed"),
        Status::Failed => ("bad", "✗", "failed"),
        Status::Cached => ("kept", "✓", "cached"),
        Status::Skipped => ("quiet", "–", "skipped"),
        Status::Cancelled => ("quiet", "■", "cancelled"),
        Status::Environment => ("odd", "!", "not judged"),
    }
}

/// A section for every step that has something to say.
fn found(told: &Told<'_>) -> String {
    let mut sections = String::new();
    for step in &told.run.steps {
        let bad = matches!(step.status, Status::Failed | Status::Environment);
        if bad || !step.findings.is_empty() {
            sections += &section(told, step);
        }
    }
    if sections.is_empty() { "<p class=\"none\">Nothing was found.</p>\n".into() } else { sections }
}

fn section(told: &Told<'_>, step: &StepRecord) -> String {
    let (class, sign, word) = status(step.status);
    let name = text(step.name);
    let mut html = format!(
        "<section id=\"{name}\" class=\"found {class}\">\n<h2><span aria-hidden=\"true\">{sign}</span> {name} <small>{word}</small></h2>\n"
    );
    if !step.findings.is_empty() {
        html += "<ul>\n";
        step.findings.iter().for_each(|it| html += &item(it));
        html += "</ul>\n";
    }
    if let Some(output) = told.outputs.get(step.name) {
        let lines: Vec<String> = output.trim_matches('\n').lines().map(readable).collect();
        // Writing to a string cannot fail.
        write!(html, "<details open>\n<summary>What the tool said</summary>\n<pre tabindex=\"0\">{}</pre>\n</details>\n", text(&lines.join("\n"))).ok();
    }
    if matches!(step.status, Status::Failed | Status::Environment) {
        html += "<dl class=\"help\">\n";
        html += &help("Reproduce", &again(told.again, told.run.command, step.name));
        html += &step.fix.as_deref().map(|it| help("Fix", it)).unwrap_or_default();
        if !step.log.is_empty() {
            html += &help("Log", &step.log);
        }
        html += "</dl>\n";
    }
    html + "</section>\n"
}

fn help(word: &str, command: &str) -> String {
    format!("<div><dt>{word}</dt><dd><code>{}</code></dd></div>\n", text(command))
}

fn item(finding: &Finding) -> String {
    let (class, level) = match finding.level {
        Level::Error => ("bad", "error"),
        Level::Warning => ("odd", "warning"),
        Level::Info => ("quiet", "info"),
    };
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!(" <code class=\"place\">{}:{line}</code>", text(file)),
        (Some(file), None) => format!(" <code class=\"place\">{}</code>", text(file)),
        _ => String::new(),
    };
    let fix = finding.fix.as_deref().map(|it| format!("<p class=\"fix\">Fix: <code>{}</code></p>", text(it)));
    format!(
        "<li><span class=\"level {class}\">{level}</span> <code>{}</code>{place}<p>{}</p>{}</li>\n",
        text(&finding.code),
        prose(&finding.message),
        fix.unwrap_or_default()
    )
}

/// `2026-11-21T09:54:20.396Z` as people read it.
fn moment(time: &str) -> String {
    time.split_once('.').map_or(time, |it| it.0).replacen('T', " ", 1) + " UTC"
}

/// A sentence in which backticks mark what is typed.
fn prose(sentence: &str) -> String {
    let pieces: Vec<&str> = sentence.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return text(sentence);
    }
    let tag = |(index, piece): (usize, &&str)| {
        if index % 2 == 1 { format!("<code>{}</code>", text(piece)) } else { text(piece) }
    };
    pieces.iter().enumerate().map(tag).collect()
}

/// Text in HTML, in an element or in an attribute with quotes.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
