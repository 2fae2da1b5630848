//! Stopping: the first TERM or INT asks everyone to finish, the deadline or a second signal ends it.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How far a service has got with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Serving,
    /// It says that it is not ready, but still accepts: whoever routes to it can notice.
    Unready,
    /// It accepts nothing new and finishes what is in flight.
    Draining,
}

/// A handle on the service's shutdown; clones are the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    in_flight: mpsc::WeakSender<()>,
}

/// Proof that something is in flight: the drain waits until each has been dropped.
#[derive(Debug)]
pub struct InFlight {
    _held: Option<mpsc::Sender<()>>,
}

/// The end of the drain: resolves when nothing is in flight any more.
#[derive(Debug)]
pub(crate) struct Drained {
    last: mpsc::Sender<()>,
    all_gone: mpsc::Receiver<()>,
}

impl Shutdown {
    /// A shutdown nobody has asked for yet.
    pub(crate) fn new() -> (Self, Drained) {
        let (last, all_gone) = mpsc::channel(1);
        let in_flight = last.downgrade();
        (Self { stage: watch::Sender::new(Stage::Serving), in_flight }, Drained { last, all_gone })
    }

    /// Where the service stands now.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Resolves when the service is to take up nothing new. Loops of background tasks `select!` on it.
    pub async fn draining(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Whether the service is to take up nothing new.
    pub fn is_draining(&self) -> bool {
        self.stage() >= Stage::Draining
    }

    /// Waits that long, or until the service is to take up nothing new: the pause of a loop of a background task.
    pub async fn pause(&self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.draining() => {}
        }
    }

    /// Holds the drain open until the value returned is dropped: work that is to be finished.
    pub fn in_flight(&self) -> InFlight {
        InFlight { _held: self.in_flight.upgrade() }
    }

    pub(crate) async fn reached(&self, stage: Stage) {
        let mut seen = self.stage.subscribe();
        // The sender is ours, so it cannot be gone.
        let _stage = seen.wait_for(|now| *now >= stage).await.map(|now| *now);
    }

    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = stage > *now;
            *now = stage.max(*now);
            later
        });
    }
}

impl Drained {
    pub(crate) async fn wait(mut self) {
        drop(self.last);
        while self.all_gone.recv().await.is_some() {}
    }
}

/// Listens for TERM and INT; `delay` is how long the service still accepts after the first.
pub(crate) fn watch_signals(shutdown: Shutdown, delay: Duration) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => ("TERM", 128 + 15),
            _ = interrupt.recv() => ("INT", 128 + 2),
        }
    };
    tokio::spawn(async move {
        let (name, _) = next().await;
        tracing::info!(signal = name, "stopping");
        shutdown.advance(Stage::Unready);
        let unready = shutdown.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            unready.advance(Stage::Draining);
        });
        let (name, code) = next().await;
        tracing::warn!(signal = name, "second signal, stopping at once");
        std::process::exit(code);
    });
    Ok(())
}
