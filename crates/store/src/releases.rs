//! Releases and their images by digest; what is recorded does not change.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit::{self, NewEntry};
use crate::jobs::{self, NewJob, VerifyRelease};
use crate::outbox::{self, NewEvent};
use crate::{Error, Origin, Page, PageSize, object};

/// One service's image in a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The service it runs.
    pub service: String,
    /// Registry and path, without tag: `registry.example.org/slipway/gateway`.
    pub repository: String,
    /// `sha256:` and 64 lower-case hex digits.
    pub digest: String,
}

/// A release before it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// A semantic version: `1.4.0`.
    pub version: String,
    /// The full commit that was released.
    pub commit_id: String,
    /// An image per service.
    pub images: Vec<Image>,
}

/// A recorded release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Its identifier.
    pub id: Uuid,
    /// A semantic version, unique among releases.
    pub version: String,
    /// The full commit that was released.
    pub commit_id: String,
    /// Who recorded it.
    pub recorded_by: String,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    /// An image per service, by service.
    pub images: Vec<Image>,
}

/// The releases; see [`crate::Store::releases`].
#[derive(Debug)]
pub struct Releases<'a> {
    pool: &'a PgPool,
}

/// A release's own row.
struct Head {
    id: Uuid,
    version: String,
    commit_id: String,
    recorded_by: String,
    recorded_at: OffsetDateTime,
}

impl<'a> Releases<'a> {
    pub(crate) fn new(pool: &'a PgPool) -> Self {
        Self { pool }
    }

    /// Records a release with its images, the audit entry, the event for the outside world and the job that
    /// verifies it: all of it or nothing.
    ///
    /// # Errors
    /// The version is recorded already, a value breaks the schema's rules, or the database fails.
    pub async fn record(&self, new: &NewRelease, origin: &Origin) -> Result<Release, Error> {
        let mut transaction = self.pool.begin().await?;
        let id = Uuid::now_v7();
        let recorded_at = sqlx::query_scalar!(
            "INSERT INTO releases (id, version, commit_id, recorded_by)
             VALUES ($1, $2, $3, $4)
             RETURNING recorded_at",
            id,
            new.version,
            new.commit_id,
            origin.actor,
        )
        .fetch_one(&mut *transaction)
        .await?;
        insert_images(&mut transaction, id, &new.images).await?;
        announce(&mut transaction, id, new, origin).await?;
        transaction.commit().await?;

        let mut images = new.images.clone();
        images.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(Release {
            id,
            version: new.version.clone(),
            commit_id: new.commit_id.clone(),
            recorded_by: origin.actor.clone(),
            recorded_at,
            images,
        })
    }

    /// The release of that identifier.
    ///
    /// # Errors
    /// The database fails.
    pub async fn get(&self, id: Uuid) -> Result<Option<Release>, Error> {
        let head = sqlx::query_as!(
            Head,
            "SELECT id, version, commit_id, recorded_by, recorded_at FROM releases WHERE id = $1",
            id,
        )
        .fetch_optional(self.pool)
        .await?;
        Ok(self.with_images(head.into_iter().collect()).await?.pop())
    }

    /// The release of that version.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find_version(&self, version: &str) -> Result<Option<Release>, Error> {
        let head = sqlx::query_as!(
            Head,
            "SELECT id, version, commit_id, recorded_by, recorded_at FROM releases WHERE version = $1",
            version,
        )
        .fetch_optional(self.pool)
        .await?;
        Ok(self.with_images(head.into_iter().collect()).await?.pop())
    }

    /// Lists releases, newest first: from the newest, or those recorded before a given one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(&self, before: Option<Uuid>, size: PageSize) -> Result<Page<Release, Uuid>, Error> {
        let heads = sqlx::query_as!(
            Head,
            "SELECT id, version, commit_id, recorded_by, recorded_at
             FROM releases
             WHERE $1::uuid IS NULL
                OR (recorded_at, id) < (SELECT r.recorded_at, r.id FROM releases r WHERE r.id = $1)
             ORDER BY recorded_at DESC, id DESC
             LIMIT $2",
            before,
            size.probe(),
        )
        .fetch_all(self.pool)
        .await?;
        let Page { items, next } = Page::cut(heads, size, |head| head.id);
        Ok(Page { items: self.with_images(items).await?, next })
    }

    async fn with_images(&self, heads: Vec<Head>) -> Result<Vec<Release>, Error> {
        let ids: Vec<Uuid> = heads.iter().map(|head| head.id).collect();
        let rows = sqlx::query!(
            "SELECT release_id, service, repository, digest
             FROM release_images
             WHERE release_id = ANY($1)
             ORDER BY service",
            &ids,
        )
        .fetch_all(self.pool)
        .await?;
        let mut images: HashMap<Uuid, Vec<Image>> = HashMap::new();
        for row in rows {
            images.entry(row.release_id).or_default().push(Image {
                service: row.service,
                repository: row.repository,
                digest: row.digest,
            });
        }
        let complete = |head: Head| Release {
            images: images.remove(&head.id).unwrap_or_default(),
            id: head.id,
            version: head.version,
            commit_id: head.commit_id,
            recorded_by: head.recorded_by,
            recorded_at: head.recorded_at,
        };
        Ok(heads.into_iter().map(complete).collect())
    }
}

async fn insert_images(connection: &mut PgConnection, release: Uuid, images: &[Image]) -> Result<(), Error> {
    let column = |value: fn(&Image) -> &String| images.iter().map(value).cloned().collect::<Vec<String>>();
    sqlx::query!(
        "INSERT INTO release_images (release_id, service, repository, digest)
         SELECT $1, image.service, image.repository, image.digest
         FROM unnest($2::text[], $3::text[], $4::text[]) AS image (service, repository, digest)",
        release,
        &column(|image| &image.service),
        &column(|image| &image.repository),
        &column(|image| &image.digest),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What follows from a new release: it is on the record, the world hears of it, and a worker verifies it.
async fn announce(
    connection: &mut PgConnection,
    id: Uuid,
    new: &NewRelease,
    origin: &Origin,
) -> Result<(), Error> {
    let told = object([
        ("release_id", json!(id)),
        ("version", json!(new.version)),
        ("commit_id", json!(new.commit_id)),
        ("images", json!(new.images)),
    ]);
    let entry = NewEntry {
        action: "release.recorded".to_owned(),
        subject: format!("release/{id}"),
        details: told.clone(),
    };
    audit::insert(connection, &entry, origin).await?;
    let event = NewEvent {
        event: "release.recorded".to_owned(),
        payload: told,
        request_id: origin.request_id.clone(),
    };
    outbox::insert(connection, &event).await?;
    let job = NewJob { request_id: origin.request_id.clone(), ..VerifyRelease { release_id: id }.job() };
    jobs::insert(connection, &job).await?;
    Ok(())
}
