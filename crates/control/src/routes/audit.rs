//! `/v1/audit`: who did what, newest first; it can only be read.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use service::{Problem, extract};
use store::Store;
use store::audit::Entry;

use crate::list::{Asked, Listed};
use crate::refusal;

/// What the list is asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedAbout {
    limit: Option<String>,
    before: Option<String>,
    /// What the entries are about: `release/0190…`.
    subject: Option<String>,
}

/// GET: lists entries, all or those about `?subject=`.
pub(crate) async fn list(
    State(store): State<Store>,
    extract::Query(AskedAbout { limit, before, subject }): extract::Query<AskedAbout>,
) -> Result<Json<Listed<Entry>>, Problem> {
    let asked = Asked { limit, before };
    let page = store.audit().list(subject.as_deref(), asked.before()?, asked.size()?).await;
    Ok(Json(Listed::page(page.map_err(refusal::of)?)))
}
