//! One run at a time in a checkout: the second waits and says for whom.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    time::Duration,
};

use anyhow::Context as _;

use crate::{context::Context, interrupt, process::ProcessError, watchdog};

/// Below `target/xtask`; held as long as a run goes on.
pub(crate) const FILE: &str = "lock";
const POLL: Duration = Duration::from_millis(100);

/// Held for a run. A run that is killed leaves it to the watchdog, which lets go once it has ended the run's children.
#[derive(Debug)]
pub(crate) struct RunLock {
    /// Whether another run held it first.
    pub(crate) waited: bool,
    file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The watchdog has the same lock and ends a moment after the run, which nobody is to wait for.
        self.file.unlock().ok();
    }
}

impl RunLock {
    /// Takes the lock, waiting for a run that holds it; `waiting` is told who that is, once.
    ///
    /// # Errors
    /// When the lock file cannot be used, or the wait is interrupted.
    pub(crate) fn take(cx: &Context, waiting: impl FnOnce(&str)) -> anyhow::Result<Self> {
        let path = cx.target().join(FILE);
        fs::create_dir_all(cx.target())
            .with_context(|| format!("cannot write `{}`", cx.shown(&cx.target())))?;
        let failed = || format!("cannot use `{}`", cx.shown(&path));
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.with_context(failed)?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Some(waiting) = waiting.take() {
                let mut holder = String::new();
                file.read_to_string(&mut holder).with_context(failed)?;
                waiting(holder.trim());
            }
            if interrupt::requested() {
                return Err(ProcessError::Interrupted.into());
            }
            std::thread::sleep(POLL);
        }
        file.set_len(0).and_then(|()| file.rewind()).with_context(failed)?;
        writeln!(file, "process {}", std::process::id()).with_context(failed)?;
        watchdog::hold(&file).context("cannot start the process that looks after the run's children")?;
        Ok(Self { waited: waiting.is_none(), file })
    }
}
