//! The thread that holds a server: it starts it, waits to be told to stop, and takes everything away.
//!
//! The kernel's parent-death signal fires when the *thread* that spawned a child ends, so a child belongs to a thread
//! that lives exactly as long as the server.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use crate::{address::Address, error::Lack, options::Provider, server::Halt};

/// A server's thread. Dropping it stops the server and waits until everything is gone.
#[derive(Debug)]
pub(crate) struct Holder {
    /// Without it the server is no longer wanted.
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What a server's thread is given.
pub(crate) struct Task {
    /// Where the thread says that the server can be used, or why there is none.
    ready: oneshot::Sender<Result<Address, Lack>>,
    orders: mpsc::Receiver<Order>,
}

/// What a server that is wanted on is to do meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// End, and leave the data as they are.
    Halt(Halt),
    /// Run again.
    Resume,
}

/// An action, and where to say how it went.
pub(crate) struct Order {
    action: Action,
    done: oneshot::Sender<Result<(), Lack>>,
}

impl Task {
    /// Says that the server can be used, and does what it is told until the server is no longer wanted.
    pub(crate) fn serve(self, address: Address, mut obey: impl FnMut(Action) -> Result<(), Lack>) {
        if self.ready.send(Ok(address)).is_ok() {
            while let Ok(Order { action, done }) = self.orders.recv() {
                // Whoever gave the order may have gone.
                drop(done.send(obey(action)));
            }
        }
    }

    /// Says why there is no server.
    pub(crate) fn fail(self, lack: Lack) {
        drop(self.ready.send(Err(lack)));
    }
}

impl Holder {
    /// Runs `body` on a thread of its own until it says that its server can be used.
    pub(crate) async fn start(
        provider: Provider,
        body: impl FnOnce(Task) + Send + 'static,
    ) -> Result<(Self, Address), Lack> {
        let (ready, when_ready) = oneshot::channel();
        let (orders, taken) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(format!("scratch-postgres {provider}"))
            .spawn(move || body(Task { ready, orders: taken }))
            .map_err(|e| {
                Lack::new(provider, format!("cannot start a thread: {e}"), "raise the process limit")
            })?;
        let holder = Self { orders: Some(orders), thread: Some(thread) };
        let address = when_ready.await.unwrap_or_else(|_| {
            Err(Lack::new(provider, "its thread ended early", "report this with the lines above"))
        })?;
        Ok((holder, address))
    }

    /// Has the server do something; `None` when its thread is gone.
    pub(crate) async fn order(&self, action: Action) -> Option<Result<(), Lack>> {
        let (done, when_done) = oneshot::channel();
        self.orders.as_ref()?.send(Order { action, done }).ok()?;
        when_done.await.ok()
    }

    /// Stops the server without blocking the runtime.
    pub(crate) async fn stop(mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told so already.
            drop(tokio::task::spawn_blocking(move || drop(thread.join())).await);
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
