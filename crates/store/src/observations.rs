//! What was seen to run in environments: the proof that a later environment asks for.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::change::Change;
use crate::database::{Connection, Database};
use crate::events::{Fact, Kind};
use crate::retry::{Lost, retried};
use crate::{
    Error, Key, Made, Novelty, Origin, Page, PageSize, Position, environments, idempotency, object,
    promotions,
};

/// An observation before it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObservation {
    /// The version of the release that was seen.
    pub version: String,
    /// Whether all services run it and are ready.
    pub healthy: bool,
    /// What it was seen by.
    pub note: Option<String>,
}

/// A recorded observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Its identifier.
    pub id: Uuid,
    /// The version of the release that was seen.
    pub version: String,
    /// Whether all services ran it and were ready.
    pub healthy: bool,
    /// What it was seen by.
    pub note: Option<String>,
    /// Who reported it.
    pub observed_by: String,
    /// When, by the database's clock.
    pub observed_at: OffsetDateTime,
}

/// Why an observation was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// There is no environment of that name.
    #[error("environment `{0}` is not recorded")]
    NoEnvironment(String),
    /// There is no release of that version.
    #[error("release `{0}` is not recorded")]
    NoRelease(String),
    /// What was never to run there was not seen to run there either.
    #[error("release `{version}` was never desired in `{environment}`")]
    NeverDesired {
        /// The environment's name.
        environment: String,
        /// The release's version.
        version: String,
    },
    /// The record failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The observations; see [`crate::Store::observations`].
#[derive(Debug)]
pub struct Observations<'a> {
    database: &'a Database,
}

impl<'a> Observations<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Records what was seen to run in an environment.
    ///
    /// # Errors
    /// Environment or release are not recorded or have nothing to do with each other, the key was used for another
    /// request, a value breaks the schema's rules, or the database fails.
    pub async fn record(
        &self,
        environment: &str,
        new: &NewObservation,
        key: Option<&Key>,
        origin: &Origin,
    ) -> Result<Made<Observation>, ObserveError> {
        retried(|| self.try_record(environment, new, key, origin)).await
    }

    async fn try_record(
        &self,
        environment: &str,
        new: &NewObservation,
        key: Option<&Key>,
        origin: &Origin,
    ) -> Result<Made<Observation>, ObserveError> {
        let mut change = Change::begin(self.database, origin).await?;
        let id = Uuid::now_v7();
        let claimed =
            idempotency::claim(change.connection(), key, &format!("observation/{id}"), origin).await?;
        if let Some(subject) = claimed {
            let observation = get(change.connection(), idempotency::identifier(&subject)).await?;
            let value = observation.ok_or(Error::KeyReused)?;
            return Ok(Made { value, novelty: Novelty::Replayed });
        }
        let Some(environment) = environments::find(change.connection(), environment).await? else {
            return Err(ObserveError::NoEnvironment(environment.to_owned()));
        };
        let Some(release_id) = promotions::release_of(change.connection(), &new.version).await? else {
            return Err(ObserveError::NoRelease(new.version.clone()));
        };
        if !promotions::was_desired(change.connection(), environment.id, release_id).await? {
            let (environment, version) = (environment.name, new.version.clone());
            return Err(ObserveError::NeverDesired { environment, version });
        }
        let observed_at = sqlx::query_scalar!(
            "INSERT INTO observations (id, environment_id, release_id, healthy, note, observed_by)
             VALUES ($1, $2, $3, $4, $5, $6)
             RETURNING observed_at",
            id,
            environment.id,
            release_id,
            new.healthy,
            new.note,
            origin.actor,
        )
        .fetch_one(change.connection())
        .await?;
        let details = object([
            ("observation_id", json!(id)),
            ("environment", json!(environment.name)),
            ("version", json!(new.version)),
            ("healthy", json!(new.healthy)),
        ]);
        let subject = format!("environment/{}", environment.id);
        change.tell(Fact { kind: Kind::EnvironmentObserved, subject, details });
        change.commit().await?;
        let value = Observation {
            id,
            version: new.version.clone(),
            healthy: new.healthy,
            note: new.note.clone(),
            observed_by: origin.actor.clone(),
            observed_at,
        };
        Ok(Made { value, novelty: Novelty::New })
    }

    /// What was seen in the environment of that name, newest first: from the newest, or those before a position. `None`
    /// when there is no such environment.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(
        &self,
        environment: &str,
        before: Option<Position>,
        size: PageSize,
    ) -> Result<Option<Page<Observation, Position>>, Error> {
        let mut connection = self.database.acquire().await?;
        let Some(environment) = environments::find(&mut connection, environment).await? else {
            return Ok(None);
        };
        let observations = sqlx::query_as!(
            Observation,
            "SELECT o.id, r.version, o.healthy, o.note, o.observed_by, o.observed_at
             FROM observations o JOIN releases r ON r.id = o.release_id
             WHERE o.environment_id = $1
               AND ($2::timestamptz IS NULL OR (o.observed_at, o.id) < ($2, $3::uuid))
             ORDER BY o.observed_at DESC, o.id DESC
             LIMIT $4",
            environment.id,
            before.map(|position| position.at),
            before.map(|position| position.id),
            size.probe(),
        )
        .fetch_all(&mut connection)
        .await?;
        let position = |item: &Observation| Position { at: item.observed_at, id: item.id };
        Ok(Some(Page::cut(observations, size, position)))
    }
}

impl Lost for ObserveError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lost())
    }
}

impl From<sqlx::Error> for ObserveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the newest observation of a release in an environment says: its identifier, and whether it was healthy.
pub(crate) async fn newest(
    connection: &mut Connection,
    environment_id: Uuid,
    release_id: Uuid,
) -> Result<Option<(Uuid, bool)>, Error> {
    let row = sqlx::query!(
        "SELECT id, healthy FROM observations
         WHERE environment_id = $1 AND release_id = $2
         ORDER BY observed_at DESC, id DESC
         LIMIT 1",
        environment_id,
        release_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.id, row.healthy)))
}

async fn get(connection: &mut Connection, id: &str) -> Result<Option<Observation>, Error> {
    let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
    let observation = sqlx::query_as!(
        Observation,
        "SELECT o.id, r.version, o.healthy, o.note, o.observed_by, o.observed_at
         FROM observations o JOIN releases r ON r.id = o.release_id
         WHERE o.id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(observation)
}
