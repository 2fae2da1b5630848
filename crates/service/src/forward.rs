//! Forwarding a request to another HTTP server: both bodies streamed, with timeouts, and failures told in JSON.
//!
//! What is between two neighbours only (hop-by-hop headers) ends here; who asked whom is added (`x-forwarded-*`).

mod headers;
mod progress;
mod tunnel;

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::body::BodyError;
use crate::health;
use crate::problem::Problem;
use crate::settings::FromSetting;
use crate::shutdown::Shutdown;
use crate::trace;
use headers::Hop;
use progress::{Progress, WatchedBody};

/// How long an unused connection is kept: shorter than servers keep theirs, so that it is rarely closed under a request.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Where requests go: scheme and authority of an `http` URL. There is no path: what is asked is passed on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream(Authority);

/// Whether the `x-forwarded-*` headers of a request are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// At the edge: anyone could have written them, so they are replaced.
    Replace,
    /// Behind a proxy of one's own: they are kept and continued.
    Continue,
}

/// What happens to a request to switch protocols, to WebSocket for one.
#[derive(Debug, Clone)]
pub enum Upgrades {
    /// It is forwarded as an ordinary request.
    Ignore,
    /// When the upstream agrees, bytes are passed on both ways; the drain waits for their end.
    Tunnel(Shutdown),
}

/// How to forward.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether `x-forwarded-*` are believed.
    pub forwarded_headers: ForwardedHeaders,
    /// What happens to upgrades.
    pub upgrades: Upgrades,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the upstream may take from having the request to the first byte of its answer.
    pub first_byte_timeout: Duration,
}

/// Forwards requests to one upstream over pooled connections; clones share them.
#[derive(Debug, Clone)]
pub struct Forwarder {
    client: Client<HttpConnector, Body>,
    upstream: Upstream,
    options: Arc<Options>,
}

