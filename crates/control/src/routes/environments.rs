//! `/v1/environments`: where releases are rolled out, and what runs there.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use service::{Problem, extract};
use store::Store;
use store::environments::Environment;

use crate::actor::Actor;
use crate::list::Listed;
use crate::{form, refusal};

/// An environment as it is recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// The services that run there.
    services: BTreeSet<String>,
}

/// GET: lists environments by name.
pub(crate) async fn list(State(store): State<Store>) -> Result<Json<Listed<Environment>>, Problem> {
    store.environments().list().await.map(|all| Json(Listed::all(all))).map_err(refusal::of)
}

/// GET of a name.
pub(crate) async fn show(
    State(store): State<Store>,
    extract::Path(name): extract::Path<String>,
) -> Result<Json<Environment>, Problem> {
    match store.environments().find(&name).await.map_err(refusal::of)? {
        Some(environment) => Ok(Json(environment)),
        None => Err(Problem::not_found(format!("environment `{name}` is not recorded"))),
    }
}

/// PUT: 201 when it is new, 200 when it is recorded just so already, 409 when it is recorded with other services.
pub(crate) async fn put(
    State(store): State<Store>,
    Actor(origin): Actor,
    extract::Path(name): extract::Path<String>,
    extract::Json(recording): extract::Json<Recording>,
) -> Result<(StatusCode, Json<Environment>), Problem> {
    form::name("name", &name)?;
    let services: Vec<String> = recording.services.into_iter().collect();
    for service in &services {
        form::name("services", service)?;
    }
    match store.environments().create(&name, &services, &origin).await {
        Ok(environment) => Ok((StatusCode::CREATED, Json(environment))),
        Err(store::Error::Conflict(_)) => existing(&store, &name, &services).await,
        Err(error) => Err(refusal::of(error)),
    }
}

async fn existing(
    store: &Store,
    name: &str,
    services: &[String],
) -> Result<(StatusCode, Json<Environment>), Problem> {
    match store.environments().find(name).await.map_err(refusal::of)? {
        Some(environment) if environment.services == services => Ok((StatusCode::OK, Json(environment))),
        _ => Err(Problem::conflict(format!(
            "environment `{name}` is recorded with other services; use another name for another set"
        ))),
    }
}
