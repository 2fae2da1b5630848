//! Recording an environment, or changing it, by who says which revision is to be replaced.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::change::Change;
use crate::database::Connection;
use crate::events::{Fact, Kind};
use crate::retry::{Lost, retried};
use crate::{Error, Origin, object};

use super::{Environment, Environments, bump, find, lock, row};

/// An environment as it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The services that it runs.
    pub services: BTreeSet<String>,
    /// Whether what is asked for there must be approved by another person.
    pub protected: bool,
    /// The name of the environment that must have run a release before.
    pub requires: Option<String>,
}

/// What is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing was said about it: only an environment that is not recorded, or recorded just so.
    Unsaid,
    /// An environment, whatever its revision.
    Some,
    /// An environment of this revision.
    Revision(i64),
}

/// What became of it. Either way the environment is now as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was recorded.
    Created(Environment),
    /// It was changed.
    Changed(Environment),
    /// It was so already.
    Unchanged(Environment),
}

/// Why an environment was not put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// It is recorded otherwise, and nothing was said about what is to be replaced.
    #[error("environment `{0}` is recorded otherwise")]
    Exists(String),
    /// It is not what was to be replaced.
    #[error("environment `{name}` is at {}", .revision.map_or("no revision: it is not recorded".to_owned(), |it| format!("revision {it}")))]
    Changed {
        /// Its name.
        name: String,
        /// Its revision; `None` when it is not recorded.
        revision: Option<i64>,
    },
    /// What it requires is not recorded.
    #[error("environment `{0}` is not recorded")]
    NothingRequired(String),
    /// It would require itself, by way of these.
    #[error("it would require itself: {}", .0.join(" → "))]
    Circle(Vec<String>),
    /// The record failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Environments<'_> {
    /// Makes the environment of that name what is wanted.
    ///
    /// # Errors
    /// It is not what was expected, it requires what cannot be, a value breaks the schema's rules, or the database fails.
    pub async fn put(
        &self,
        name: &str,
        wanted: &Wanted,
        expected: Expected,
        origin: &Origin,
    ) -> Result<Put, PutError> {
        retried(|| self.try_put(name, wanted, expected, origin)).await
    }

    async fn try_put(
        &self,
        name: &str,
        wanted: &Wanted,
        expected: Expected,
        origin: &Origin,
    ) -> Result<Put, PutError> {
        let mut change = Change::begin(self.database, origin).await?;
        alone(change.connection()).await?;
        let Some(present) = lock(change.connection(), name).await? else {
            if expected != Expected::Unsaid {
                return Err(PutError::Changed { name: name.to_owned(), revision: None });
            }
            let requires_id = required(change.connection(), name, wanted).await?;
            let created = create(&mut change, name, wanted, requires_id).await?;
            change.commit().await?;
            return Ok(Put::Created(created));
        };
        match expected {
            Expected::Revision(revision) if revision != present.revision => {
                return Err(PutError::Changed { name: name.to_owned(), revision: Some(present.revision) });
            }
            _ if wanted.is(&present) => return Ok(Put::Unchanged(present)),
            Expected::Unsaid => return Err(PutError::Exists(name.to_owned())),
            Expected::Some | Expected::Revision(_) => {}
        }
        let requires_id = required(change.connection(), name, wanted).await?;
        let changed = replace(&mut change, &present, wanted, requires_id).await?;
        change.commit().await?;
        Ok(Put::Changed(changed))
    }
}

impl Wanted {
    fn is(&self, present: &Environment) -> bool {
        self.services.iter().eq(&present.services)
            && self.protected == present.protected
            && self.requires == present.requires
    }
}

impl Lost for PutError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lost())
    }
}

impl From<sqlx::Error> for PutError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// One changes environments at a time: two that came to require each other would both have seen no circle.
async fn alone(connection: &mut Connection) -> Result<(), Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('slipway.environments', 0))")
        .execute(connection)
        .await?;
    Ok(())
}

/// The identifier of what is required, if it can be.
async fn required(
    connection: &mut Connection,
    name: &str,
    wanted: &Wanted,
) -> Result<Option<Uuid>, PutError> {
    let Some(required) = &wanted.requires else { return Ok(None) };
    let mut way = vec![name.to_owned()];
    let mut next = Some(required.clone());
    while let Some(step) = next {
        way.push(step.clone());
        if step == name {
            return Err(PutError::Circle(way));
        }
        let Some(environment) = find(connection, &step).await? else {
            return Err(PutError::NothingRequired(step));
        };
        next = environment.requires;
    }
    Ok(find(connection, required).await?.map(|environment| environment.id))
}

async fn create(
    change: &mut Change<'_>,
    name: &str,
    wanted: &Wanted,
    requires_id: Option<Uuid>,
) -> Result<Environment, PutError> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO environments (id, name, protected, requires_id) VALUES ($1, $2, $3, $4)",
        id,
        name,
        wanted.protected,
        requires_id,
    )
    .execute(change.connection())
    .await?;
    services(change.connection(), id, wanted).await?;
    tell(change, Kind::EnvironmentCreated, id, name, wanted);
    reread(change.connection(), name).await
}

async fn replace(
    change: &mut Change<'_>,
    present: &Environment,
    wanted: &Wanted,
    requires_id: Option<Uuid>,
) -> Result<Environment, PutError> {
    sqlx::query!(
        "UPDATE environments SET protected = $2, requires_id = $3 WHERE id = $1",
        present.id,
        wanted.protected,
        requires_id,
    )
    .execute(change.connection())
    .await?;
    bump(change.connection(), present.id).await?;
    sqlx::query!("DELETE FROM environment_services WHERE environment_id = $1", present.id)
        .execute(change.connection())
        .await?;
    services(change.connection(), present.id, wanted).await?;
    tell(change, Kind::EnvironmentChanged, present.id, &present.name, wanted);
    reread(change.connection(), &present.name).await
}

async fn services(connection: &mut Connection, id: Uuid, wanted: &Wanted) -> Result<(), Error> {
    let services: Vec<String> = wanted.services.iter().cloned().collect();
    sqlx::query!(
        "INSERT INTO environment_services (environment_id, service)
         SELECT $1, service FROM unnest($2::text[]) AS service",
        id,
        &services,
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn tell(change: &mut Change<'_>, kind: Kind, id: Uuid, environment: &str, wanted: &Wanted) {
    let details = object([
        ("name", json!(environment)),
        ("services", json!(wanted.services)),
        ("protected", json!(wanted.protected)),
        ("requires", json!(wanted.requires)),
    ]);
    change.tell(Fact { kind, subject: format!("environment/{id}"), details });
}

async fn reread(connection: &mut Connection, name: &str) -> Result<Environment, PutError> {
    let environment = row::find(connection, name).await?;
    environment.ok_or_else(|| PutError::Changed { name: name.to_owned(), revision: None })
}
