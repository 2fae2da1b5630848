//! What a set-up says while it works: plain lines, and a sign of life from whatever takes long.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    process::{ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::SetupError;
use crate::{
    interrupt,
    process::{Finished, Log, Process, ProcessError},
};

/// How long a command may be silent before a line says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon an interrupt is answered with a line.
const GLANCE: Duration = Duration::from_millis(200);
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

    /// Runs a command, says what is going on and how long it took.
    pub(super) fn attempt(&self, what: &str, process: &Process) -> anyhow::Result<Finished> {
        let finished = self.alive(what, None, || process.clone().log(&self.log).run())?;
        Ok(finished)
    }

    /// Runs a command that must not be stopped half-way and has to succeed: no signal reaches it, and an interrupt is
    /// heeded once it has ended. `shown` is what it is for people.
    ///
    /// # Errors
    /// [`SetupError::Failed`] with the end of what it said, [`ProcessError::Interrupted`] after an interrupt.
    pub(super) fn run_to_its_end(
        &self,
        what: &str,
        shown: &str,
        process: &Process,
        input: &str,
    ) -> anyhow::Result<()> {
        if interrupt::requested() {
            return Err(ProcessError::Interrupted.into());
        }
        // A file and no pipe: it has to get on with its work when nobody reads any more.
        let log = self.log.path().with_extension("packages.log");
        let output = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let errors = output.try_clone().context("cannot share a log")?;
        let mut child = process.spawn(Stdio::piped(), output.into(), errors.into())?;
        let status = self.alive(what, Some("brings to its end what has begun, then stops"), || {
            if let Some(mut stdin) = child.stdin.take() {
                // One that does not read ends badly by itself.
                drop(stdin.write_all(input.as_bytes()));
            }
            child.wait()
        });
        let status: ExitStatus = status.with_context(|| format!("cannot wait for `{shown}`"))?;
        if interrupt::requested() {
            return Err(ProcessError::Interrupted.into());
        }
        if status.success() {
            return Ok(());
        }
        let said = fs::read(&log).with_context(|| format!("cannot read `{}`", log.display()))?;
        let said = last_lines(&String::from_utf8_lossy(&said));
        Err(SetupError::Failed { command: shown.into(), said, log }.into())
    }

    /// A command that ended badly, with the end of what it said.
    pub(super) fn failed(&self, command: &str, finished: &Finished) -> SetupError {
        let said = last_lines(&format!("{}\n{}", finished.stdout, finished.stderr));
        SetupError::Failed { command: command.into(), said, log: self.log.path().to_owned() }
    }

    /// Says that the work begins, that it goes on, and how long it took; `interrupted` is what an interrupt does to it.
    fn alive<T>(&self, what: &str, interrupted: Option<&str>, work: impl FnOnce() -> T) -> T {
        self.say(&format!("set-up: {what}"));
        let began = Instant::now();
        let (ended, end) = mpsc::channel::<()>();
        let done = thread::scope(|scope| {
            scope.spawn(move || {
                let mut answer = interrupted;
                let mut next = HEARTBEAT;
                while end.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                    if interrupt::requested()
                        && let Some(answer) = answer.take()
                    {
                        tell(&format!("set-up: interrupted; {answer}"));
                    }
                    if began.elapsed() >= next {
                        next += HEARTBEAT;
                        tell(&format!("set-up: still {what}, {} s", began.elapsed().as_secs()));
                    }
                }
            });
            let done = work();
            drop(ended);
            done
        });
        self.log.line(&format!("set-up: {what} took {} s", began.elapsed().as_secs()));
        done
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|it| !it.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Standard output is for events; a terminal that is gone does not stop the work.
fn tell(text: &str) {
    drop(io::stderr().write_all(format!("{text}\n").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(folder: &std::path::Path) -> Progress {
        Progress::new(Log::create(&folder.join("setup.log")).unwrap())
    }

    #[test]
    fn what_is_run_to_its_end_gets_its_input_and_a_failure_shows_only_its_own_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let progress = progress(folder.path());
        let shell = Process::new("sh").arg("-s");
        progress.run_to_its_end("trying", "try", &shell, "echo first\n").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("setup.packages.log")).unwrap(), "first\n");
        let error = progress
            .run_to_its_end("trying", "try", &shell, "echo second; exit 4\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("`try` failed") && error.ends_with("\nsecond"), "{error}");
    }

    #[test]
    fn of_a_long_story_the_end_is_shown() {
        let story: String = (1..=100).map(|it| format!("line {it}\n\n")).collect();
        let shown = last_lines(&story);
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.ends_with("line 100"));
    }
}