/// Why a request got no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Nobody could be connected to.
    #[error("cannot connect to `{0}`")]
    Connect(Authority, #[source] hyper_util::client::legacy::Error),
    /// Connecting took too long.
    #[error("connecting to `{0}` took longer than {1:?}")]
    ConnectTimeout(Authority, Duration),
    /// The upstream did not begin to answer in time.
    #[error("`{0}` did not begin to answer within {1:?}")]
    FirstByteTimeout(Authority, Duration),
    /// The connection broke, or what came was not HTTP.
    #[error("`{0}` failed before it answered")]
    Broken(Authority, #[source] hyper_util::client::legacy::Error),
    /// The client's own body was too large or too slow.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The client's own body was not what its head announced, or ended early.
    #[error("the request's body is malformed or incomplete")]
    BodyIncomplete(#[source] hyper_util::client::legacy::Error),
    /// The upstream answered, but not with what was expected.
    #[error("`{0}` answered {1}")]
    Status(Authority, StatusCode),
}

impl FromSetting for Upstream {
    const EXPECTED: &'static str = "an `http://` URL without path such as `http://127.0.0.1:8001`";

    fn from_setting(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let plain = uri.scheme() == Some(&Scheme::HTTP) && uri.path() == "/" && uri.query().is_none();
        // A name and password would have nowhere to go, and would be shown in errors.
        uri.authority().filter(|it| plain && !it.as_str().contains('@')).cloned().map(Self)
    }
}

impl Upstream {
    fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = axum::http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.0.clone());
        parts.path_and_query = Some(path);
        // With all three parts present there is nothing that can be refused.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl Forwarder {
    /// A forwarder with no connection yet.
    pub fn new(upstream: Upstream, options: Options) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(options.connect_timeout));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Self { client, upstream, options: Arc::new(options) }
    }

    /// Forwards a request and returns the upstream's answer as it begins.
    pub async fn forward(&self, request: Request) -> Result<Response, ForwardError> {
        let hop = self.hop(&request);
        let (mut parts, body) = request.into_parts();
        let protocol = match &self.options.upgrades {
            Upgrades::Ignore => None,
            Upgrades::Tunnel(shutdown) => {
                headers::upgrade(&parts.headers).map(|protocol| (protocol, shutdown))
            }
        };
        let client_side =
            protocol.as_ref().and_then(|_| parts.extensions.remove::<hyper::upgrade::OnUpgrade>());

        let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut upstream = Request::new(Body::empty());
        *upstream.method_mut() = parts.method;
        *upstream.uri_mut() = self.upstream.uri(path);
        *upstream.version_mut() = Version::HTTP_11;
        *upstream.headers_mut() = headers::to_upstream(parts.headers, &hop);
        if let Some((protocol, _)) = &protocol {
            headers::set_upgrade(upstream.headers_mut(), protocol);
        }
        let (body, progress) = WatchedBody::watch(body);
        *upstream.body_mut() = body;

        let mut response = self.exchange(upstream, &progress).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (Some((protocol, shutdown)), Some(client_side)) = (protocol, client_side) else {
                return Err(ForwardError::Status(self.upstream.0.clone(), response.status()));
            };
            tunnel::open(client_side, hyper::upgrade::on(&mut response), shutdown.in_flight());
            headers::to_client(response.headers_mut());
            headers::set_upgrade(response.headers_mut(), &protocol);
            return Ok(response);
        }
        headers::to_client(response.headers_mut());
        Ok(response)
    }

    /// Asks the upstream's `/health/live`: for readiness.
    pub async fn alive(&self) -> Result<(), ForwardError> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.upstream.uri(PathAndQuery::from_static(health::LIVE));
        let (body, progress) = WatchedBody::watch(Body::empty());
        *request.body_mut() = body;
        let response = self.exchange(request, &progress).await?;
        let status = response.status();
        // Read to its end, so that the connection can be used again.
        let read = response.into_body().collect().await;
        match (status.is_success(), read) {
            (true, Ok(_)) => Ok(()),
            _ => Err(ForwardError::Status(self.upstream.0.clone(), status)),
        }
    }

    /// Asks the upstream, in a span of its own that goes on with the trace that the request belongs to.
    async fn exchange(&self, mut request: Request, progress: &Progress) -> Result<Response, ForwardError> {
        let authority = &self.upstream.0;
        let span = tracing::info_span!(
            "forward",
            otel.name = request.method().as_str(),
            otel.kind = "client",
            otel.status = Empty,
            http.request.method = request.method().as_str(),
            http.response.status_code = Empty,
            server.address = authority.host(),
            server.port = authority.port_u16().unwrap_or(80),
            "error.type" = Empty,
        );
        if let Some(context) = span.in_scope(trace::current) {
            context.inject(request.headers_mut());
        }
        let answered = self.ask(request, progress).instrument(span.clone()).await;
        match &answered {
            Ok(response) => {
                span.record("http.response.status_code", response.status().as_u16());
            }
            Err(error) => {
                span.record("error.type", error.kind()).record("otel.status", "error");
            }
        }
        answered
    }

    async fn ask(&self, request: Request, progress: &Progress) -> Result<Response, ForwardError> {
        let authority = &self.upstream.0;
        let timeout = self.options.first_byte_timeout;
        let answered = tokio::select! {
            answered = self.client.request(request) => answered,
            () = progress.stalled(timeout) => {
                return Err(ForwardError::FirstByteTimeout(authority.clone(), timeout));
            }
        };
        match answered {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => Err(match BodyError::within(&error) {
                Some(limit) => ForwardError::Body(limit),
                None if progress.failed() => ForwardError::BodyIncomplete(error),
                None if !error.is_connect() => ForwardError::Broken(authority.clone(), error),
                None if is_timeout(&error) => {
                    ForwardError::ConnectTimeout(authority.clone(), self.options.connect_timeout)
                }
                None => ForwardError::Connect(authority.clone(), error),
            }),
        }
    }

    fn hop(&self, request: &Request) -> Hop {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let exact = axum::body::HttpBody::size_hint(request.body()).exact();
        Hop {
            peer,
            forwarded_headers: self.options.forwarded_headers,
            host: host(request.headers()),
            body: if exact.is_some() { headers::Length::Known } else { headers::Length::Unknown },
        }
    }
}

impl ForwardError {
    /// What kind of failure it is, in a word, for traces and figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(..) => "connect",
            Self::ConnectTimeout(..) => "connect_timeout",
            Self::FirstByteTimeout(..) => "first_byte_timeout",
            Self::Broken(..) => "broken",
            Self::Body(_) | Self::BodyIncomplete(_) => "body",
            Self::Status(..) => "status",
        }
    }
}

impl From<ForwardError> for Problem {
    fn from(error: ForwardError) -> Self {
        let (status, code, message) = match &error {
            ForwardError::Body(limit) => return (*limit).into(),
            ForwardError::BodyIncomplete(..) => (
                StatusCode::BAD_REQUEST,
                "body_incomplete",
                "the request's body is malformed, or ended before it was complete",
            ),
            ForwardError::Connect(..) => (
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                "the service behind cannot be reached, try again later",
            ),
            ForwardError::Broken(..) | ForwardError::Status(..) => (
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                "the service behind failed before it answered, try again later",
            ),
            ForwardError::ConnectTimeout(..) | ForwardError::FirstByteTimeout(..) => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "the service behind did not answer in time, try again later",
            ),
        };
        tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "cannot forward");
        Self::new(status, code, message)
    }
}

fn host(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::HOST).cloned()
}

fn is_timeout(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
