//! The run for people, in plain lines: one a step, a failure once in full, and what to type in the end.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    events::{Event, Listener, RunRecord, StepRecord},
    outcome::{Finding, Status, Verdict},
};

/// How much of a tool's own output is shown: how it began to go wrong, and what it said in the end. The log has all.
const FIRST_LINES: usize = 45;
const LAST_LINES: usize = 15;

/// Writes what happens as lines of text.
pub(crate) struct Plain<W> {
    out: W,
    width: usize,
    /// What a person types in front of a step to run it again.
    again: String,
}

impl<W: Write> Plain<W> {
    pub(crate) fn new(out: W, again: String) -> Self {
        Self { out, width: 0, again }
    }

    fn step(&mut self, step: &StepRecord, output: Option<&str>) -> io::Result<()> {
        let width = self.width;
        let (word, tail) = match step.status {
            Status::Passed => ("ok", took(step.duration_ms)),
            Status::Failed => ("FAILED", took(step.duration_ms)),
            Status::Cached => ("cached", String::new()),
            Status::Skipped => ("skipped", step.reason.clone()),
            Status::Cancelled => ("cancelled", step.reason.clone()),
            Status::Environment => ("UNJUDGED", step.reason.clone()),
        };
        let mut tail = tail.lines();
        writeln!(self.out, "{:width$}  {word:9}  {}", step.name, tail.next().unwrap_or_default())?;
        for line in tail {
            writeln!(self.out, "    {line}")?;
        }
        if step.status == Status::Environment {
            return Ok(());
        }
        match output {
            Some(output) => self.tool_output(output, &step.log),
            None => step.findings.iter().try_for_each(|it| self.finding(it)),
        }
    }

    fn tool_output(&mut self, output: &str, log: &str) -> io::Result<()> {
        let lines: Vec<&str> = output.trim_matches('\n').lines().collect();
        let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
        for (index, line) in lines.iter().enumerate() {
            if index < FIRST_LINES || index >= FIRST_LINES + left_out {
                writeln!(self.out, "    {line}")?;
            } else if index == FIRST_LINES {
                writeln!(self.out, "    … {left_out} more lines in {log} …")?;
            }
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        finding.to_string().lines().try_for_each(|line| writeln!(self.out, "    {line}"))
    }

    fn end(&mut self, run: &RunRecord) -> io::Result<()> {
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
        writeln!(self.out)?;
        for step in &run.steps {
            if matches!(step.status, Status::Failed | Status::Environment) {
                self.helps(step)?;
            }
        }
        let word = match run.verdict {
            Verdict::Green => "green",
            Verdict::Red => "RED",
            Verdict::Environment => "NOT JUDGED: this machine lacks something",
            Verdict::Interrupted => "INTERRUPTED",
        };
        writeln!(self.out, "{word}  {}  {}", counts.join(", "), took(run.duration_ms))
    }

    /// What to type about a step that is not green.
    fn helps(&mut self, step: &StepRecord) -> io::Result<()> {
        writeln!(self.out, "{}", step.name)?;
        if !step.log.is_empty() {
            writeln!(self.out, "    log        {}", step.log)?;
        }
        writeln!(self.out, "    reproduce  {} {}", self.again, step.name)?;
        match &step.fix {
            Some(fix) => writeln!(self.out, "    fix        {fix}"),
            None => Ok(()),
        }
    }
}

impl<W: Write> Plain<W> {
    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::RunStarted { run } => {
                self.width = run.steps.iter().map(|it| it.name.len()).max().unwrap_or_default();
            }
            Event::StepStarted { .. }
            | Event::StepWaiting { .. }
            | Event::StepResumed { .. }
            | Event::StepOutput { .. }
            | Event::Tick => {}
            Event::StepFinished { step, output } => self.step(step, *output)?,
            Event::RunFinished { run } => {
                for step in run.steps.iter().filter(|it| it.status == Status::Cancelled && it.log.is_empty())
                {
                    self.step(step, None)?;
                }
                self.end(run)?;
            }
        }
        self.out.flush()
    }
}

impl<W: Write> Listener for Plain<W> {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        read_or_not(self.tell(event))
    }
}

/// Writes each event as one line of JSON.
pub(crate) struct Json<W>(pub(crate) W);

impl<W: Write> Listener for Json<W> {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        if matches!(event, Event::Tick | Event::StepOutput { .. }) {
            return Ok(());
        }
        let line = serde_json::to_string(event)?;
        read_or_not(writeln!(self.0, "{line}").and_then(|()| self.0.flush()))
    }
}

/// Whoever stopped reading does not stop the run: its verdict stands in the report.
fn read_or_not(told: io::Result<()>) -> anyhow::Result<()> {
    match told {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => Ok(told?),
    }
}

fn took(ms: u64) -> String {
    let duration = Duration::from_millis(ms);
    if duration.as_secs() < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}
