//! Environments: which services each of them runs, what it requires, and which release is desired there.

mod put;
mod row;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::Database;
use crate::{Error, Page, PageSize};

pub use put::{Expected, Put, PutError, Wanted};
pub(crate) use row::{bump, find, lock};

/// Where releases run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Its identifier.
    pub id: Uuid,
    /// Its name: `production`.
    pub name: String,
    /// The services it runs, in alphabetical order: a release fits when it has an image for each.
    pub services: Vec<String>,
    /// Whether what is asked for here must be approved by another person.
    pub protected: bool,
    /// The name of the environment that must have run a release before it may come here.
    pub requires: Option<String>,
    /// The release that is to run here.
    pub desired: Option<Desired>,
    /// Grows with every change of the environment or its desired release.
    pub revision: i64,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A release that is, or was, to run in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Desired {
    /// Counts from 1 in each environment, without gaps.
    pub generation: i64,
    /// The release.
    pub release_id: Uuid,
    /// Its version.
    pub version: String,
    /// The promotion that made it so.
    pub promotion_id: Uuid,
    /// Who decided it.
    pub set_by: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
}

/// The environments; see [`crate::Store::environments`].
#[derive(Debug)]
pub struct Environments<'a> {
    database: &'a Database,
}

impl<'a> Environments<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// All environments, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(&self) -> Result<Vec<Environment>, Error> {
        let mut connection = self.database.acquire().await?;
        row::select(&mut connection, None, None, None).await
    }

    /// A page of environments by name: from the first, or those behind a name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn page(
        &self,
        after: Option<&str>,
        size: PageSize,
    ) -> Result<Page<Environment, String>, Error> {
        let mut connection = self.database.acquire().await?;
        let environments = row::select(&mut connection, None, after, Some(size.probe())).await?;
        Ok(Page::cut(environments, size, |environment| environment.name.clone()))
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find(&self, name: &str) -> Result<Option<Environment>, Error> {
        let mut connection = self.database.acquire().await?;
        find(&mut connection, name).await
    }

    /// What was desired in the environment of that name, the present one first: from it, or those before a generation.
    /// `None` when there is no such environment.
    ///
    /// # Errors
    /// The database fails.
    pub async fn desired(
        &self,
        name: &str,
        before: Option<i64>,
        size: PageSize,
    ) -> Result<Option<Page<Desired, i64>>, Error> {
        let mut connection = self.database.acquire().await?;
        let Some(environment) = find(&mut connection, name).await? else { return Ok(None) };
        let desired = sqlx::query_as!(
            Desired,
            r#"SELECT d.generation, d.release_id, r.version, d.promotion_id, p.decided_by AS "set_by!", d.set_at
               FROM desired_releases d
               JOIN releases r ON r.id = d.release_id
               JOIN promotions p ON p.id = d.promotion_id
               WHERE d.environment_id = $1 AND ($2::bigint IS NULL OR d.generation < $2)
               ORDER BY d.generation DESC
               LIMIT $3"#,
            environment.id,
            before,
            size.probe(),
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(Some(Page::cut(desired, size, |desired| desired.generation)))
    }
}
