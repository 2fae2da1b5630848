//! What a set-up says while it works: plain lines, and a sign of life from whatever takes long.

use std::{
    io::{self, Write as _},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::SetupError;
use crate::process::{Finished, Log, Process};

/// How long a command may be silent before a line says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many lines of a failed command are shown.
const SHOWN_LINES: usize = 20;

/// Where a set-up talks to: the terminal, and the log that has everything.
#[derive(Debug)]
pub(super) struct Progress {
    log: Log,
}

impl Progress {
    pub(super) fn new(log: Log) -> Self {
        Self { log }
    }

    /// One line.
    pub(super) fn say(&self, text: &str) {
        self.log.line(text);
        tell(text);
    }

    /// Runs a command that has to succeed.
    ///
    /// # Errors
    /// [`SetupError::Failed`] with the end of what it said.
    pub(super) fn run(&self, what: &str, process: &Process) -> anyhow::Result<Finished> {
        let finished = self.attempt(what, process)?;
        if finished.success() {
            return Ok(finished);
        }
        Err(self.failed(&process.display(), &finished).into())
    }

    /// A command that ended badly, with the end of what it said.
    pub(super) fn failed(&self, command: &str, finished: &Finished) -> SetupError {
        let all = format!("{}\n{}", finished.stdout.trim_end(), finished.stderr.trim_end());
        let lines: Vec<&str> = all.lines().filter(|it| !it.trim().is_empty()).collect();
        let said = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        SetupError::Failed { command: command.into(), said, log: self.log.path().to_owned() }
    }

    /// Runs a command, says what is going on and how long it took.
    pub(super) fn attempt(&self, what: &str, process: &Process) -> anyhow::Result<Finished> {
        self.say(&format!("set-up: {what}"));
        let began = Instant::now();
        let (ended, end) = mpsc::channel::<()>();
        let finished = thread::scope(|scope| {
            scope.spawn(move || {
                while end.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                    tell(&format!("set-up: still {what}, {} s", began.elapsed().as_secs()));
                }
            });
            let finished = process.clone().log(&self.log).run();
            drop(ended);
            finished
        })?;
        if finished.success() {
            self.say(&format!("set-up: done in {} s", began.elapsed().as_secs()));
        }
        Ok(finished)
    }
}

/// Standard output is for events; a terminal that is gone does not stop the work.
fn tell(text: &str) {
    drop(io::stderr().write_all(format!("{text}\n").as_bytes()));
}
