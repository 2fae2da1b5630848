//! The lines at the bottom of the screen while a run goes on: what runs, what waits, how far the run is.
//!
//! A function from what is known to text; what matters least is left out first when the terminal is narrow.

use std::time::Duration;

use super::{
    paint::{Paint, Tone},
    text,
    wording::so_far,
};

/// The least columns in which a tool's last line still says something.
const WORTH_SHOWING: usize = 16;

/// A step that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) name: &'static str,
    pub(crate) elapsed: Duration,
    /// How long it took on this machine before, where that is known.
    pub(crate) usual: Option<Duration>,
    /// What it waits for, and since when; nothing while it works.
    pub(crate) waits: Option<(String, Duration)>,
    /// What its tool wrote last.
    pub(crate) last: String,
}

/// All that the region shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) running: Vec<Running>,
    pub(crate) done: usize,
    pub(crate) total: usize,
    pub(crate) failed: Vec<&'static str>,
    pub(crate) elapsed: Duration,
    /// What is left by this machine's own history, where all of it is known.
    pub(crate) left: Option<Duration>,
    pub(crate) interrupted: bool,
    /// Columns of the longest step's name.
    pub(crate) names: usize,
}

/// The region's lines for a screen of this size; none is wider than it.
pub(crate) fn lines(view: &View, columns: usize, rows: usize, paint: Paint) -> Vec<String> {
    // A row below is the cursor's.
    let room = rows.saturating_sub(1).max(1);
    let shown = view.running.len().min(room - 1);
    let hidden = view.running.len() - shown;
    let mut lines: Vec<String> =
        view.running[..shown].iter().map(|it| step(it, view.names, columns, paint)).collect();
    lines.push(summary(view, hidden, columns, paint));
    lines
}

/// `name  running  12 s of ~41 s  Checking store`, or `name  waiting  3 s for cargo's build directory`.
fn step(step: &Running, names: usize, columns: usize, paint: Paint) -> String {
    let name = format!("{:names$}", step.name);
    let (word, tone) = match step.waits {
        Some(_) => ("waiting  ", Tone::Odd),
        None => ("running  ", Tone::Kept),
    };
    let (time, rest) = match &step.waits {
        Some((on, since)) => (so_far(*since), format!("for {on}")),
        None => (so_far(step.elapsed), without_folder(&text::readable(step.last.trim())).to_owned()),
    };
    let usual = step.usual.filter(|_| step.waits.is_none()).map(|it| format!(" of ~{}", so_far(it)));
    let mut line = Line::new(columns, paint);
    line.push(&name, None);
    line.push(&format!("  {word}"), Some(tone));
    line.push(&format!("  {time}"), None);
    line.push_whole(&usual.unwrap_or_default(), Tone::Quiet);
    if line.left() >= WORTH_SHOWING + 2 {
        line.push(&format!("  {rest}"), step.waits.is_none().then_some(Tone::Quiet));
    }
    line.text
}

/// cargo names a crate's folder after its version, which has no room here.
fn without_folder(line: &str) -> &str {
    line.split_once(" (/").map_or(line, |(said, _)| said)
}

/// `3 of 7 done  failed: clippy  1 min 02 s  about 2 min left`.
fn summary(view: &View, hidden: usize, columns: usize, paint: Paint) -> String {
    let mut line = Line::new(columns, paint);
    line.push(&format!("{} of {} done", view.done, view.total), Some(Tone::Strong));
    if view.interrupted {
        line.push_whole("  ending; Ctrl-C again does not wait", Tone::Odd);
    }
    if !view.failed.is_empty() {
        let all = format!("  failed: {}", view.failed.join(", "));
        let count = format!("  {} failed", view.failed.len());
        line.push_whole(if text::columns(&all) <= line.left() { &all } else { &count }, Tone::Bad);
    }
    if hidden > 0 {
        line.push_whole(&format!("  and {hidden} more running"), Tone::Quiet);
    }
    line.push_whole(&format!("  {}", so_far(view.elapsed)), Tone::Quiet);
    let left = view.left.filter(|it| it.as_secs() > 0 && !view.interrupted);
    if let Some(left) = left {
        line.push_whole(&format!("  about {} left", so_far(left)), Tone::Quiet);
    }
    line.text
}

/// A line under construction that never gets wider than the screen.
struct Line {
    text: String,
    columns: usize,
    used: usize,
    paint: Paint,
}

impl Line {
    fn new(columns: usize, paint: Paint) -> Self {
        Self { text: String::new(), columns, used: 0, paint }
    }

