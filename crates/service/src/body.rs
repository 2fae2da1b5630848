//! A request body that ends the request when it grows too large or its sender keeps the service waiting too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::access::Received;
use crate::problem::Problem;

/// So many bytes give the sender a second of its patience back.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// Why a request body was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than `REQUEST_BODY_MAX_BYTES`.
    #[error("the request body is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// Its sender kept the service waiting for longer than `REQUEST_BODY_TIMEOUT_S`.
    #[error("the request body did not arrive in time")]
    TooSlow,
}

/// What a request body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The size.
    pub(crate) max_bytes: u64,
    /// How long the service waits for it, all waits added up; each KiB that arrives gives a second back, so a long
    /// upload may take its time and a trickle may not.
    pub(crate) patience: Duration,
}

/// The body with its limits.
pub(crate) struct LimitedBody {
    inner: Body,
    limits: Limits,
    received_bytes: u64,
    patience_left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    received: Received,
}

impl BodyError {
    /// The limit that a failed read broke, wherever in the error's chain it is.
    pub fn within(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(limit) = error.downcast_ref::<Self>() {
                return Some(*limit);
            }
            cause = error.source();
        }
        None
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error.to_string())
            }
            BodyError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", error.to_string()),
        }
    }
}

/// Puts limits on a body; one that announces itself as too large is refused before it is read.
pub(crate) fn limit(body: Body, limits: Limits, received: Received) -> Result<Body, BodyError> {
    if body.size_hint().lower() > limits.max_bytes {
        return Err(BodyError::TooLarge { max_bytes: limits.max_bytes });
    }
    if body.is_end_stream() {
        return Ok(body);
    }
    let patience_left = limits.patience;
    Ok(Body::new(LimitedBody {
        inner: body,
        limits,
        received_bytes: 0,
        patience_left,
        waiting: None,
        received,
    }))
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.accept(frame))),
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => self.wait(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl LimitedBody {
    fn accept(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, axum::BoxError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        self.received.add(bytes);
        if self.received_bytes > self.limits.max_bytes {
            return Err(BodyError::TooLarge { max_bytes: self.limits.max_bytes }.into());
        }
        // Only the time spent waiting for the sender counts, never the time in which nobody read.
        let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN);
        let left = self.patience_left.saturating_sub(waited).saturating_add(earned);
        self.patience_left = left.min(self.limits.patience);
        Ok(frame)
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let left = self.patience_left;
        let (_, sleep) =
            self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::TooSlow.into()))),
            Poll::Pending => Poll::Pending,
        }
    }
}
