//! Reading and locking environments, for whatever changes them.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::database::Connection;

use super::{Desired, Environment};

struct Row {
    id: Uuid,
    name: String,
    services: Vec<String>,
    protected: bool,
    requires: Option<String>,
    revision: i64,
    created_at: OffsetDateTime,
    generation: Option<i64>,
    release_id: Option<Uuid>,
    version: Option<String>,
    promotion_id: Option<Uuid>,
    set_by: Option<String>,
    set_at: Option<OffsetDateTime>,
}

/// Environments by name: all, or the one of a name; from the first, or those behind a name.
pub(super) async fn select(
    connection: &mut Connection,
    name: Option<&str>,
    after: Option<&str>,
    limit: Option<i64>,
) -> Result<Vec<Environment>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT e.id, e.name, e.protected, e.revision, e.created_at, required.name AS "requires?",
                  ARRAY(SELECT service FROM environment_services
                        WHERE environment_id = e.id ORDER BY service) AS "services!",
                  d.generation AS "generation?", d.release_id AS "release_id?", r.version AS "version?",
                  d.promotion_id AS "promotion_id?", p.decided_by AS "set_by?", d.set_at AS "set_at?"
           FROM environments e
           LEFT JOIN environments required ON required.id = e.requires_id
           LEFT JOIN desired_releases d ON d.environment_id = e.id AND d.generation =
               (SELECT max(generation) FROM desired_releases WHERE environment_id = e.id)
           LEFT JOIN releases r ON r.id = d.release_id
           LEFT JOIN promotions p ON p.id = d.promotion_id
           WHERE ($1::text IS NULL OR e.name = $1) AND ($2::text IS NULL OR e.name > $2)
           ORDER BY e.name
           LIMIT $3"#,
        name,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Environment::from).collect())
}

/// The environment of that name.
pub(crate) async fn find(connection: &mut Connection, name: &str) -> Result<Option<Environment>, Error> {
    Ok(select(connection, Some(name), None, None).await?.pop())
}

/// The environment of that name, as it is once nobody else changes it, and as it stays until the transaction ends.
pub(crate) async fn lock(connection: &mut Connection, name: &str) -> Result<Option<Environment>, Error> {
    let id = sqlx::query_scalar!("SELECT id FROM environments WHERE name = $1 FOR NO KEY UPDATE", name)
        .fetch_optional(&mut *connection)
        .await?;
    // Read anew: what was seen before the lock may be older than it.
    if id.is_some() { find(connection, name).await } else { Ok(None) }
}

/// Counts a change of the environment, whose row the transaction has locked.
pub(crate) async fn bump(connection: &mut Connection, id: Uuid) -> Result<(), Error> {
    sqlx::query!("UPDATE environments SET revision = revision + 1 WHERE id = $1", id)
        .execute(connection)
        .await?;
    Ok(())
}

impl From<Row> for Environment {
    fn from(row: Row) -> Self {
        let desired = || {
            Some(Desired {
                generation: row.generation?,
                release_id: row.release_id?,
                version: row.version?,
                promotion_id: row.promotion_id?,
                set_by: row.set_by?,
                set_at: row.set_at?,
            })
        };
        Self {
            desired: desired(),
            id: row.id,
            name: row.name,
            services: row.services,
            protected: row.protected,
            requires: row.requires,
            revision: row.revision,
            created_at: row.created_at,
        }
    }
}
