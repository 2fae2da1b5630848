//! The access log: one line per request, written when its answer has left, or when it became clear that it will not.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::Method;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tracing::Span;

use crate::figures::{self, CLIENT_GONE, Requests};
use crate::health;
use crate::server::Answering;

/// One request's line, written when it is dropped.
pub(crate) struct Entry {
    span: Span,
    kind: figures::Kind,
    client: Option<IpAddr>,
    started: Instant,
    answered_after: Duration,
    status: Option<u16>,
    received: Received,
    sent_bytes: u64,
    end: End,
    figures: Requests,
    is_head: bool,
    _answering: Option<Answering>,
}

/// How much of a request's body has arrived. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicU64>);

/// How the answer's body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Reached,
    NotReached,
}

/// An answer's body that knows its line.
struct LoggedBody {
    inner: Body,
    entry: Entry,
}

impl Received {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Entry {
    pub(crate) fn open(request: &mut Request, kind: figures::Kind, span: Span, figures: Requests) -> Self {
        figures.began();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        Self {
            span,
            kind,
            client: peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()),
            started: Instant::now(),
            answered_after: Duration::ZERO,
            status: None,
            received: Received::default(),
            sent_bytes: 0,
            end: End::NotReached,
            figures,
            is_head: request.method() == Method::HEAD,
            _answering: request.extensions_mut().remove(),
        }
    }

    /// Where the bytes of the request's body are counted.
    pub(crate) fn received(&self) -> Received {
        self.received.clone()
    }

    /// Hands the line over to the answer's body.
    pub(crate) fn attach(mut self, response: Response) -> Response {
        let status = response.status().as_u16();
        self.status = Some(status);
        self.answered_after = self.started.elapsed();
        self.figures.answered(&self.kind, status, self.answered_after);
        self.span.record("http.response.status_code", status);
        if status >= 500 {
            self.span.record("otel.status", "error");
        }
        response.map(|inner| {
            // The body of an answer to HEAD is never asked for.
            self.end = if inner.is_end_stream() || self.is_head { End::Reached } else { self.end };
            Body::new(LoggedBody { inner, entry: self })
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let message = match (self.status, self.end) {
            (None, _) => "request abandoned by the client before it was answered",
            (Some(_), End::NotReached) => "answer cut off",
            (Some(_), End::Reached) => "answered",
        };
        let status = self.status.unwrap_or(CLIENT_GONE);
        let (received_bytes, sent_bytes) = (self.received.bytes(), self.sent_bytes);
        if self.status.is_none() {
            self.figures.answered(&self.kind, status, self.started.elapsed());
        }
        self.figures.ended(&self.kind, status, received_bytes, sent_bytes);
        let (duration_ms, answered_ms) =
            (milliseconds(self.started.elapsed()), milliseconds(self.answered_after));
        let (method, route) = (self.kind.method, self.kind.route.as_str());
        let client = self.client.map(tracing::field::display);
        // Health is asked every few seconds and would drown what people did.
        if route == health::LIVE || route == health::READY {
            tracing::debug!(parent: &self.span, method, route, status, duration_ms, answered_ms, received_bytes, sent_bytes, client, "{message}");
        } else {
            tracing::info!(parent: &self.span, method, route, status, duration_ms, answered_ms, received_bytes, sent_bytes, client, "{message}");
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.entry.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.entry.end = End::Reached;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
