//! Sending spans to a collector, in batches, from a bounded queue, so that nobody who is served ever waits for it.
//!
//! A collector that is away, slow or full costs spans, and nothing else: they are dropped and counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderMap, USER_AGENT};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use metrics::{Counter, Metrics};
use prost::Message as _;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::otlp::{ExportTraceServiceRequest, Resource, ResourceSpans, Scope, ScopeSpans, Span};
use super::settings::Tracing;

/// How long the end of the process may be delayed to send what is left.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How often a batch is tried, with a growing pause, where the collector says that it may be tried again.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What is read of a collector's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where finished spans wait. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct Queue {
    /// Taken away when the process ends, so that the exporter sees the end of the queue.
    spans: Arc<Mutex<Option<Sender<Span>>>>,
    dropped: Counter<1>,
}

/// Sends what is in the queue.
pub(crate) struct Exporter {
    queue: Queue,
    spans: Receiver<Span>,
    sending: Sending,
}

/// An exporter at work.
pub(crate) struct Exporting {
    queue: Queue,
    task: JoinHandle<()>,
}

struct Sending {
    client: Client<HttpConnector, Full<Bytes>>,
    target: Uri,
    headers: HeaderMap,
    timeout: Duration,
    batch_max: usize,
    delay: Duration,
    resource: Resource,
    scope: Scope,
    exported: Counter<0>,
    dropped: Counter<1>,
    /// Whether the last batch arrived: only a change is worth a line in the log.
    works: bool,
}

/// Why a batch did not arrive.
enum Failure {
    /// It may arrive later.
    Passing(String),
    /// It never will.
    Final(String),
}

impl Queue {
    /// Puts a span in; drops it where there is no room.
    pub(crate) fn put(&self, span: Span) {
        let reason = {
            let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
            match spans.as_ref().map(Sender::try_reserve) {
                Some(Ok(place)) => return place.send(span),
                Some(Err(TrySendError::Full(()))) => "queue_full",
                Some(Err(TrySendError::Closed(()))) | None => "stopped",
            }
        };
        self.dropped.inc([reason]);
    }
}

impl Exporter {
    /// An exporter with an empty queue, where one is wanted.
    pub(crate) fn new(tracing: &Tracing, service: &str, version: &str, metrics: &Metrics) -> Option<Self> {
        let target = tracing.target()?;
        let exported = metrics.counter("trace_spans_exported", "Spans that the collector has accepted.", []);
        let dropped = metrics.counter("trace_spans_dropped", "Spans that no collector will see.", ["reason"]);
        exported.add([], 0);
        for reason in ["queue_full", "export_failed", "stopped"] {
            dropped.add([reason], 0);
        }
        let mut headers: HeaderMap = tracing.headers.iter().flat_map(|it| it.0.clone()).collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(tracing.protocol.media_type()));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("slipway-service/", env!("CARGO_PKG_VERSION"))),
        );
        let (sender, spans) = channel(tracing.queue_max.0);
        let queue = Queue { spans: Arc::new(Mutex::new(Some(sender))), dropped: dropped.clone() };
        let sending = Sending {
            client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build_http(),
            target,
            headers,
            timeout: tracing.timeout.0,
            batch_max: tracing.batch_max.0,
            delay: tracing.delay(),
            resource: Resource { attributes: tracing.resource(service, version) },
            scope: Scope {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            exported,
            dropped,
            works: true,
        };
        Some(Self { queue, spans, sending })
    }

    pub(crate) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Begins to send.
    pub(crate) fn start(self) -> Exporting {
        Exporting { queue: self.queue, task: tokio::spawn(self.sending.run(self.spans)) }
    }
}

impl Exporting {
    /// Sends what is left, for [`FLUSH_MAX`] at most.
    pub(crate) async fn finish(mut self) {
        drop(self.queue.spans.lock().unwrap_or_else(PoisonError::into_inner).take());
        if tokio::time::timeout(FLUSH_MAX, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }
}

impl Sending {
    async fn run(mut self, mut spans: Receiver<Span>) {
        let mut batch = Vec::with_capacity(self.batch_max.min(512));
        loop {
            let open = self.fill(&mut batch, &mut spans).await;
            if !batch.is_empty() {
                self.send(std::mem::take(&mut batch)).await;
            }
            if !open {
                return;
            }
        }
    }

    /// Waits until the batch is full, or its first span has waited long enough; false when no more will come.
    async fn fill(&self, batch: &mut Vec<Span>, spans: &mut Receiver<Span>) -> bool {
        let Some(first) = spans.recv().await else { return false };
        batch.push(first);
        let due = tokio::time::Instant::now() + self.delay;
        while batch.len() < self.batch_max {
            let room = self.batch_max - batch.len();
            match tokio::time::timeout_at(due, spans.recv_many(batch, room)).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        true
    }

    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let scope_spans = vec![ScopeSpans { scope: Some(self.scope.clone()), spans }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans }];
        let message: Bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec().into();
        let mut sent = self.post(message.clone()).await;
        for attempt in 1..ATTEMPTS {
            if !matches!(sent, Err(Failure::Passing(_))) {
                break;
            }
            tokio::time::sleep(PAUSE * attempt).await;
            sent = self.post(message.clone()).await;
        }
        let works = sent.is_ok();
        match sent {
            Ok(()) => self.exported.add([], count),
            Err(Failure::Passing(reason) | Failure::Final(reason)) => {
                self.dropped.add(["export_failed"], count);
                if self.works {
                    tracing::warn!(reason, "traces cannot be exported; spans are dropped until they can");
                }
            }
        }
        if works && !self.works {
            tracing::info!("traces are exported again");
        }
        self.works = works;
    }

    async fn post(&self, message: Bytes) -> Result<(), Failure> {
        let mut request = axum::http::Request::new(Full::new(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            // Read to its end, so that the connection can be used again.
            let body = Limited::new(Body::new(response.into_body()), ANSWER_BYTES_MAX);
            Ok::<_, hyper_util::client::legacy::Error>((status, body.collect().await.is_ok()))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Err(_) => Err(Failure::Passing(format!("no answer within {} ms", self.timeout.as_millis()))),
            Ok(Err(error)) => Err(Failure::Passing(format!("{:#}", anyhow::Error::new(error)))),
            Ok(Ok((status, _))) if status.is_success() => Ok(()),
            Ok(Ok((status, _))) if is_passing(status) => {
                Err(Failure::Passing(format!("it answered {status}")))
            }
            Ok(Ok((status, _))) => Err(Failure::Final(format!("it answered {status}"))),
        }
    }
}

/// What OTLP says may be tried again.
fn is_passing(status: StatusCode) -> bool {
    [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}
