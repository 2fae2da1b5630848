//! What stands around every service's routes: health, problems for 404 and 405, limits, panics, request id, trace, log.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use metrics::Metrics;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::access::{Entry, Received};
use crate::body::{self, Limits};
use crate::figures::{Kind, Requests};
use crate::health::{self, Readiness};
use crate::problem::{self, Problem};
use crate::request_id::{self, RequestId};
use crate::trace;
use crate::wire;

/// When to come back after a request that took too long, in seconds.
const RETRY_AFTER_S: &str = "2";

/// What the outermost layer needs.
#[derive(Clone)]
pub(crate) struct Around {
    limits: Limits,
    request_timeout: Duration,
    figures: Requests,
}

impl Around {
    pub(crate) fn new(limits: Limits, request_timeout: Duration, metrics: &Metrics) -> Self {
        Self { limits, request_timeout, figures: Requests::new(metrics) }
    }
}

/// The service's routes with everything around them. Its fallback is replaced by a 404: a service that takes every path
/// says so with a route (`/{*path}`).
pub(crate) fn dress(router: Router, readiness: Readiness, around: Around) -> Router {
    router
        .merge(health::routes(readiness))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(not_found)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(from_fn_with_state(around, observe))
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("`{}` does not exist", uri.path()))
}

/// Gives the request its id and its span, limits it, turns panics and problems into answers, and logs how it ended.
async fn observe(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let id_value = id.header_value();
    if let Some(value) = &id_value {
        request.headers_mut().insert(request_id::HEADER, value.clone());
    }
    request.extensions_mut().insert(id.clone());

    let kind = Kind::of(&request);
    let span = span(&mut request, &id, &kind);
    let entry = Entry::open(&mut request, kind.clone(), span.clone(), around.figures.clone());
    async move {
        let response = match limited(request, around.limits, entry.received()) {
            Ok(request) => answer(&around, &kind, next.run(request)).await,
            Err(problem) => problem.into_response(),
        };
        let mut response = problem::render(response, &id);
        if let Some(value) = id_value {
            response.headers_mut().insert(request_id::HEADER, value);
        }
        entry.attach(response)
    }
    .instrument(span)
    .await
}

/// The request's span. It goes on with the trace that the request brings, or begins one.
///
/// Its level is the highest, so that lines about the request have its id however little is logged.
fn span(request: &mut Request, id: &RequestId, kind: &Kind) -> Span {
    let parent = trace::Context::of(request.headers());
    let context = parent.as_ref().map_or_else(trace::Context::root, trace::Context::child);
    let span = tracing::error_span!(
        "request",
        request_id = id.as_str(),
        trace_id = context.trace_id(),
        span_id = context.span_id(),
        otel.name = format!("{} {}", kind.method, kind.route),
        otel.kind = "server",
        otel.parent = parent.as_ref().map(trace::Context::traceparent),
        otel.state = parent.as_ref().and_then(trace::Context::state),
        http.request.method = kind.method,
        http.route = kind.route,
        http.response.status_code = Empty,
        otel.status = Empty,
    );
    request.extensions_mut().insert(context);
    span
}

fn limited(request: Request, limits: Limits, received: Received) -> Result<Request, Problem> {
    wire::check(&request)?;
    let (parts, body) = request.into_parts();
    Ok(Request::from_parts(parts, body::limit(body, limits, received)?))
}

async fn answer(around: &Around, kind: &Kind, handler: impl Future<Output = Response>) -> Response {
    let limit = around.request_timeout;
    match tokio::time::timeout(limit, catch_panic(handler)).await {
        Ok(Some(response)) => response,
        // The panic hook has logged it.
        Ok(None) => {
            around.figures.panicked(kind);
            Problem::internal_already_logged().into_response()
        }
        Err(_) => {
            tracing::error!(limit_s = limit.as_secs(), "no answer within REQUEST_TIMEOUT_S");
            let message = "the service did not come to an answer in time, try again later";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "request_timeout", message);
            ([(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S))], problem).into_response()
        }
    }
}

/// A panic ends this request, not its connection: then there is no answer.
async fn catch_panic(answer: impl Future<Output = Response>) -> Option<Response> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| {
        // Nothing of the future is used again after a panic.
        match std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
