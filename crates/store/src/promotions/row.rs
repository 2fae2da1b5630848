//! Reading promotions, and what decides about them.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::Connection;
use crate::{Error, PageSize, Position};

use super::{Promotion, State};

struct Row {
    id: Uuid,
    environment: String,
    release_id: Uuid,
    version: String,
    state: String,
    rollback: bool,
    needs_approval: bool,
    requires_id: Option<Uuid>,
    proof_id: Option<Uuid>,
    asked_by: String,
    asked_at: OffsetDateTime,
    note: Option<String>,
    decided_by: Option<String>,
    decided_at: Option<OffsetDateTime>,
    decision_note: Option<String>,
}

/// The promotion of that identifier.
pub(super) async fn get(connection: &mut Connection, id: Uuid) -> Result<Option<Promotion>, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT p.id, e.name AS environment, p.release_id, r.version, p.state, p.rollback, p.needs_approval,
                p.requires_id, p.proof_id, p.asked_by, p.asked_at, p.note, p.decided_by, p.decided_at,
                p.decision_note
         FROM promotions p
         JOIN environments e ON e.id = p.environment_id
         JOIN releases r ON r.id = p.release_id
         WHERE p.id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Promotion::from))
}

/// An environment's promotions, newest first, with one more than fits on the page.
pub(super) async fn list(
    connection: &mut Connection,
    environment_id: Uuid,
    before: Option<Position>,
    size: PageSize,
) -> Result<Vec<Promotion>, Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT p.id, e.name AS environment, p.release_id, r.version, p.state, p.rollback, p.needs_approval,
                p.requires_id, p.proof_id, p.asked_by, p.asked_at, p.note, p.decided_by, p.decided_at,
                p.decision_note
         FROM promotions p
         JOIN environments e ON e.id = p.environment_id
         JOIN releases r ON r.id = p.release_id
         WHERE p.environment_id = $1
           AND ($2::timestamptz IS NULL OR (p.asked_at, p.id) < ($2, $3::uuid))
         ORDER BY p.asked_at DESC, p.id DESC
         LIMIT $4",
        environment_id,
        before.map(|position| position.at),
        before.map(|position| position.id),
        size.probe(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Promotion::from).collect())
}

/// The open promotion of an environment.
pub(super) async fn open(connection: &mut Connection, environment_id: Uuid) -> Result<Option<Uuid>, Error> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM promotions WHERE environment_id = $1 AND state = 'open'",
        environment_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// The identifier of the release of that version.
pub(crate) async fn release_of(connection: &mut Connection, version: &str) -> Result<Option<Uuid>, Error> {
    let id = sqlx::query_scalar!("SELECT id FROM releases WHERE version = $1", version)
        .fetch_optional(connection)
        .await?;
    Ok(id)
}

/// The services of an environment for which a release has no image.
pub(super) async fn lacking(
    connection: &mut Connection,
    environment_id: Uuid,
    release_id: Uuid,
) -> Result<Vec<String>, Error> {
    let services = sqlx::query_scalar!(
        "SELECT service FROM environment_services s
         WHERE s.environment_id = $1
           AND NOT EXISTS (SELECT 1 FROM release_images i WHERE i.release_id = $2 AND i.service = s.service)
         ORDER BY service",
        environment_id,
        release_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(services)
}

/// Whether a release was ever to run in an environment.
pub(crate) async fn was_desired(
    connection: &mut Connection,
    environment_id: Uuid,
    release_id: Uuid,
) -> Result<bool, Error> {
    let was = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM desired_releases WHERE environment_id = $1 AND release_id = $2
           ) AS "was!""#,
        environment_id,
        release_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(was)
}

impl From<Row> for Promotion {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            environment: row.environment,
            release_id: row.release_id,
            version: row.version,
            state: State::from_column(&row.state),
            rollback: row.rollback,
            needs_approval: row.needs_approval,
            requires_id: row.requires_id,
            proof_id: row.proof_id,
            asked_by: row.asked_by,
            asked_at: row.asked_at,
            note: row.note,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
            decision_note: row.decision_note,
        }
    }
}
