//! Releases and their images by digest; what is recorded does not change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::change::Change;
use crate::database::{Connection, Database};
use crate::events::{Fact, Kind};
use crate::idempotency;
use crate::jobs::{self, NewJob, VerifyRelease};
use crate::retry::{Lost, retried};
use crate::{Error, Key, Made, Novelty, Origin, Page, PageSize, Position, object};

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
    /// Which key signed the images: SHA-256 of the public key, in lower-case hex.
    pub signing_key_id: Option<String>,
    /// Where the release's own record with its evidence lies.
    pub evidence: Option<String>,
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
    /// Which key signed the images.
    pub signing_key_id: Option<String>,
    /// Where the release's own record with its evidence lies.
    pub evidence: Option<String>,
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
    database: &'a Database,
}

/// Why a release was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Its version is recorded with other content.
    #[error("a release of this `version` is recorded with other content")]
    Differs(Vec<Difference>),
    /// The record failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Where a recorded release holds something else than the one that was to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path of the field: `images/gateway`.
    pub field: String,
    /// What is recorded; `None` for nothing.
    pub recorded: Option<String>,
}

/// A release's own row.
struct Head {
    id: Uuid,
    version: String,
    commit_id: String,
    signing_key_id: Option<String>,
    evidence: Option<String>,
    recorded_by: String,
    recorded_at: OffsetDateTime,
}

impl<'a> Releases<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// Records a release with its images, and what follows from it: the audit entry, the event, the word to the outside
    /// world and the job that verifies it: all of it or nothing. The same content again is no fault.
    ///
    /// # Errors
    /// The version is recorded with other content, the key was used for another request, a value breaks the schema's
    /// rules, or the database fails.
    pub async fn record(
        &self,
        new: &NewRelease,
        key: Option<&Key>,
        origin: &Origin,
    ) -> Result<Made<Release>, RecordError> {
        retried(|| self.try_record(new, key, origin)).await
    }

    async fn try_record(
        &self,
        new: &NewRelease,
        key: Option<&Key>,
        origin: &Origin,
    ) -> Result<Made<Release>, RecordError> {
        let mut change = Change::begin(self.database, origin).await?;
        // The version tells the release as well as its identifier, and is known before it is found out who is first.
        let subject = format!("release/{}", new.version);
        let replayed = idempotency::claim(change.connection(), key, &subject, origin).await?.is_some();
        let Some(release) = insert(&mut change, new).await? else {
            let recorded = find(change.connection(), Sought::Version(&new.version)).await?;
            let recorded =
                recorded.ok_or(Error::Conflict("a release of this `version` is recorded already"))?;
            let differences = new.differences(&recorded);
            if !differences.is_empty() {
                return Err(RecordError::Differs(differences));
            }
            change.commit().await?;
            let novelty = if replayed { Novelty::Replayed } else { Novelty::Known };
            return Ok(Made { value: recorded, novelty });
        };
        announce(&mut change, &release).await?;
        change.commit().await?;
        Ok(Made { value: release, novelty: Novelty::New })
    }

    /// The release of that identifier.
    ///
    /// # Errors
    /// The database fails.
    pub async fn get(&self, id: Uuid) -> Result<Option<Release>, Error> {
        let mut connection = self.database.acquire().await?;
        find(&mut connection, Sought::Id(id)).await
    }

    /// The release of that version.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find_version(&self, version: &str) -> Result<Option<Release>, Error> {
        let mut connection = self.database.acquire().await?;
        find(&mut connection, Sought::Version(version)).await
    }

    /// Lists releases, newest first: from the newest, or those recorded before a position.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(
        &self,
        before: Option<Position>,
        size: PageSize,
    ) -> Result<Page<Release, Position>, Error> {
        let mut connection = self.database.acquire().await?;
        let heads = sqlx::query_as!(
            Head,
            "SELECT id, version, commit_id, signing_key_id, evidence, recorded_by, recorded_at
             FROM releases
             WHERE $1::timestamptz IS NULL OR (recorded_at, id) < ($1, $2::uuid)
             ORDER BY recorded_at DESC, id DESC
             LIMIT $3",
            before.map(|position| position.at),
            before.map(|position| position.id),
            size.probe(),
        )
        .fetch_all(&mut connection)
        .await?;
        let Page { items, next } =
            Page::cut(heads, size, |head| Position { at: head.recorded_at, id: head.id });
        Ok(Page { items: with_images(&mut connection, items).await?, next })
    }
}

