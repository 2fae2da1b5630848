//! A client's connection: gives up on one that does not read, and says why what is no request was refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::figures::Connections;
use crate::refusal;

/// A place among the connections that there may be; whoever holds the socket holds it, a tunnel too.
pub(crate) struct Place {
    figures: Connections,
    _permit: OwnedSemaphorePermit,
}

/// The connection.
pub(crate) struct Socket {
    stream: TcpStream,
    send_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// How many requests are being answered.
    answering: Arc<AtomicUsize>,
    /// Whether all that was written has been flushed: then what comes next is the beginning of something.
    flushed: bool,
    refusal: Option<Refusal>,
    place: Place,
}

/// An answer of ours that takes the place of one of the HTTP library's.
struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// How much the library wanted to write.
    replaces: usize,
}

impl Place {
    pub(crate) fn taken(figures: Connections, permit: OwnedSemaphorePermit) -> Self {
        figures.accepted();
        Self { figures, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.figures.closed();
    }
}

impl Socket {
    pub(crate) fn new(
        stream: TcpStream,
        send_timeout: Duration,
        answering: Arc<AtomicUsize>,
        place: Place,
    ) -> Self {
        Self { stream, send_timeout, stalled: None, answering, flushed: true, refusal: None, place }
    }

    /// Takes over where the library refuses what it could not read as a request.
    ///
    /// With no request at hand and everything flushed, what is written begins an answer: either a handler's, which has a
    /// request id, or the library's own.
    fn refuse_instead(&mut self, bytes: &[u8]) {
        if self.refusal.is_some() || !self.flushed || self.answering.load(Ordering::Acquire) > 0 {
            return;
        }
        if let Some((reason, answer)) = refusal::instead_of(bytes) {
            self.place.figures.refused(reason);
            self.refusal = Some(Refusal { bytes: answer, written: 0, replaces: bytes.len() });
        }
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(mut refusal) = self.refusal.take() {
            let rest = &refusal.bytes[refusal.written..];
            if rest.is_empty() {
                return Poll::Ready(Ok(refusal.replaces));
            }
            let polled = Pin::new(&mut self.stream).poll_write(cx, rest);
            if let Poll::Ready(Ok(written)) = polled {
                refusal.written += written;
            }
            self.refusal = Some(refusal);
            ready!(self.within_time(cx, polled))?;
        }
        Poll::Ready(Ok(0))
    }

    /// A write that makes no progress for too long is an error.
    fn within_time<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let send_timeout = self.send_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(send_timeout)));
        ready!(stalled.as_mut().poll(cx));
        self.place.figures.refused("send_timeout");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not read what it was sent")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = &mut *self;
        socket.refuse_instead(bytes);
        if socket.refusal.is_some() {
            return socket.poll_refusal(cx);
        }
        let polled = Pin::new(&mut socket.stream).poll_write(cx, bytes);
        socket.flushed &= !matches!(polled, Poll::Ready(Ok(1..)));
        socket.within_time(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut *self;
        if let [only] = slices {
            socket.refuse_instead(only);
        }
        if socket.refusal.is_some() {
            return socket.poll_refusal(cx);
        }
        let polled = Pin::new(&mut socket.stream).poll_write_vectored(cx, slices);
        socket.flushed &= !matches!(polled, Poll::Ready(Ok(1..)));
        socket.within_time(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.flushed |= flushed.is_ready();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
