//! The table of routes.

mod audit;
mod environments;
mod releases;

use axum::Router;
use axum::routing::get;
use store::Store;

/// Every route of control.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/v1/releases", get(releases::list).post(releases::record))
        .route("/v1/releases/{version}", get(releases::show))
        .route("/v1/environments", get(environments::list))
        .route("/v1/environments/{name}", get(environments::show).put(environments::put))
        .route("/v1/audit", get(audit::list))
        .with_state(store)
}
