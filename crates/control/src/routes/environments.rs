//! `/v1/environments`: where releases run, what they require, and what is desired there.

use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::Response;
use service::problem::Part;
use service::{Problem, extract};
use store::environments::{Desired, Environment, Expected, Put, Wanted};

use crate::asker::Asker;
use crate::fields::{Body, text};
use crate::list::{self, Asked};
use crate::{App, form, refusal};

type Shown = ([(HeaderName, String); 1], Json<api::Environment>);

/// GET: lists environments by name.
pub(crate) async fn list(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let (size, after) = asked.read::<String>()?;
    let page = store.environments().page(after.as_deref(), size).await.map_err(refusal::of)?;
    Ok(list::page(&uri, page, shown))
}

/// GET of a name.
pub(crate) async fn show(
    State(App { store, .. }): State<App>,
    extract::Path(name): extract::Path<String>,
) -> Result<Shown, Problem> {
    match store.environments().find(&name).await.map_err(refusal::of)? {
        Some(environment) => Ok(tagged(environment)),
        None => Err(unknown(&name)),
    }
}

/// GET: lists what was desired there, the present one first.
pub(crate) async fn desired(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Path(name): extract::Path<String>,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let (size, before) = asked.read()?;
    let page = store.environments().desired(&name, before, size).await.map_err(refusal::of)?;
    let page = page.ok_or_else(|| unknown(&name))?;
    Ok(list::page(&uri, page, shown_desired))
}

/// PUT: 201 when it is new, 200 when it is as asked for; 428 or 412 when it would replace what was not named.
pub(crate) async fn put(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    extract::Path(name): extract::Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Shown), Problem> {
    form::name(&name).map_err(|wanted| refusal::invalid_in(Part::Path, "name", wanted))?;
    let expected = expected(&headers)?;
    let mut fields = body.fields()?;
    let services = fields.required("services", form::services);
    let protected = fields.flag("protected");
    let requires = fields.optional("requires", text(form::name));
    let wanted = fields.finish(services.map(|services| Wanted { services, protected, requires }))?;
    let put = store.environments().put(&name, &wanted, expected, &origin).await.map_err(refusal::of_put)?;
    Ok(match put {
        Put::Created(environment) => (StatusCode::CREATED, tagged(environment)),
        Put::Changed(environment) | Put::Unchanged(environment) => (StatusCode::OK, tagged(environment)),
    })
}

pub(super) fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("environment `{name}` is not recorded"))
}

/// What `If-Match` says is to be replaced. A weak tag matches nothing, and neither does a list of tags: there is one.
fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let Some(tag) = headers.get(IF_MATCH) else { return Ok(Expected::Unsaid) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(Expected::Some);
    }
    let revision =
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    let wanted = "expected an `ETag` that was read here, such as `\"3\"`, or `*`";
    revision.map(Expected::Revision).ok_or_else(|| refusal::invalid_in(Part::Header, "if-match", wanted))
}

fn tagged(environment: Environment) -> Shown {
    ([(ETAG, format!("\"{}\"", environment.revision))], Json(shown(environment)))
}

fn shown(environment: Environment) -> api::Environment {
    api::Environment {
        id: environment.id,
        name: environment.name,
        services: environment.services,
        protected: environment.protected,
        requires: environment.requires,
        desired: environment.desired.map(shown_desired),
        revision: environment.revision,
        created_at: environment.created_at,
    }
}

fn shown_desired(desired: Desired) -> api::DesiredRelease {
    api::DesiredRelease {
        generation: desired.generation,
        release: desired.version,
        promotion_id: desired.promotion_id,
        set_by: desired.set_by,
        set_at: desired.set_at,
    }
}
