//! The built proxy, as its container runs it, in front of an upstream that the test holds in its hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collector;
mod lifecycle;
mod limits;
mod logs;
mod streaming;
mod traces;
mod upgrade;

use axum::Router;
use service::testing::{Binary, FakeUpstream, Running};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The proxy in front of an upstream with the routes given.
struct World {
    upstream: FakeUpstream,
    proxy: Running,
}

/// A connection to the proxy on which the test says every byte itself.
struct Wire(BufReader<TcpStream>);

impl World {
    async fn new(routes: Router) -> Self {
        Self::with(routes, &[]).await
    }

    async fn with(routes: Router, settings: &[(&str, &str)]) -> Self {
        let upstream = FakeUpstream::start(routes).await;
        let proxy = proxy().env("UPSTREAM_URL", &upstream.url());
        let proxy = settings.iter().fold(proxy, |proxy, (name, value)| proxy.env(name, value));
        Self { proxy: proxy.start().await, upstream }
    }

    async fn wire(&self) -> Wire {
        Wire(BufReader::new(TcpStream::connect(self.proxy.address()).await.expect("it listens")))
    }
}

impl Wire {
    async fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.expect("it reads");
    }

    /// The next line, without its end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(service::testing::DEADLINE, self.0.read_line(&mut line)).await;
        read.expect("a line comes").expect("it is text");
        line.trim_end().to_owned()
    }

    /// The head of an answer: its lines up to the empty one.
    async fn head(&mut self) -> Vec<String> {
        let mut head = Vec::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return head,
                line => head.push(line),
            }
        }
    }
}

fn proxy() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_proxy"))
}
