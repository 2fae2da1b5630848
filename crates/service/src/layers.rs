//! What stands around every service's routes: health, JSON 404 and 405, body limits, panics, request id, access log.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use crate::access::Entry;
use crate::body::{self, Limits};
use crate::health::{self, Readiness};
use crate::problem::{self, Problem};
use crate::request_id::{self, RequestId};
use crate::wire;

/// The service's routes with everything around them. Its fallback is replaced by a JSON 404: a service that takes
/// every path says so with a route (`/{*path}`).
pub(crate) fn dress(router: Router, readiness: Readiness, limits: Limits) -> Router {
    router
        .merge(health::routes(readiness))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(not_found)
        // The innermost layer comes first.
        .layer(from_fn_with_state(limits, limit_body))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(from_fn(observe))
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("`{}` does not exist", uri.path()))
}

async fn limit_body(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match body::limit(body, limits) {
        Ok(body) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Gives the request its id and its span, turns panics and problems into answers, and logs how it ended.
async fn observe(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let id_value = id.header_value();
    if let Some(value) = &id_value {
        request.headers_mut().insert(request_id::HEADER, value.clone());
    }
    request.extensions_mut().insert(id.clone());

    let span = tracing::info_span!("request", request_id = id.as_str());
    let entry = Entry::open(&request, span.clone());
    async move {
        let response = match wire::check(&request) {
            Ok(()) => catch_panic(next.run(request)).await,
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

/// A panic ends this request with 500, not its connection; the panic hook has logged it.
async fn catch_panic(answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| {
        // Nothing of the future is used again after a panic.
        match std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Problem::internal_already_logged().into_response()),
        }
    })
    .await
}
