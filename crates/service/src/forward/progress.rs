//! Tells an upstream that does not answer from a client that is still sending.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// How far the request's body has got.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

/// A request body that notes its progress.
pub(super) struct WatchedBody {
    inner: Body,
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The upstream has had something to do since then.
    UpstreamSince(Instant),
    /// The client has to send the next piece; how long it may take is the body's own limit.
    Client,
    /// What the client sent is not what it announced, or ended early.
    Failed,
}

impl WatchedBody {
    pub(super) fn watch(inner: Body) -> (Body, Progress) {
        let progress = Progress(Arc::new(Mutex::new(State::UpstreamSince(Instant::now()))));
        (Body::new(Self { inner, progress: progress.clone() }), progress)
    }
}

impl Progress {
    /// Resolves when the upstream has left the request alone for `timeout`: neither taken more of it nor answered.
    pub(super) async fn stalled(&self, timeout: Duration) {
        loop {
            let due = match self.state() {
                State::UpstreamSince(since) => since + timeout,
                State::Client | State::Failed => Instant::now() + timeout,
            };
            tokio::time::sleep_until(due).await;
            if matches!(self.state(), State::UpstreamSince(since) if since + timeout <= Instant::now()) {
                return;
            }
        }
    }

    /// Whether it was the client's own body that failed.
    pub(super) fn failed(&self) -> bool {
        matches!(self.state(), State::Failed)
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.progress.note(match &polled {
            Poll::Ready(Some(Err(_))) => State::Failed,
            Poll::Ready(_) => State::UpstreamSince(Instant::now()),
            Poll::Pending => State::Client,
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
