//! Accepting connections and serving HTTP/1.1 on them, safe against clients that send nothing, or too much, or slowly.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::figures::Connections;
use crate::shutdown::Shutdown;
use crate::socket::{Place, Socket};
use crate::{refusal, shutdown};

/// How long to wait after the system refused to accept (it ran out of descriptors, say) before trying again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How many connections may be told at the same time that there are too many; beyond that they are just closed.
const TURNED_AWAY_MAX: usize = 32;

/// What a connection may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// How many there may be at the same time.
    pub(crate) connections_max: usize,
    /// How long one is kept before it is closed after the answer at hand.
    pub(crate) age_max: Duration,
    /// How long a request's head may take, and how long an idle connection is kept.
    pub(crate) head_timeout: Duration,
    /// How large a request's head may be.
    pub(crate) head_bytes_max: usize,
    /// How many headers it may have.
    pub(crate) headers_max: usize,
    /// How long the client may leave what is sent unread.
    pub(crate) send_timeout: Duration,
}

/// A server that is yet to be given its listener.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
    pub(crate) figures: Connections,
    pub(crate) shutdown: Shutdown,
}

/// Held while a request is being answered: what is written meanwhile belongs to its answer.
#[derive(Clone, Debug)]
pub(crate) struct Answering {
    _counted: Arc<Counted>,
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Answering {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self { _counted: Arc::new(Counted(count.clone())) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl ConnectionLimits {
    /// For the admin port, which only operators reach.
    pub(crate) const ADMIN: Self = Self {
        connections_max: 32,
        age_max: Duration::from_secs(3600),
        head_timeout: Duration::from_secs(30),
        head_bytes_max: 16 * 1024,
        headers_max: 64,
        send_timeout: Duration::from_secs(10),
    };
}

impl Server {
    /// Accepts and serves until the service drains; connections go on until theirs is answered.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.draining() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            match places.clone().try_acquire_owned() {
                Ok(permit) => {
                    let place = Place::taken(self.figures.clone(), permit);
                    tokio::spawn(self.clone().serve(stream, peer, place));
                }
                Err(_) => {
                    self.figures.refused("connections_max");
                    if let Ok(permit) = turned_away.clone().try_acquire_owned() {
                        tokio::spawn(async move {
                            refusal::turn_away(stream).await;
                            drop(permit);
                        });
                    }
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let in_flight = self.shutdown.in_flight();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "cannot switch off Nagle's algorithm");
        }
        let answering = Arc::<AtomicUsize>::default();
        let socket = Socket::new(stream, self.limits.send_timeout, answering.clone(), place);
        let (http, router) = (self.http(), self.router);
        let answer = service_fn(move |request: Request<Incoming>| {
            let router = router.clone();
            let count = answering.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                request.extensions_mut().insert(Answering::begin(&count));
                let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    // What is written from now on is none of HTTP's, to the end.
                    count.fetch_add(1, Ordering::AcqRel);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(socket), answer).with_upgrades());
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = closing(&self.shutdown, self.limits.age_max) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            if error.is_timeout() {
                self.figures.refused("head_timeout");
            }
            tracing::debug!(peer = %peer, error = %anyhow::Error::new(error), "connection ended early");
        }
        drop(in_flight);
    }

    fn http(&self) -> http1::Builder {
        let ConnectionLimits { head_timeout, head_bytes_max, headers_max, .. } = self.limits;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_timeout);
        http.max_buf_size(head_bytes_max).max_headers(headers_max);
        http
    }
}

async fn closing(shutdown: &shutdown::Shutdown, age_max: Duration) {
    tokio::select! {
        () = shutdown.draining() => {}
        () = tokio::time::sleep(age_max) => {}
    }
}
