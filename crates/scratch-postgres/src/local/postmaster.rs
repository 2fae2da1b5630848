//! The server process: started, waited for, and ended.

use std::{
    fs::{self, File},
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    error::Lack,
    local::{binaries::Binaries, directory::Private, lack, user::Launcher},
    server::Halt,
};

/// How long a server may take until it can be used.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to end before it is killed.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// How long a fast end may take, which writes everything down, before it is hurried.
const HALT_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(3);

/// A running server. Dropping it ends it at once: nobody wants its data.
#[derive(Debug)]
pub(super) struct Postmaster {
    process: Child,
}

impl Postmaster {
    /// Starts the server and waits until it takes connections.
    pub(super) fn start(binaries: &Binaries, launcher: &Launcher, private: &Private) -> Result<Self, Lack> {
        let io = |e: std::io::Error| lack(format!("cannot start the server: {e}"), "try again");
        let log = File::create(private.log()).map_err(io)?;
        let process = launcher
            .command(&binaries.postgres(), "QUIT")
            .arg("-D")
            .arg(private.data())
            .arg("-k")
            .arg(private.socket())
            .stdout(log.try_clone().map_err(io)?)
            .stderr(log)
            .spawn()
            .map_err(io)?;
        let mut postmaster = Self { process };
        postmaster.wait_until_ready(private)?;
        Ok(postmaster)
    }

    /// Ends it. One that waits for its clients to go is given back.
    pub(super) fn halt(mut self, how: Halt) -> Option<Self> {
        let signal = match how {
            Halt::Smart => Signal::TERM,
            Halt::Fast => Signal::INT,
            Halt::Immediate => Signal::QUIT,
        };
        self.signal(signal);
        if how == Halt::Smart {
            return Some(self);
        }
        let deadline = Instant::now() + HALT_DEADLINE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        None
    }

    fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| matches!(self.process.try_wait(), Ok(None))) {
            kill_process(pid, signal).unwrap_or_default();
        }
    }

    fn wait_until_ready(&mut self, private: &Private) -> Result<(), Lack> {
        let deadline = Instant::now() + READY_DEADLINE;
        while !says_ready(&private.data()) {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(died(&status.to_string(), &private.log()));
            }
            if Instant::now() > deadline {
                return Err(died("still not ready after a minute", &private.log()));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_DEADLINE;
        self.signal(Signal::QUIT);
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                self.process.kill().unwrap_or_default();
            }
            thread::sleep(POLL);
        }
    }
}

/// Whether the server of a data directory runs: it is known by its working directory.
pub(super) fn runs(data: &Path) -> bool {
    let told = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let number = told.lines().next().unwrap_or_default().trim();
    !number.is_empty() && fs::read_link(format!("/proc/{number}/cwd")).is_ok_and(|cwd| cwd == data)
}

/// The last line of `postmaster.pid` is how the server tells those who started it.
pub(super) fn says_ready(data: &Path) -> bool {
    let told = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    told.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

pub(super) fn died(how: &str, log: &Path) -> Lack {
    let text = fs::read_to_string(log).unwrap_or_default();
    let fix = if text.contains("No space left on device") {
        "free 100 MB there, or set `XTASK_POSTGRES_DIR` to a place with room"
    } else {
        "mend what its log names, or set `XTASK_POSTGRES=container`"
    };
    lack(format!("the server did not start ({how})"), fix).with_log(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_dies_at_start_is_told_with_the_end_of_its_log() {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let log = scratch.path().join("log");
        let lines: Vec<String> = (1..9).map(|i| format!("LOG:  line {i}")).collect();
        fs::write(&log, format!("{}\nFATAL:  could not write: No space left on device\n", lines.join("\n")))
            .expect("a file");
        insta::assert_snapshot!(died("exit status: 1", &log), @"
        local: the server did not start (exit status: 1); free 100 MB there, or set `XTASK_POSTGRES_DIR` to a place with room
            | LOG:  line 4
            | LOG:  line 5
            | LOG:  line 6
            | LOG:  line 7
            | LOG:  line 8
            | FATAL:  could not write: No space left on device
        ");
    }
}
