//! Environments, and which services each of them runs.

use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit::{self, NewEntry};
use crate::{Error, Origin, object};

/// Where releases are rolled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Its identifier.
    pub id: Uuid,
    /// Its name: `production`.
    pub name: String,
    /// The services it runs, in alphabetical order: a release fits when it has an image for each.
    pub services: Vec<String>,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// The environments; see [`crate::Store::environments`].
#[derive(Debug)]
pub struct Environments<'a> {
    pool: &'a PgPool,
}

impl<'a> Environments<'a> {
    pub(crate) fn new(pool: &'a PgPool) -> Self {
        Self { pool }
    }

    /// Records an environment, with an audit entry in the same transaction.
    ///
    /// # Errors
    /// The name is taken or not a plain name, a service is named twice, or the database fails.
    pub async fn create(
        &self,
        name: &str,
        services: &[String],
        origin: &Origin,
    ) -> Result<Environment, Error> {
        let mut transaction = self.pool.begin().await?;
        let id = Uuid::now_v7();
        let created_at = sqlx::query_scalar!(
            "INSERT INTO environments (id, name) VALUES ($1, $2) RETURNING created_at",
            id,
            name,
        )
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query!(
            "INSERT INTO environment_services (environment_id, service)
             SELECT $1, service FROM unnest($2::text[]) AS service",
            id,
            services,
        )
        .execute(&mut *transaction)
        .await?;
        let entry = NewEntry {
            action: "environment.created".to_owned(),
            subject: format!("environment/{id}"),
            details: object([("name", json!(name)), ("services", json!(services))]),
        };
        audit::insert(&mut transaction, &entry, origin).await?;
        transaction.commit().await?;

        let mut services = services.to_vec();
        services.sort();
        Ok(Environment { id, name: name.to_owned(), services, created_at })
    }

    /// All environments, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(&self) -> Result<Vec<Environment>, Error> {
        self.select(None).await
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find(&self, name: &str) -> Result<Option<Environment>, Error> {
        Ok(self.select(Some(name)).await?.pop())
    }

    async fn select(&self, name: Option<&str>) -> Result<Vec<Environment>, Error> {
        let environments = sqlx::query_as!(
            Environment,
            r#"SELECT id, name, created_at,
                      ARRAY(SELECT service FROM environment_services
                            WHERE environment_id = environments.id ORDER BY service) AS "services!"
               FROM environments
               WHERE $1::text IS NULL OR name = $1
               ORDER BY name"#,
            name,
        )
        .fetch_all(self.pool)
        .await?;
        Ok(environments)
    }
}
