//! What a set-up says while it works: plain lines, and a sign of life from whatever takes long.
#![expect(clippy::print_stderr, reason = "this is where the set-up talks; standard output is for events")]

use std::{
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
        eprintln!("{text}");
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
        let all = format!("{}\n{}", finished.stdout.trim_end(), finished.stderr.trim_end());
        let lines: Vec<&str> = all.lines().filter(|it| !it.trim().is_empty()).collect();
        let said = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        let log = self.log.path().to_owned();
        Err(SetupError::Failed { command: process.display(), said, log }.into())
    }

    /// Runs a command, says what is going on and how long it took.
    pub(super) fn attempt(&self, what: &str, process: &Process) -> anyhow::Result<Finished> {
        self.say(&format!("set-up: {what}"));
        let began = Instant::now();
        let (ended, end) = mpsc::channel::<()>();
        let finished = thread::scope(|scope| {
            scope.spawn(move || {
                while end.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                    eprintln!("set-up: still {what}, {} s", began.elapsed().as_secs());
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
