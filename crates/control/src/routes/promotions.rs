//! `/v1/environments/{name}/promotions` and `/v1/promotions`: what is asked for, and what is decided.

use api::PromotionState;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use service::identity::Role;
use service::{Problem, extract};
use store::promotions::{Decision, NewPromotion, Promotion, Reach, State as Stands};
use uuid::Uuid;

use crate::asker::{Asker, IdempotencyKey};
use crate::fields::{Body, MaybeBody, text};
use crate::list::{self, Asked};
use crate::{App, form, refusal};

use super::environments::unknown;
use super::releases::created;

type Decided = Result<Json<api::Promotion>, Problem>;

/// GET: lists promotions, newest first.
pub(crate) async fn list(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Path(name): extract::Path<String>,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let (size, before) = asked.read()?;
    let page = store.promotions().list(&name, before, size).await.map_err(refusal::of)?;
    let page = page.ok_or_else(|| unknown(&name))?;
    Ok(list::page(&uri, page, shown))
}

/// POST: asks for a release in the environment.
pub(crate) async fn ask(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    extract::Path(name): extract::Path<String>,
    key: IdempotencyKey,
    body: Body,
) -> Result<(StatusCode, HeaderMap, Json<api::Promotion>), Problem> {
    let key = key.of(body.request);
    let mut fields = body.fields()?;
    let version = fields.required("release", text(form::version));
    let rollback = fields.flag("rollback");
    let note = fields.optional("note", text(form::note));
    let new = fields.finish(version.map(|version| NewPromotion { version, rollback, note }))?;
    let made = store.promotions().ask(&name, &new, key.as_ref(), &origin).await;
    let made = made.map_err(refusal::of_promotion)?;
    let (status, headers) = created(made.novelty, &format!("/v1/promotions/{}", made.value.id));
    Ok((status, headers, Json(shown(made.value))))
}

/// GET of an identifier.
pub(crate) async fn show(
    State(App { store, .. }): State<App>,
    extract::Path(id): extract::Path<Uuid>,
) -> Result<Json<api::Promotion>, Problem> {
    match store.promotions().get(id).await.map_err(refusal::of)? {
        Some(promotion) => Ok(Json(shown(promotion))),
        None => Err(Problem::not_found(format!("promotion `{id}` is not recorded"))),
    }
}

/// POST: approves it.
pub(crate) async fn approve(
    State(app): State<App>,
    asker: Asker,
    extract::Path(id): extract::Path<Uuid>,
    body: MaybeBody,
) -> Decided {
    decide(&app, &asker, id, Decision::Approve, body).await
}

/// POST: rejects it.
pub(crate) async fn reject(
    State(app): State<App>,
    asker: Asker,
    extract::Path(id): extract::Path<Uuid>,
    body: MaybeBody,
) -> Decided {
    decide(&app, &asker, id, Decision::Reject, body).await
}

/// POST: takes it back.
pub(crate) async fn withdraw(
    State(app): State<App>,
    asker: Asker,
    extract::Path(id): extract::Path<Uuid>,
    body: MaybeBody,
) -> Decided {
    let reach = if asker.role == Role::Operator { Reach::Anybodys } else { Reach::Own };
    decide(&app, &asker, id, Decision::Withdraw(reach), body).await
}

async fn decide(app: &App, asker: &Asker, id: Uuid, decision: Decision, body: MaybeBody) -> Decided {
    let mut fields = body.0;
    let note = fields.optional("note", text(form::note));
    fields.finish(Some(()))?;
    let decided = app.store.promotions().decide(id, decision, note.as_deref(), &asker.origin).await;
    decided.map(|promotion| Json(shown(promotion))).map_err(refusal::of_promotion)
}

fn shown(promotion: Promotion) -> api::Promotion {
    api::Promotion {
        id: promotion.id,
        environment: promotion.environment,
        release: promotion.version,
        state: match promotion.state {
            Stands::Open => PromotionState::Open,
            Stands::Approved => PromotionState::Approved,
            Stands::Rejected => PromotionState::Rejected,
            Stands::Withdrawn => PromotionState::Withdrawn,
        },
        rollback: promotion.rollback,
        needs_approval: promotion.needs_approval,
        proof_id: promotion.proof_id,
        asked_by: promotion.asked_by,
        asked_at: promotion.asked_at,
        note: promotion.note,
        decided_by: promotion.decided_by,
        decided_at: promotion.decided_at,
        decision_note: promotion.decision_note,
    }
}