    fn left(&self) -> usize {
        self.columns - self.used
    }

    /// Adds as much as fits.
    fn push(&mut self, text: &str, tone: Option<Tone>) {
        let text = text::cut(text, self.left());
        self.used += text::columns(&text);
        self.text += &tone.map_or_else(|| text.clone(), |tone| self.paint.tone(tone, &text));
    }

    /// Adds it where it fits whole, and leaves it out where not.
    fn push_whole(&mut self, text: &str, tone: Tone) {
        if text::columns(text) <= self.left() {
            self.push(text, Some(tone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn view() -> View {
        View {
            running: vec![
                Running {
                    name: "clippy",
                    elapsed: seconds(12),
                    usual: Some(seconds(41)),
                    waits: None,
                    last: "    \u{1b}[32mChecking\u{1b}[0m migration-gate v0.1.0 (/home/someone/slipway/crates/migration-gate)\n".into(),
                },
                Running {
                    name: "migrations",
                    elapsed: seconds(70),
                    usual: None,
                    waits: Some(("cargo's build directory".into(), seconds(65))),
                    last: String::new(),
                },
            ],
            done: 3,
            total: 7,
            failed: Vec::new(),
            elapsed: seconds(72),
            left: Some(seconds(130)),
            interrupted: false,
            names: 10,
        }
    }

    fn shown(view: &View, columns: usize, rows: usize) -> String {
        let lines = lines(view, columns, rows, Paint::None);
        for line in &lines {
            assert!(text::columns(line) <= columns, "{line}");
        }
        lines.join("\n")
    }

    #[test]
    fn eighty_columns_show_what_runs_what_waits_and_what_is_left() {
        insta::assert_snapshot!(shown(&view(), 80, 24), @"
        clippy      running    12 s of ~41 s  Checking migration-gate v0.1.0
        migrations  waiting    1 min 05 s  for cargo's build directory
        3 of 7 done  1 min 12 s  about 2 min 10 s left
        ");
    }

    #[test]
    fn fifty_columns_leave_out_what_matters_least() {
        insta::assert_snapshot!(shown(&view(), 50, 24), @"
        clippy      running    12 s of ~41 s
        migrations  waiting    1 min 05 s
        3 of 7 done  1 min 12 s  about 2 min 10 s left
        ");
    }

    #[test]
    fn the_narrowest_terminal_still_names_the_step() {
        insta::assert_snapshot!(shown(&view(), 12, 24), @"
        clippy     …
        migrations …
        3 of 7 done
        ");
        insta::assert_snapshot!(shown(&view(), 1, 24), @"
        …
        …
        …
        ");
        shown(&view(), 0, 0);
    }

    #[test]
    fn a_low_terminal_keeps_the_summary_and_counts_what_it_hides() {
        insta::assert_snapshot!(shown(&view(), 80, 4), @"
        clippy      running    12 s of ~41 s  Checking migration-gate v0.1.0
        migrations  waiting    1 min 05 s  for cargo's build directory
        3 of 7 done  1 min 12 s  about 2 min 10 s left
        ");
        insta::assert_snapshot!(shown(&view(), 80, 1), @"3 of 7 done  and 2 more running  1 min 12 s  about 2 min 10 s left");
    }

    #[test]
    fn a_failure_is_named_at_once_and_counted_where_the_names_do_not_fit() {
        let view = View { failed: vec!["clippy", "test", "migrations"], ..view() };
        insta::assert_snapshot!(shown(&view, 80, 3), @"
        clippy      running    12 s of ~41 s  Checking migration-gate v0.1.0
        3 of 7 done  failed: clippy, test, migrations  and 1 more running  1 min 12 s
        ");
        insta::assert_snapshot!(shown(&view, 40, 3), @"
        clippy      running    12 s of ~41 s
        3 of 7 done  3 failed  1 min 12 s
        ");
    }

    #[test]
    fn a_run_that_was_asked_to_end_says_how_to_end_it_at_once() {
        let view = View { interrupted: true, ..view() };
        insta::assert_snapshot!(shown(&view, 80, 3), @"
        clippy      running    12 s of ~41 s  Checking migration-gate v0.1.0
        3 of 7 done  ending; Ctrl-C again does not wait  and 1 more running  1 min 12 s
        ");
    }

    #[test]
    fn colour_changes_nothing_of_the_text() {
        let strip = |line: &String| text::readable(line);
        let coloured: Vec<String> = lines(&view(), 80, 24, Paint::Colours).iter().map(strip).collect();
        assert_eq!(coloured, lines(&view(), 80, 24, Paint::None));
    }
}
