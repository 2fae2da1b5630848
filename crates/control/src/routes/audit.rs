//! `/v1/audit`: who did what, newest first; it can only be read.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use service::problem::{FieldError, Part};
use service::{Problem, extract};
use store::audit::{Entry, Filter};
use time::OffsetDateTime;

use crate::list::{self, Asked};
use crate::{App, form, refusal};

/// What the list is asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedAbout {
    limit: Option<String>,
    cursor: Option<String>,
    subject: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    request_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// GET: lists the entries of which everything holds that is said.
pub(crate) async fn list(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Query(asked): extract::Query<AskedAbout>,
) -> Result<Response, Problem> {
    let mut faults = Vec::new();
    let page = Asked { limit: asked.limit, cursor: asked.cursor };
    let (size, before) = page.collect::<i64>(&mut faults);
    let since = instant("since", asked.since.as_deref(), &mut faults);
    let until = instant("until", asked.until.as_deref(), &mut faults);
    if !faults.is_empty() {
        return Err(refusal::invalid(faults));
    }
    let AskedAbout { subject, actor, action, request_id, .. } = asked;
    let filter = Filter { subject, actor, action, request_id, since, until };
    let page = store.audit().list(&filter, before, size).await.map_err(refusal::of)?;
    Ok(list::page(&uri, page, shown))
}

fn instant(name: &str, text: Option<&str>, faults: &mut Vec<FieldError>) -> Option<OffsetDateTime> {
    let read = text.map(form::instant)?;
    read.map_err(|detail| faults.push(FieldError::named(Part::Query, name, detail))).ok()
}

fn shown(entry: Entry) -> api::AuditEntry {
    api::AuditEntry {
        id: entry.id,
        at: entry.at,
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        request_id: entry.request_id,
        details: entry.details,
    }
}
