//! Ctrl-C and TERM: children are asked to end, then made to; a second signal does not wait.

use std::{
    io,
    process::Child,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::watchdog;

/// How long children have to clean up after the first signal.
const GRACE: Duration = Duration::from_secs(8);

static REQUESTED: AtomicBool = AtomicBool::new(false);
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Starts to listen for signals; call once, before any child.
pub(crate) fn listen() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if REQUESTED.swap(true, Ordering::SeqCst) {
                signal_all(Signal::KILL);
                continue;
            }
            signal_all(Signal::INT);
            thread::spawn(|| {
                thread::sleep(GRACE);
                signal_all(Signal::KILL);
            });
        }
    });
    Ok(())
}

/// Whether a signal has asked the run to end.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// A running child's process group, signalled as long as this value lives.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    pub(crate) fn register(child: &Child) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let (Some(pid), Ok(mut groups)) = (pid, GROUPS.lock()) {
            groups.push(pid);
            watchdog::tell('+', pid);
        }
        // A signal that came between the spawn and here found no group to signal.
        if let (Some(pid), true) = (pid, requested()) {
            signal(pid, Signal::INT);
        }
        Self(pid)
    }

    /// Ends the group at once.
    pub(crate) fn kill(&self) {
        if let Some(pid) = self.0 {
            signal(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(mut groups) = GROUPS.lock() {
            groups.retain(|it| Some(*it) != self.0);
            if let Some(pid) = self.0 {
                watchdog::tell('-', pid);
            }
        }
    }
}

fn signal_all(kind: Signal) {
    if let Ok(groups) = GROUPS.lock() {
        groups.iter().for_each(|&pid| signal(pid, kind));
    }
}

fn signal(pid: Pid, kind: Signal) {
    // A group that is gone already needs no signal.
    kill_process_group(pid, kind).ok();
}
