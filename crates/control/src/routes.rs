//! The routes: each line of the table in `api`, with the handler that serves it.

mod audit;
mod environments;
mod events;
mod observations;
mod promotions;
mod releases;
mod tokens;

use api::{Method, ROUTES, Route};
use axum::Router;
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use service::{Problem, identity};

use crate::{App, asker};

/// How many seconds a client waits before it comes back, when something is away.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// Every route of the table, for who the gateway vouches for and whose role suffices.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let served = handler(route).layer(from_fn_with_state(route.role, asker::need));
        router = router.route(route.path, served);
    }
    identity::guard(router, app.verifier.clone()).layer(from_fn(come_back)).with_state(app)
}

fn handler(route: &Route) -> MethodRouter<App> {
    let method = match route.method {
        Method::Get => MethodFilter::GET,
        Method::Put => MethodFilter::PUT,
        Method::Post => MethodFilter::POST,
        Method::Delete => MethodFilter::DELETE,
    };
    match route.operation {
        "listReleases" => on(method, releases::list),
        "recordRelease" => on(method, releases::record),
        "getRelease" => on(method, releases::show),
        "listEnvironments" => on(method, environments::list),
        "getEnvironment" => on(method, environments::show),
        "putEnvironment" => on(method, environments::put),
        "listDesiredReleases" => on(method, environments::desired),
        "listObservations" => on(method, observations::list),
        "recordObservation" => on(method, observations::record),
        "listPromotions" => on(method, promotions::list),
        "askForPromotion" => on(method, promotions::ask),
        "getPromotion" => on(method, promotions::show),
        "approvePromotion" => on(method, promotions::approve),
        "rejectPromotion" => on(method, promotions::reject),
        "withdrawPromotion" => on(method, promotions::withdraw),
        "listAuditEntries" => on(method, audit::list),
        "followEvents" => on(method, events::follow),
        "listTokens" => on(method, tokens::list),
        "createToken" => on(method, tokens::create),
        "revokeToken" => on(method, tokens::revoke),
        "resolveToken" => on(method, tokens::resolve),
        _ => on(method, unserved),
    }
}

/// A line of the table that nobody has written a handler for; a test asks every line, so that this is never shipped.
async fn unserved() -> Problem {
    Problem::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "nothing serves this route")
}

/// Says when to come back, wherever something is away.
async fn come_back(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().entry(RETRY_AFTER).or_insert(RETRY_AFTER_S);
    }
    response
}
