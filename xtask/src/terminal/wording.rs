//! What is said of a step and of a run, the same in every form; only colour and place differ.

use std::time::Duration;

use super::{
    paint::{Paint, Tone},
    text,
};
use crate::{
    compose,
    events::{RunRecord, StepRecord},
    outcome::{Finding, Level, Status, Verdict},
    release,
};

/// How much of a tool's own output is shown: how it began to go wrong, and what it said in the end. The log has all.
const FIRST_LINES: usize = 300;
const LAST_LINES: usize = 60;
/// A wait for a lock that is worth a word.
const WORTH_TELLING: Duration = Duration::from_millis(500);
/// What stands before what belongs to the line above.
const INDENT: &str = "    ";

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Usual,
    /// Each step's reason, and its output as it comes.
    Verbose,
}

/// The words for one run.
#[derive(Debug, Clone)]
pub(crate) struct Wording {
    /// What a person types in front of a step to run it again.
    pub(crate) again: String,
    pub(crate) paint: Paint,
    pub(crate) detail: Detail,
    /// Columns of the longest step's name.
    pub(crate) names: usize,
    /// Columns in which sentences are broken; a pipe has none, and its lines stay whole.
    pub(crate) columns: Option<usize>,
}

impl Wording {
    pub(crate) fn new(again: String, paint: Paint, detail: Detail) -> Self {
        Self { again, paint, detail, names: 0, columns: None }
    }

    /// A step that came to an end, its reason where that is the point, and for a failure what was found.
    pub(crate) fn step(&self, step: &StepRecord, output: Option<&str>) -> Vec<String> {
        let (tone, word, tail) = match step.status {
            Status::Passed => (Tone::Good, "ok", self.effort(step)),
            Status::Failed => (Tone::Bad, "FAILED", self.effort(step)),
            Status::Cached => (Tone::Kept, "cached", self.saved(step)),
            Status::Skipped => (Tone::Quiet, "skipped", step.reason.clone()),
            Status::Cancelled => (Tone::Quiet, "cancelled", step.reason.clone()),
            Status::Environment => (Tone::Odd, "UNJUDGED", step.reason.clone()),
        };
        let mut tail = tail.lines();
        let word = self.paint.tone(tone, &format!("{word:9}"));
        let head = format!("{:names$}  {word}  ", step.name, names = self.names);
        let indent = self.names + 13;
        let mut first = self.folded(tail.next().unwrap_or(""), indent).into_iter();
        let mut lines = vec![format!("{head}{}", first.next().unwrap_or_default()).trim_end().into()];
        lines.extend(first.map(|line| format!("{:indent$}{line}", "")));
        lines.extend(tail.map(|line| format!("{INDENT}{line}")));
        match output {
            _ if step.status == Status::Environment => {}
            Some(output) => {
                lines.extend(self.tool_output(output, &step.log));
                // The tool has told the errors in its own words; what else was found it has not.
                let rest = step.findings.iter().filter(|it| it.level != Level::Error);
                lines.extend(rest.flat_map(|it| self.finding(it)));
            }
            None => lines.extend(step.findings.iter().flat_map(|it| self.finding(it))),
        }
        lines
    }

    /// A line of a step's output, as it comes.
    pub(crate) fn output(&self, step: &str, line: &str) -> String {
        let mark = self.paint.tone(Tone::Quiet, &format!("{step:names$} |", names = self.names));
        format!("{mark} {}", text::readable(line)).trim_end().into()
    }

    /// How long it took, what of that was waiting, and on demand why it ran.
    fn effort(&self, step: &StepRecord) -> String {
        let mut said = took(step.duration_ms);
        if Duration::from_millis(step.waited_ms) >= WORTH_TELLING {
            said += &format!("  waited {}", took(step.waited_ms));
        }
        if self.detail == Detail::Verbose {
            said += &format!("  {}", step.reason);
        }
        said
    }

    /// What a kept verdict saved, by what the step itself took on this machine.
    fn saved(&self, step: &StepRecord) -> String {
        match (self.detail, step.saved_ms) {
            (Detail::Verbose, _) => step.reason.clone(),
            (Detail::Usual, 0) => String::new(),
            (Detail::Usual, saved) => format!("saved {}", took(saved)),
        }
    }

