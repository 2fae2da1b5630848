//! A small process that outlives its holder: when the holder's end of a pipe closes, by whatever death, it takes away
//! what the holder left.
//!
//! It is a shell because it must not share the holder's fate: it has a process group of its own and ignores the
//! signals that a terminal sends. It is the one way in which things are removed, so it is exercised by every stop.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Waits for the end of its input, ends the postmaster of the directory in `$1` if it still runs, removes the directory.
/// A process counts by its working directory, so that a number used again harms nobody.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
while read -r _; do :; done
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
runs() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; }
runs "$1" && kill -QUIT "$pid"
tries=0
while runs "$1" && [ $tries -lt 250 ]; do tries=$((tries + 1)); sleep 0.02; done
runs "$1" && kill -KILL "$pid"
tries=0
while [ $tries -lt 100 ]; do tries=$((tries + 1)); rm -rf -- "$1" 2>/dev/null && exit 0; sleep 0.05; done
"#;

/// A guardian of one directory.
#[derive(Debug)]
pub(crate) struct Guardian {
    process: Child,
}

impl Guardian {
    /// Starts a guardian of a directory.
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        let process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "scratch-postgres-guardian"])
            .arg(directory)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .process_group(0)
            .stdin(Stdio::piped())
            // Nothing of the holder's may stay open: whoever reads its output waits for the end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process })
    }
}

impl Drop for Guardian {
    /// Lets it do its work and waits for it.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
