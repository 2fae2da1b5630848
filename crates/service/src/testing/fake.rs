//! A server in the test's own process that stands for what a service forwards to, and can go away and come back.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use metrics::Metrics;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::figures::Connections;
use crate::health;
use crate::server::{ConnectionLimits, Server};
use crate::shutdown::{Drained, Shutdown, Stage};
use crate::testing::DEADLINE;

/// A server on a port of its own that answers `/health/live` and what the test gives it.
pub struct FakeUpstream {
    address: SocketAddr,
    router: Router,
    serving: JoinSet<()>,
    shutdown: Shutdown,
    drained: Option<Drained>,
}

impl FakeUpstream {
    /// Starts it with these routes beside `/health/live`.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(router: Router) -> Self {
        let router = router.route(health::LIVE, get(async || "live"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let (shutdown, drained) = Shutdown::new();
        let mut fake = Self { address, router, serving: JoinSet::new(), shutdown, drained: Some(drained) };
        fake.serve(listener);
        fake
    }

    /// Where it listens, as a base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes it away: it closes its port and, once what it was asked is answered, its connections.
    ///
    /// # Panics
    /// When an answer does not come to its end.
    pub async fn vanish(&mut self) {
        self.shutdown.advance(Stage::Draining);
        while self.serving.join_next().await.is_some() {}
        if let Some(drained) = self.drained.take() {
            tokio::time::timeout(DEADLINE, drained.wait()).await.expect("everything is answered");
        }
    }

    /// Brings it back at the same address.
    ///
    /// # Panics
    /// When its port is taken.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its port is still free");
        let (shutdown, drained) = Shutdown::new();
        (self.shutdown, self.drained) = (shutdown, Some(drained));
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let limits = ConnectionLimits { connections_max: 1024, ..ConnectionLimits::ADMIN };
        let figures = Connections::new(&Metrics::new());
        let server = Server { router: self.router.clone(), limits, figures, shutdown: self.shutdown.clone() };
        self.serving.spawn(server.accept(listener));
    }
}
