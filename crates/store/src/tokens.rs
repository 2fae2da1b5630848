//! API tokens of machines: made, listed, revoked, and told what they are worth. The token itself never gets here.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::change::Change;
use crate::database::{Connection, Database};
use crate::events::{Fact, Kind};
use crate::promotions::MACHINE;
use crate::retry::retried;
use crate::{Error, Origin, Page, PageSize, Position, object};

/// A token to be recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its name, never given before.
    pub name: String,
    /// SHA-256 of the token.
    pub secret_sha256: [u8; 32],
    /// The name of its role.
    pub role: String,
    /// Until when it holds.
    pub expires_at: OffsetDateTime,
}

/// A recorded token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its identifier.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// Who made it.
    pub created_by: String,
    /// When, by the database's clock.
    pub created_at: OffsetDateTime,
    /// Until when it holds.
    pub expires_at: OffsetDateTime,
    /// When it was last used, to within [`USE_IS_NOTED_EVERY_S`].
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it holds no more.
    pub revoked_at: Option<OffsetDateTime>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
}

/// How many seconds pass before a further use of a token is written down: not every request is a write.
pub const USE_IS_NOTED_EVERY_S: u32 = 300;

/// The tokens; see [`crate::Store::tokens`].
#[derive(Debug)]
pub struct Tokens<'a> {
    database: &'a Database,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Records a token.
    ///
    /// # Errors
    /// The name was given before, a value breaks the schema's rules, or the database fails.
    pub async fn create(&self, new: &NewToken, origin: &Origin) -> Result<Token, Error> {
        retried(|| self.try_create(new, origin)).await
    }

    async fn try_create(&self, new: &NewToken, origin: &Origin) -> Result<Token, Error> {
        let mut change = Change::begin(self.database, origin).await?;
        let token = sqlx::query_as!(
            Token,
            "INSERT INTO api_tokens (id, name, secret_sha256, role, created_by, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             RETURNING id, name, role, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by",
            Uuid::now_v7(),
            new.name,
            &new.secret_sha256[..],
            new.role,
            origin.actor,
            new.expires_at,
        )
        .fetch_one(change.connection())
        .await?;
        tell(&mut change, Kind::TokenCreated, &token);
        change.commit().await?;
        Ok(token)
    }

    /// Revokes the token of that identifier, from now on and for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// The database fails.
    pub async fn revoke(&self, id: Uuid, origin: &Origin) -> Result<Option<Token>, Error> {
        retried(|| self.try_revoke(id, origin)).await
    }

    async fn try_revoke(&self, id: Uuid, origin: &Origin) -> Result<Option<Token>, Error> {
        let mut change = Change::begin(self.database, origin).await?;
        let revoked = sqlx::query_as!(
            Token,
            "UPDATE api_tokens SET revoked_at = now(), revoked_by = $2
             WHERE id = $1 AND revoked_at IS NULL
             RETURNING id, name, role, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by",
            id,
            origin.actor,
        )
        .fetch_optional(change.connection())
        .await?;
        let Some(revoked) = revoked else { return get(change.connection(), id).await };
        tell(&mut change, Kind::TokenRevoked, &revoked);
        change.commit().await?;
        Ok(Some(revoked))
    }

    /// Lists tokens, newest first: from the newest, or those before a position.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(
        &self,
        before: Option<Position>,
        size: PageSize,
    ) -> Result<Page<Token, Position>, Error> {
        let mut connection = self.database.acquire().await?;
        let tokens = sqlx::query_as!(
            Token,
            "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by
             FROM api_tokens
             WHERE $1::timestamptz IS NULL OR (created_at, id) < ($1, $2::uuid)
             ORDER BY created_at DESC, id DESC
             LIMIT $3",
            before.map(|position| position.at),
            before.map(|position| position.id),
            size.probe(),
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(Page::cut(tokens, size, |token| Position { at: token.created_at, id: token.id }))
    }

    /// The token with that SHA-256, if it holds now by the database's clock; notes that it is used.
    ///
    /// # Errors
    /// The database fails.
    pub async fn resolve(&self, secret_sha256: [u8; 32]) -> Result<Option<Token>, Error> {
        let mut connection = self.database.acquire().await?;
        let token = sqlx::query_as!(
            Token,
            "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by
             FROM api_tokens
             WHERE secret_sha256 = $1 AND revoked_at IS NULL AND expires_at > now()",
            &secret_sha256[..],
        )
        .fetch_optional(&mut connection)
        .await?;
        let Some(token) = token else { return Ok(None) };
        sqlx::query!(
            "UPDATE api_tokens SET last_used_at = now()
             WHERE id = $1 AND revoked_at IS NULL
               AND (last_used_at IS NULL OR last_used_at < now() - make_interval(secs => $2))",
            token.id,
            f64::from(USE_IS_NOTED_EVERY_S),
        )
        .execute(&mut connection)
        .await?;
        Ok(Some(token))
    }
}

impl Token {
    /// What the record calls who uses it.
    pub fn subject(&self) -> String {
        format!("{MACHINE}{}", self.name)
    }
}

/// Never shows what the token hashes to.
impl std::fmt::Debug for NewToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewToken").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who made the token of that name.
pub(crate) async fn maker(connection: &mut Connection, name: &str) -> Result<Option<String>, Error> {
    let maker = sqlx::query_scalar!("SELECT created_by FROM api_tokens WHERE name = $1", name)
        .fetch_optional(connection)
        .await?;
    Ok(maker)
}

async fn get(connection: &mut Connection, id: Uuid) -> Result<Option<Token>, Error> {
    let token = sqlx::query_as!(
        Token,
        "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by
         FROM api_tokens WHERE id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(token)
}

fn tell(change: &mut Change<'_>, kind: Kind, token: &Token) {
    let details = object([
        ("token_id", json!(token.id)),
        ("name", json!(token.name)),
        ("role", json!(token.role)),
        ("expires_at", json!(token.expires_at.unix_timestamp())),
    ]);
    change.tell(Fact { kind, subject: format!("token/{}", token.id), details });
}