    fn tool_output(&self, output: &str, log: &str) -> Vec<String> {
        let lines: Vec<&str> = output.trim_matches('\n').lines().collect();
        let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
        let mut shown = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            if index < FIRST_LINES || index >= FIRST_LINES + left_out {
                shown.push(format!("{INDENT}{}", text::readable(line)).trim_end().into());
            } else if index == FIRST_LINES {
                let more = format!("… {left_out} more lines in {log} …");
                shown.push(format!("{INDENT}{}", self.paint.tone(Tone::Strong, &more)));
            }
        }
        shown
    }

    fn finding(&self, finding: &Finding) -> Vec<String> {
        let tone = match finding.level {
            Level::Error => Tone::Bad,
            Level::Warning => Tone::Odd,
            Level::Info => Tone::Quiet,
        };
        let text = finding.to_string();
        let mut lines = text.lines();
        let first = lines.next().map(|it| self.paint.tone(tone, &text::readable(it)));
        let rest = lines.map(text::readable).flat_map(|line| {
            let sentence = line.trim_start();
            let indent = INDENT.len() + line.len() - sentence.len();
            let pieces = self.folded(sentence, indent).into_iter();
            pieces.map(move |it| format!("{:indent$}{it}", "")).collect::<Vec<_>>()
        });
        first
            .map(|it| format!("{INDENT}{it}"))
            .into_iter()
            .chain(rest)
            .map(|it| it.trim_end().into())
            .collect()
    }

    /// A sentence in the lines that the screen has room for.
    fn folded(&self, sentence: &str, indent: usize) -> Vec<String> {
        match self.columns {
            Some(columns) => text::folded(sentence, indent, columns),
            None => vec![sentence.into()],
        }
    }

    /// The end of a run: what to type about each step that is not green, and the verdict with its counts.
    pub(crate) fn end(&self, run: &RunRecord) -> Vec<String> {
        let mut lines = vec![String::new()];
        for step in &run.steps {
            if matches!(step.status, Status::Failed | Status::Environment) {
                lines.extend(self.helps(run.command, step));
            }
        }
        for line in run.findings.iter().flat_map(|it| self.finding(it)) {
            lines.push(line.strip_prefix(INDENT).unwrap_or(&line).into());
        }
        let (tone, word) = match run.verdict {
            Verdict::Green => (Tone::Good, "green"),
            Verdict::Red => (Tone::Bad, "RED"),
            Verdict::Environment if run.steps.iter().any(StepRecord::is_misused) => {
                (Tone::Odd, "NOT JUDGED: nothing can be run that way")
            }
            Verdict::Environment => (Tone::Odd, "NOT JUDGED: this machine lacks something"),
            Verdict::Interrupted => (Tone::Odd, "INTERRUPTED"),
        };
        let word = self.paint.tone(tone, word);
        lines.push(format!("{word}  {}  {}", counts(run), took(run.duration_ms)));
        lines
    }

    /// What to type about a step that is not green.
    fn helps(&self, command: &str, step: &StepRecord) -> Vec<String> {
        if step.is_misused() {
            // What helps is in the words themselves.
            return Vec::new();
        }
        let word = if step.status == Status::Failed { "failed" } else { "could not be judged" };
        let mut lines = vec![format!("{} {word}", self.paint.tone(Tone::Strong, step.name))];
        if !step.log.is_empty() {
            lines.push(format!("{INDENT}log        {}", step.log));
        }
        if !release::steps::is_one(step.name) {
            lines.push(format!("{INDENT}reproduce  {}", again(&self.again, command, step.name)));
        }
        lines.extend(step.fix.iter().map(|fix| format!("{INDENT}fix        {fix}")));
        lines
    }
}

/// What a person types to run a step again; the services of a stack are not run by themselves.
pub(crate) fn again(gate: &str, command: &str, step: &str) -> String {
    match (command, gate.strip_suffix("ci")) {
        (compose::COMMAND, Some(tool)) => format!("{tool}{}", compose::typed()),
        _ => format!("{gate} {step}"),
    }
}

/// How many steps came to what, such as `7 passed, 1 failed`.
pub(crate) fn counts(run: &RunRecord) -> String {
    let count = |status| run.steps.iter().filter(|it| it.status == status).count();
    let counts = [
        (count(Status::Passed), "passed"),
        (count(Status::Cached), "cached"),
        (count(Status::Failed), "failed"),
        (count(Status::Environment), "could not be judged"),
        (count(Status::Skipped), "skipped"),
        (count(Status::Cancelled), "cancelled"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|it| it.0 > 0).map(|(count, word)| format!("{count} {word}")).collect();
    counts.join(", ")
}

/// A duration as people say it: `0.3 s`, `2 min 06 s`, `1 h 04 min`.
pub(crate) fn took(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, ms % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The same where it changes under the reader's eyes: whole seconds.
pub(crate) fn so_far(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => took(seconds * 1000),
    }
}