impl NewRelease {
    /// Where a recorded release of this version holds something else.
    fn differences(&self, recorded: &Release) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut compare = |field: String, recorded: Option<&str>, asked: Option<&str>| {
            if recorded != asked {
                differences.push(Difference { field, recorded: recorded.map(str::to_owned) });
            }
        };
        compare("commit".to_owned(), Some(&recorded.commit_id), Some(&self.commit_id));
        let (there, here) = (by_service(&recorded.images), by_service(&self.images));
        let services: BTreeSet<&str> = there.keys().chain(here.keys()).copied().collect();
        for service in services {
            let of = |images: &BTreeMap<&str, String>| images.get(service).cloned();
            compare(format!("images/{service}"), of(&there).as_deref(), of(&here).as_deref());
        }
        compare(
            "signing_key_id".to_owned(),
            recorded.signing_key_id.as_deref(),
            self.signing_key_id.as_deref(),
        );
        compare("evidence".to_owned(), recorded.evidence.as_deref(), self.evidence.as_deref());
        differences
    }
}

impl Image {
    /// As container engines take it: `registry.example.org/slipway/gateway@sha256:…`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

impl Lost for RecordError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lost())
    }
}

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// How a release is looked up.
#[derive(Clone, Copy)]
enum Sought<'a> {
    Id(Uuid),
    Version(&'a str),
}

fn by_service(images: &[Image]) -> BTreeMap<&str, String> {
    images.iter().map(|image| (image.service.as_str(), image.reference())).collect()
}

async fn find(connection: &mut Connection, sought: Sought<'_>) -> Result<Option<Release>, Error> {
    let (id, version) = match sought {
        Sought::Id(id) => (Some(id), None),
        Sought::Version(version) => (None, Some(version)),
    };
    let head = sqlx::query_as!(
        Head,
        "SELECT id, version, commit_id, signing_key_id, evidence, recorded_by, recorded_at
         FROM releases WHERE id = $1 OR version = $2",
        id,
        version,
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(with_images(connection, head.into_iter().collect()).await?.pop())
}

async fn with_images(connection: &mut Connection, heads: Vec<Head>) -> Result<Vec<Release>, Error> {
    let ids: Vec<Uuid> = heads.iter().map(|head| head.id).collect();
    let rows = sqlx::query!(
        "SELECT release_id, service, repository, digest
         FROM release_images
         WHERE release_id = ANY($1)
         ORDER BY service",
        &ids,
    )
    .fetch_all(connection)
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
        signing_key_id: head.signing_key_id,
        evidence: head.evidence,
        recorded_by: head.recorded_by,
        recorded_at: head.recorded_at,
    };
    Ok(heads.into_iter().map(complete).collect())
}

/// The release as it is recorded now; `None` when its version is recorded already, once whoever does it at the same time
/// has come to an end.
async fn insert(change: &mut Change<'_>, new: &NewRelease) -> Result<Option<Release>, Error> {
    let id = Uuid::now_v7();
    let recorded_by = change.origin().actor.clone();
    let recorded_at = sqlx::query_scalar!(
        "INSERT INTO releases (id, version, commit_id, signing_key_id, evidence, recorded_by)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (version) DO NOTHING
         RETURNING recorded_at",
        id,
        new.version,
        new.commit_id,
        new.signing_key_id,
        new.evidence,
        recorded_by,
    )
    .fetch_optional(change.connection())
    .await?;
    let Some(recorded_at) = recorded_at else { return Ok(None) };
    insert_images(change.connection(), id, &new.images).await?;
    let mut images = new.images.clone();
    images.sort_by(|a, b| a.service.cmp(&b.service));
    Ok(Some(Release {
        id,
        version: new.version.clone(),
        commit_id: new.commit_id.clone(),
        signing_key_id: new.signing_key_id.clone(),
        evidence: new.evidence.clone(),
        recorded_by,
        recorded_at,
        images,
    }))
}

async fn insert_images(connection: &mut Connection, release: Uuid, images: &[Image]) -> Result<(), Error> {
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
async fn announce(change: &mut Change<'_>, release: &Release) -> Result<(), Error> {
    let details = object([
        ("release_id", json!(release.id)),
        ("version", json!(release.version)),
        ("commit_id", json!(release.commit_id)),
        ("images", json!(release.images)),
        ("signing_key_id", json!(release.signing_key_id)),
        ("evidence", json!(release.evidence)),
    ]);
    let subject = format!("release/{}", release.id);
    change.tell(Fact { kind: Kind::ReleaseRecorded, subject, details });
    let request_id = change.origin().request_id.clone();
    let job = NewJob { request_id, ..VerifyRelease { release_id: release.id }.job() };
    jobs::insert(change.connection(), &job).await?;
    Ok(())
}
