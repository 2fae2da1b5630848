//! Plain lines for pipes and jobs: one a step, a sign of life from long ones, and no escape codes.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    board::Board,
    job, read_or_not, text,
    wording::{Detail, Wording, so_far},
};
use crate::{
    events::{Event, Listener, RunRecord, StepRecord},
    outcome::Status,
};

/// How often a step that runs gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How many lines of a log a job's log repeats.
const LOG_LINES: usize = 2000;

/// Whether a step's log is part of what is written, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Groups {
    None,
    /// The logs lie below this root of the workspace.
    Folded(PathBuf),
}

/// Writes what happens as lines of text.
pub(crate) struct Lines<W> {
    out: W,
    wording: Wording,
    groups: Groups,
    board: Board,
    told: BTreeMap<&'static str, Instant>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W, wording: Wording, groups: Groups) -> Self {
        Self { out, wording, groups, board: Board::default(), told: BTreeMap::new() }
    }

    fn tell(&mut self, event: &Event<'_>, now: Instant) -> io::Result<()> {
        self.board.on(event, now);
        match event {
            Event::RunStarted { .. } => self.wording.names = self.board.names,
            Event::StepOutput { step, line } if self.wording.detail == Detail::Verbose => {
                let line = self.wording.output(step, line);
                self.lines(&[line])?;
            }
            Event::StepStarted { .. }
            | Event::StepWaiting { .. }
            | Event::StepResumed { .. }
            | Event::StepOutput { .. } => {}
            Event::Tick => self.signs_of_life(now)?,
            Event::StepFinished { step, output } => self.step(step, *output)?,
            Event::RunFinished { run } => self.end(run)?,
        }
        self.out.flush()
    }

    fn step(&mut self, step: &StepRecord, output: Option<&str>) -> io::Result<()> {
        let lines = self.wording.step(step, output);
        self.lines(&lines)?;
        if let Groups::Folded(root) = &self.groups {
            let log = root.join(&step.log);
            step.findings.iter().try_for_each(|it| writeln!(self.out, "{}", job::finding(step.name, it)))?;
            self.log(step, &log)?;
        }
        Ok(())
    }

    /// The step's whole log, folded; a job's files are gone when it ends.
    fn log(&mut self, step: &StepRecord, path: &Path) -> io::Result<()> {
        // A step that did not run has none.
        let text = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "{}", job::group(&format!("log of {}", step.name)))?;
        let left_out = lines.len().saturating_sub(LOG_LINES);
        if left_out > 0 {
            writeln!(self.out, "… {left_out} lines before …")?;
        }
        for line in &lines[left_out..] {
            writeln!(self.out, "{}", job::harmless(&text::readable(line)))?;
        }
        writeln!(self.out, "{}", job::END_GROUP)
    }

    fn signs_of_life(&mut self, now: Instant) -> io::Result<()> {
        for step in self.board.view(now).running {
            let last = self.told.get(step.name).copied();
            let silent = last.map_or(step.elapsed, |it| now.saturating_duration_since(it).min(step.elapsed));
            if silent >= HEARTBEAT {
                self.told.insert(step.name, now);
                let line = heartbeat(&step, self.wording.names);
                self.lines(&[line])?;
            }
        }
        Ok(())
    }

    fn end(&mut self, run: &RunRecord) -> io::Result<()> {
        let never = run.steps.iter().filter(|it| it.status == Status::Cancelled && it.log.is_empty());
        let mut lines: Vec<String> = never.flat_map(|it| self.wording.step(it, None)).collect();
        lines.extend(self.wording.end(run));
        if matches!(self.groups, Groups::Folded(_)) {
            run.findings.iter().try_for_each(|it| writeln!(self.out, "{}", job::finding("run", it)))?;
        }
        self.lines(&lines)
    }

    fn lines(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            match self.groups {
                Groups::None => writeln!(self.out, "{line}")?,
                Groups::Folded(_) => writeln!(self.out, "{}", job::harmless(line))?,
            }
        }
        Ok(())
    }
}

/// `test        still running, 2 min 10 s, last: …`.
fn heartbeat(step: &super::region::Running, names: usize) -> String {
    let last = text::readable(step.last.trim());
    let doing = match &step.waits {
        Some((on, since)) => format!("waiting for {on}, {}", so_far(*since)),
        None if last.is_empty() => format!("still running, {}", so_far(step.elapsed)),
        None => format!("still running, {}, last: {last}", so_far(step.elapsed)),
    };
    format!("{:names$}  {doing}", step.name)
}

impl<W: Write> Listener for Lines<W> {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        read_or_not(self.tell(event, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::paint::Paint;

    #[test]
    fn a_long_step_gives_a_sign_of_life_every_half_minute() {
        let wording = Wording::new("cargo xtask ci".into(), Paint::None, Detail::Usual);
        let mut lines = Lines::new(Vec::new(), wording, Groups::None);
        let run = crate::report::tests::run();
        let start = Instant::now();
        let mut at = |seconds: u64, event: Event<'_>| {
            lines.tell(&event, start + Duration::from_secs(seconds)).unwrap();
        };
        at(0, Event::RunStarted { run: &run });
        at(1, Event::StepStarted { step: "test" });
        at(2, Event::StepOutput { step: "test", line: "PASS [   0.1s] tiny one\n" });
        at(30, Event::Tick);
        at(31, Event::Tick);
        at(32, Event::Tick);
        at(60, Event::StepWaiting { step: "test", on: "cargo's lock on the build directory" });
        at(61, Event::Tick);
        let said = String::from_utf8(lines.out).unwrap();
        insta::assert_snapshot!(said, @"
        test        still running, 30 s, last: PASS [   0.1s] tiny one
        test        waiting for cargo's lock on the build directory, 1 s
        ");
    }
}
