//! JUnit: nextest's own results where the tests ran, and beside them a suite with a case for every step.

use std::fmt::Write as _;

use super::Told;
use crate::{events::StepRecord, outcome::Status, terminal::readable};

/// The suite of the steps, put in front of nextest's suites where there are any.
pub(crate) fn report(told: &Told<'_>, tests: Option<&str>) -> String {
    let steps = suite(told);
    let nextest = tests.and_then(Suites::parse);
    let own = Counts::of(told);
    let (counts, suites) = match &nextest {
        Some(it) => (own.with(&it.counts), it.suites),
        None => (own, ""),
    };
    let seconds = seconds(told.run.duration_ms);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" timestamp=\"{}\" time=\"{seconds}\">\n{steps}{}\n</testsuites>\n",
        attribute(&format!("cargo xtask {}", told.run.command)),
        counts.tests,
        counts.failures,
        counts.errors,
        attribute(&told.run.started_at),
        suites.trim_matches('\n'),
    )
}

fn suite(told: &Told<'_>) -> String {
    let counts = Counts::of(told);
    let skipped = told.run.steps.iter().filter(|it| is_skipped(it.status)).count();
    let mut text = format!(
        "    <testsuite name=\"steps\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\" time=\"{}\">\n",
        counts.tests,
        counts.failures,
        counts.errors,
        seconds(told.run.duration_ms),
    );
    for step in &told.run.steps {
        case(&mut text, step, told.outputs.get(step.name).map(String::as_str));
    }
    text + "    </testsuite>\n"
}

fn case(text: &mut String, step: &StepRecord, output: Option<&str>) {
    let lane = format!("{:?}", step.lane).to_lowercase();
    let begin = format!(
        "        <testcase classname=\"{lane}\" name=\"{}\" time=\"{}\"",
        attribute(step.name),
        seconds(step.duration_ms)
    );
    let findings: Vec<String> = step.findings.iter().map(ToString::to_string).collect();
    let said = output.map_or_else(|| findings.join("\n"), ToOwned::to_owned);
    let said = element(said.trim_end());
    let first = step.findings.first().map_or("", |it| it.message.lines().next().unwrap_or_default());
    let inside = match step.status {
        Status::Failed => {
            let code = step.findings.first().map_or("failed", |it| it.code.as_str());
            format!("<failure type=\"{}\" message=\"{}\">{said}</failure>", attribute(code), attribute(first))
        }
        Status::Environment => {
            format!("<error type=\"environment\" message=\"{}\">{said}</error>", attribute(&step.reason))
        }
        status if is_skipped(status) => format!("<skipped message=\"{}\"/>", attribute(&step.reason)),
        _ if said.is_empty() => String::new(),
        _ => format!("<system-out>{said}</system-out>"),
    };
    // Writing to a string cannot fail.
    if inside.is_empty() {
        writeln!(text, "{begin}/>").ok();
    } else {
        writeln!(text, "{begin}>\n            {inside}\n        </testcase>").ok();
    }
}

fn is_skipped(status: Status) -> bool {
    matches!(status, Status::Skipped | Status::Cancelled)
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    tests: u64,
    failures: u64,
    errors: u64,
}

impl Counts {
    fn of(told: &Told<'_>) -> Self {
        let count = |status| told.run.steps.iter().filter(|it| it.status == status).count() as u64;
        Self {
            tests: told.run.steps.len() as u64,
            failures: count(Status::Failed),
            errors: count(Status::Environment),
        }
    }

    fn with(self, other: &Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
        }
    }
}

/// nextest's file, taken apart at its root element.
struct Suites<'a> {
    counts: Counts,
    /// What stands inside the root.
    suites: &'a str,
}

impl<'a> Suites<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let begin = text.find("<testsuites")?;
        // nextest escapes `>` in attributes, so the first one ends the tag.
        let head_ends = begin + text[begin..].find('>')?;
        let ends = text.rfind("</testsuites>")?;
        let head = &text[begin..head_ends];
        let number = |name: &str| {
            let (_, rest) = head.split_once(&format!(" {name}=\""))?;
            rest.split('"').next()?.parse().ok()
        };
        let counts = Counts {
            tests: number("tests")?,
            failures: number("failures")?,
            errors: number("errors").unwrap_or_default(),
        };
        Some(Self { counts, suites: text.get(head_ends + 1..ends)? })
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn element(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(readable).collect();
    // XML has no place for these two, not even escaped.
    lines
        .join("\n")
        .replace(['\u{fffe}', '\u{ffff}'], "")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn attribute(text: &str) -> String {
    element(text).replace('"', "&quot;").replace('\n', "&#10;")
}
