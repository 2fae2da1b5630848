//! `/v1/tokens`: API tokens of machines; and what the gateway asks about them.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::Response;
use service::identity::ApiToken;
use service::{Problem, extract};
use store::tokens::{NewToken, Token};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::asker::Asker;
use crate::fields::{Body, text};
use crate::list::{self, Asked};
use crate::{App, form, refusal};

/// How long a token holds where nothing is said.
const LIFETIME: Duration = Duration::days(90);
/// How long it holds at most.
const LIFETIME_MAX: Duration = Duration::days(366);
/// The name under which the gateway asks for itself, and nobody else does.
const GATEWAY: &str = "gateway";

/// GET: lists tokens without their secrets, newest first.
pub(crate) async fn list(
    State(App { store, .. }): State<App>,
    uri: Uri,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let (size, before) = asked.read()?;
    let page = store.tokens().list(before, size).await.map_err(refusal::of)?;
    let items = page.items.into_iter().map(shown).collect::<Result<_, Problem>>()?;
    Ok(list::page(&uri, store::Page { items, next: page.next }, |token: api::Token| token))
}

/// POST: makes a token and shows its secret, now and never again.
pub(crate) async fn create(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    body: Body,
) -> Result<(StatusCode, [(HeaderName, String); 2], Json<api::CreatedToken>), Problem> {
    let mut fields = body.fields()?;
    let name = fields.required("name", text(form::name));
    let role = fields.required("role", text(|text| text.parse::<api::Role>().map_err(|it| it.to_string())));
    let now = OffsetDateTime::now_utc();
    let expires_at = fields.optional("expires_at", text(|text| expiry(text, now)));
    let (name, role) = fields.finish(name.zip(role))?;
    let secret = ApiToken::generate().map_err(Problem::internal)?;
    let new = NewToken {
        name,
        secret_sha256: secret.sha256(),
        role: role.name().to_owned(),
        expires_at: expires_at.unwrap_or(now + LIFETIME),
    };
    let token = store.tokens().create(&new, &origin).await.map_err(refusal::of)?;
    let headers = [(LOCATION, format!("/v1/tokens/{}", token.id)), (CACHE_CONTROL, "no-store".to_owned())];
    let secret = secret.expose().to_owned();
    Ok((StatusCode::CREATED, headers, Json(api::CreatedToken { token: shown(token)?, secret })))
}

/// DELETE: revokes a token.
pub(crate) async fn revoke(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    extract::Path(id): extract::Path<Uuid>,
) -> Result<Json<api::Token>, Problem> {
    match store.tokens().revoke(id, &origin).await.map_err(refusal::of)? {
        Some(token) => shown(token).map(Json),
        None => Err(Problem::not_found(format!("token `{id}` is not recorded"))),
    }
}

/// POST of the gateway: what a token is worth now.
pub(crate) async fn resolve(
    State(App { store, .. }): State<App>,
    Asker { origin, .. }: Asker,
    body: Body,
) -> Result<Json<api::ResolvedToken>, Problem> {
    if origin.actor != GATEWAY {
        let message = "only the gateway asks what a token is worth";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    let mut fields = body.fields()?;
    let sha256 = fields.required("sha256", text(digest));
    let sha256 = fields.finish(sha256)?;
    let token = store.tokens().resolve(sha256).await.map_err(refusal::of)?;
    let token = token.ok_or_else(|| Problem::not_found("no token holds that hashes to this"))?;
    let (id, subject, expires_at) = (token.id, token.subject(), token.expires_at);
    Ok(Json(api::ResolvedToken { id, subject, role: role(&token)?, expires_at }))
}

fn expiry(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let expires_at = form::instant(text)?;
    if expires_at <= now || expires_at > now + LIFETIME_MAX {
        let days = LIFETIME_MAX.whole_days();
        return Err(format!("expected a time in the future, at most {days} days from now"));
    }
    Ok(expires_at)
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let text = form::sha256(text)?;
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
    }
    Ok(bytes)
}

/// The role of a recorded token; the schema allows no other.
fn role(token: &Token) -> Result<api::Role, Problem> {
    token.role.parse().map_err(Problem::internal)
}

fn shown(token: Token) -> Result<api::Token, Problem> {
    let role = role(&token)?;
    Ok(api::Token {
        id: token.id,
        name: token.name,
        role,
        created_by: token.created_by,
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        revoked_at: token.revoked_at,
        revoked_by: token.revoked_by,
    })
}
