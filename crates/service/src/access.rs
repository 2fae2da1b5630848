//! The access log: one line per request, written when its answer has left, or when it became clear that it will not.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tracing::Span;

use crate::health;

/// One request's line, written when it is dropped.
pub(crate) struct Entry {
    span: Span,
    method: Method,
    path: String,
    started: Instant,
    status: Option<u16>,
    sent_bytes: u64,
    end: End,
}

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

impl Entry {
    pub(crate) fn open(request: &Request, span: Span) -> Self {
        Self {
            span,
            method: request.method().clone(),
            // Without the query, which may hold what does not belong into a log.
            path: request.uri().path().to_owned(),
            started: Instant::now(),
            status: None,
            sent_bytes: 0,
            end: End::NotReached,
        }
    }

    /// Hands the line over to the answer's body.
    pub(crate) fn attach(mut self, response: Response) -> Response {
        self.status = Some(response.status().as_u16());
        response.map(|inner| {
            // The body of an answer to HEAD is never asked for.
            self.end =
                if inner.is_end_stream() || self.method == Method::HEAD { End::Reached } else { self.end };
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
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (method, path, sent_bytes) = (self.method.as_str(), self.path.as_str(), self.sent_bytes);
        let status = self.status.unwrap_or_default();
        // Health is asked every few seconds and would drown what people did.
        if path == health::LIVE || path == health::READY {
            tracing::debug!(parent: &self.span, method, path, status, duration_ms, sent_bytes, "{message}");
        } else {
            tracing::info!(parent: &self.span, method, path, status, duration_ms, sent_bytes, "{message}");
        }
    }
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
