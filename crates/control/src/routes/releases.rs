//! `/v1/releases`: records and lists what was released, each service's image by digest.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use service::{Problem, extract};
use store::Store;
use store::releases::{NewRelease, Release};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::actor::Actor;
use crate::list::{Asked, Listed};
use crate::{form, refusal};

/// A release as it is recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// A semantic version: `1.4.0`.
    version: String,
    /// The full commit.
    commit: String,
    /// Per service its image: `registry.example.org/slipway/gateway@sha256:…`.
    images: BTreeMap<String, String>,
}

/// A release as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    id: Uuid,
    version: String,
    commit: String,
    images: BTreeMap<String, String>,
    recorded_by: String,
    #[serde(with = "time::serde::rfc3339")]
    recorded_at: OffsetDateTime,
}

/// POST: records a release; 409 when its version is recorded already.
pub(crate) async fn record(
    State(store): State<Store>,
    Actor(origin): Actor,
    extract::Json(recording): extract::Json<Recording>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Shown>), Problem> {
    let new = recording.checked()?;
    let release = store.releases().record(&new, &origin).await.map_err(refusal::of)?;
    let location = format!("/v1/releases/{}", release.version);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(release.into())))
}

/// GET: lists releases, newest first.
pub(crate) async fn list(
    State(store): State<Store>,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Json<Listed<Shown>>, Problem> {
    let page = store.releases().list(asked.before()?, asked.size()?).await.map_err(refusal::of)?;
    Ok(Json(Listed::page(page)))
}

/// GET of a version.
pub(crate) async fn show(
    State(store): State<Store>,
    extract::Path(version): extract::Path<String>,
) -> Result<Json<Shown>, Problem> {
    match store.releases().find_version(&version).await.map_err(refusal::of)? {
        Some(release) => Ok(Json(release.into())),
        None => Err(Problem::not_found(format!("release `{version}` is not recorded"))),
    }
}

impl Recording {
    fn checked(self) -> Result<NewRelease, Problem> {
        form::version("version", &self.version)?;
        form::commit("commit", &self.commit)?;
        if self.images.is_empty() {
            return Err(Problem::invalid("images", "expected at least one service and its image"));
        }
        let mut images = Vec::with_capacity(self.images.len());
        for (service, reference) in &self.images {
            let field = format!("images.{service}");
            form::name(&field, service)?;
            images.push(form::image(&field, service, reference)?);
        }
        Ok(NewRelease { version: self.version, commit_id: self.commit, images })
    }
}

impl From<Release> for Shown {
    fn from(release: Release) -> Self {
        let by_service = |image: store::releases::Image| {
            let reference = format!("{}@{}", image.repository, image.digest);
            (image.service, reference)
        };
        Self {
            id: release.id,
            version: release.version,
            commit: release.commit_id,
            images: release.images.into_iter().map(by_service).collect(),
            recorded_by: release.recorded_by,
            recorded_at: release.recorded_at,
        }
    }
}
