//! `/v1/releases`: records and lists what was released, each service's image by digest.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use service::{Problem, extract};
use store::Novelty;
use store::releases::{NewRelease, Release};

use crate::asker::{Asker, IdempotencyKey};
use crate::fields::{Body, Fields, text};
use crate::list::{self, Asked};
use crate::{App, form, refusal};

/// Says that this is the answer to an earlier request under the same key.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// POST: 201 when it is recorded now, or was by the same request; 200 when it was recorded just so already.
pub(crate) async fn record(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    key: IdempotencyKey,
    body: Body,
) -> Result<(StatusCode, HeaderMap, Json<api::Release>), Problem> {
    let key = key.of(body.request);
    let new = read(body.fields()?)?;
    let made = store.releases().record(&new, key.as_ref(), &origin).await.map_err(refusal::of_record)?;
    let location = format!("/v1/releases/{}", made.value.version);
    let (status, headers) = created(made.novelty, &location);
    Ok((status, headers, Json(shown(made.value))))
}

/// GET: lists releases, newest first.
pub(crate) async fn list(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let (size, before) = asked.read()?;
    let page = store.releases().list(before, size).await.map_err(refusal::of)?;
    Ok(list::page(&uri, page, shown))
}

/// GET of a version.
pub(crate) async fn show(
    State(App { store, .. }): State<App>,
    extract::Path(version): extract::Path<String>,
) -> Result<Json<api::Release>, Problem> {
    match store.releases().find_version(&version).await.map_err(refusal::of)? {
        Some(release) => Ok(Json(shown(release))),
        None => Err(Problem::not_found(format!("release `{version}` is not recorded"))),
    }
}

/// Status and headers of an answer to a request that makes something.
pub(super) fn created(novelty: Novelty, location: &str) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.extend(HeaderValue::try_from(location).ok().map(|location| (LOCATION, location)));
    let status = match novelty {
        Novelty::New => StatusCode::CREATED,
        Novelty::Replayed => {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
            StatusCode::CREATED
        }
        Novelty::Known => StatusCode::OK,
    };
    (status, headers)
}

fn read(mut fields: Fields) -> Result<NewRelease, Problem> {
    let version = fields.required("version", text(form::version));
    let commit = fields.required("commit", text(form::commit));
    let images = fields.required("images", form::images);
    let signing_key_id = fields.optional("signing_key_id", text(form::sha256));
    let evidence = fields.optional("evidence", text(form::evidence));
    let whole = version.zip(commit).zip(images);
    fields.finish(whole.map(|((version, commit_id), images)| NewRelease {
        version,
        commit_id,
        images,
        signing_key_id,
        evidence,
    }))
}

fn shown(release: Release) -> api::Release {
    api::Release {
        id: release.id,
        version: release.version,
        commit: release.commit_id,
        images: release.images.iter().map(|image| (image.service.clone(), image.reference())).collect(),
        signing_key_id: release.signing_key_id,
        evidence: release.evidence,
        recorded_by: release.recorded_by,
        recorded_at: release.recorded_at,
    }
}
