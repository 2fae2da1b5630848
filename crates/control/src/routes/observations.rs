//! `/v1/environments/{name}/observations`: what was seen to run there.

use api::Health;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use service::{Problem, extract};
use store::observations::{NewObservation, Observation};

use crate::asker::{Asker, IdempotencyKey};
use crate::fields::{Body, text};
use crate::list::{self, Asked};
use crate::{App, form, refusal};

use super::environments::unknown;
use super::releases::created;

/// GET: lists observations, newest first.
pub(crate) async fn list(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Path(name): extract::Path<String>,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let (size, before) = asked.read()?;
    let page = store.observations().list(&name, before, size).await.map_err(refusal::of)?;
    let page = page.ok_or_else(|| unknown(&name))?;
    Ok(list::page(&uri, page, shown))
}

/// POST: records what was seen.
pub(crate) async fn record(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    extract::Path(name): extract::Path<String>,
    key: IdempotencyKey,
    body: Body,
) -> Result<(StatusCode, HeaderMap, Json<api::Observation>), Problem> {
    let key = key.of(body.request);
    let mut fields = body.fields()?;
    let version = fields.required("release", text(form::version));
    let healthy = fields.required("health", text(health));
    let note = fields.optional("note", text(form::note));
    let new = version.zip(healthy).map(|(version, healthy)| NewObservation { version, healthy, note });
    let new = fields.finish(new)?;
    let made = store.observations().record(&name, &new, key.as_ref(), &origin).await;
    let made = made.map_err(refusal::of_observe)?;
    let (status, headers) = created(made.novelty, &format!("/v1/environments/{name}/observations"));
    Ok((status, headers, Json(shown(made.value))))
}

fn health(text: &str) -> Result<bool, String> {
    match text {
        "healthy" => Ok(true),
        "unhealthy" => Ok(false),
        _ => Err("expected `healthy` or `unhealthy`".to_owned()),
    }
}

fn shown(observation: Observation) -> api::Observation {
    api::Observation {
        id: observation.id,
        release: observation.version,
        health: if observation.healthy { Health::Healthy } else { Health::Unhealthy },
        note: observation.note,
        observed_by: observation.observed_by,
        observed_at: observation.observed_at,
    }
}
