//! A process beside the run: when the run is killed, what it started is ended all the same.
//!
//! It reads `+GROUP` and `-GROUP` lines from the run, one for each child that starts or ends. The end of its input is
//! the end of the run, however that came.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead as _, Write as _},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use std::os::unix::process::CommandExt as _;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How the binary is told to be the watchdog.
pub(crate) const ARGUMENT: &str = "watchdog";
/// How long what was left behind has to clean up after itself.
const GRACE: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(20);

static WATCHDOG: Mutex<Watchdog> = Mutex::new(Watchdog { lock: None, child: None });

/// The process, once there is one, and what it is to hold.
struct Watchdog {
    lock: Option<File>,
    child: Option<Child>,
}

/// Starts the watchdog, unless it runs: before the first child, so that no time goes by until it is told of it.
pub(crate) fn ready() {
    drop(running());
}

/// Has the watchdog hold the lock of the run as well, so that whoever comes after a killed run waits until what that run
/// left has ended, and sees no half of its work. A run that starts no child needs none.
///
/// # Errors
/// When the watchdog cannot be started.
pub(crate) fn hold(lock: &File) -> io::Result<()> {
    let mut watchdog = slot();
    watchdog.lock = Some(lock.try_clone()?);
    if watchdog.child.is_some() {
        // One that was started before the lock was taken ends with its input: it has no child to look after.
        watchdog.child = Some(watchdog.start()?);
    }
    Ok(())
}

/// Tells the watchdog of a process group that began (`+`) or ended (`-`).
pub(crate) fn tell(sign: char, group: Pid) {
    if let Some(stdin) = running().child.as_mut().and_then(|it| it.stdin.as_mut()) {
        writeln!(stdin, "{sign}{}", group.as_raw_nonzero()).ok();
    }
}

fn running() -> MutexGuard<'static, Watchdog> {
    let mut watchdog = slot();
    if watchdog.child.is_none() {
        watchdog.child = watchdog.start().ok();
    }
    watchdog
}

/// A thread that panicked with the lock leaves nothing half-done here.
fn slot() -> MutexGuard<'static, Watchdog> {
    WATCHDOG.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What the watchdog does: waits for the end of the run, then ends what still runs.
pub(crate) fn watch() {
    let mut groups = HashSet::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let group = line.get(1..).and_then(|it| it.parse().ok()).and_then(Pid::from_raw);
        match (line.chars().next(), group) {
            (Some('+'), Some(group)) => drop(groups.insert(group)),
            (Some('-'), Some(group)) => drop(groups.remove(&group)),
            _ => {}
        }
    }
    groups.iter().for_each(|group| kill_process_group(*group, Signal::INT).unwrap_or_default());
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && groups.iter().any(|group| test_kill_process_group(*group).is_ok()) {
        thread::sleep(POLL);
    }
    groups.iter().for_each(|group| kill_process_group(*group, Signal::KILL).unwrap_or_default());
}

impl Watchdog {
    /// In a group of its own, so that neither Ctrl-C nor the run's end reaches it. It writes nothing: its output is only a
    /// place for what it is to hold.
    fn start(&self) -> io::Result<Child> {
        let held = match &self.lock {
            Some(lock) => Stdio::from(lock.try_clone()?),
            None => Stdio::null(),
        };
        Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .current_dir("/")
            .env_clear()
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(held)
            .stderr(Stdio::null())
            .spawn()
    }
}
