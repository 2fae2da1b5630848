//! The run as Markdown, for a job's summary and for pasting: a table of steps, then each failure with what to type.

use std::fmt::Write as _;

use super::Told;
use crate::{
    events::{RunRecord, StepRecord},
    outcome::{Finding, Status, Verdict},
    terminal::{again, counts, readable, took},
};

/// How many findings of one step are listed.
const FINDINGS: usize = 50;
/// How many lines of a tool's output are shown, the last ones.
const OUTPUT_LINES: usize = 120;

/// The summary, at most about `limit` bytes: what does not fit is left out from the end and named.
pub(crate) fn summary(told: &Told<'_>, limit: usize) -> String {
    let mut text = head(told.run);
    for step in &told.run.steps {
        if step.findings.is_empty() && !matches!(step.status, Status::Failed | Status::Environment) {
            continue;
        }
        let section = section(told, step);
        if text.len() + section.len() > limit {
            // Writing to a string cannot fail.
            writeln!(text, "\nMore does not fit here; `{}` has what `{}` found.", step.log, step.name).ok();
            break;
        }
        text += &section;
    }
    text
}

fn head(run: &RunRecord) -> String {
    let verdict = match run.verdict {
        Verdict::Green => "✅ green",
        Verdict::Red => "❌ red",
        Verdict::Environment => "⚠️ not judged: this machine lacks something",
        Verdict::Interrupted => "⏹ interrupted",
    };
    let mut text = format!("## {verdict}: `cargo xtask {}`\n\n{}", run.command, counts(run));
    text += &format!(" · {}", took(run.duration_ms));
    if let Some(commit) = &run.commit {
        let dirty = if run.dirty { " with changes" } else { "" };
        text += &format!(" · `{}`{dirty}", commit.get(..12).unwrap_or(commit));
    }
    if !run.findings.is_empty() {
        text += "\n\n";
        run.findings.iter().for_each(|it| text += &item(it));
    }
    text += "\n\n| step | | took | waited | why |\n|---|---|--:|--:|---|\n";
    for step in &run.steps {
        // Less is not worth a cell.
        let time = |ms: u64| if ms < 50 { String::new() } else { took(ms) };
        let row = [
            format!("`{}`", step.name),
            word(step.status).into(),
            time(step.duration_ms),
            time(step.waited_ms),
            cell(&step.reason),
        ];
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "✅ passed",
        Status::Failed => "❌ **failed**",
        Status::Cached => "✅ cached",
        Status::Skipped => "➖ skipped",
        Status::Cancelled => "⏹ cancelled",
        Status::Environment => "⚠️ **not judged**",
    }
}

fn section(told: &Told<'_>, step: &StepRecord) -> String {
    let mut text = format!("\n### {}: {}\n\n", code(step.name), word(step.status));
    for finding in step.findings.iter().take(FINDINGS) {
        text += &item(finding);
    }
    if step.findings.len() > FINDINGS {
        text += &format!("- … and {} more\n", step.findings.len() - FINDINGS);
    }
    if let Some(output) = told.outputs.get(step.name) {
        let lines: Vec<String> = output.trim_matches('\n').lines().map(readable).collect();
        let shown = &lines[lines.len().saturating_sub(OUTPUT_LINES)..];
        text +=
            &format!("\n<details><summary>output</summary>\n\n{}\n</details>\n", block(&shown.join("\n")));
    }
    if matches!(step.status, Status::Failed | Status::Environment) {
        let mut commands = vec![format!("{}   # again", again(told.again, told.run.command, step.name))];
        commands.extend(step.fix.iter().map(|fix| format!("{fix}   # mends it")));
        text += &format!("\n{}", block(&commands.join("\n")));
    }
    text
}

/// `- **code** file:line: message`, with what follows indented.
fn item(finding: &Finding) -> String {
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!(" {}", code(&format!("{file}:{line}"))),
        (Some(file), None) => format!(" {}", code(file)),
        _ => String::new(),
    };
    let mut lines = finding.message.lines().map(cell);
    let mut text = format!("- **{}**{place}: {}\n", cell(&finding.code), lines.next().unwrap_or_default());
    lines.for_each(|line| text += &format!("  {line}\n"));
    finding.fix.iter().for_each(|fix| text += &format!("  fix: {}\n", code(&fix.replace('\n', " "))));
    text
}

/// Text in a table or a list: nothing in it is markup or HTML, but for what stands in backticks.
fn cell(text: &str) -> String {
    let text = readable(&text.replace('\n', " "));
    let pieces: Vec<&str> = text.split('`').collect();
    let paired = pieces.len() % 2 == 1;
    let mut shown = Vec::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        let is_code = paired && index % 2 == 1;
        shown.push(if is_code { piece.replace('|', "\\|") } else { piece.chars().map(escaped).collect() });
    }
    shown.join(if paired { "`" } else { "\\`" })
}

fn escaped(c: char) -> String {
    match c {
        '<' => "&lt;".into(),
        '&' => "&amp;".into(),
        '|' | '*' | '[' | ']' | '\\' => format!("\\{c}"),
        c => c.into(),
    }
}

/// Inline code, also around backticks.
fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// A fenced block whose fence is longer than any in the text.
fn block(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{text}\n{fence}\n")
}
