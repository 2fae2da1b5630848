//! Asking for a release in an environment.

use uuid::Uuid;

use crate::change::Change;
use crate::database::Connection;
use crate::environments::{self, Environment};
use crate::events::Kind;
use crate::retry::retried;
use crate::{Key, Made, Novelty, Origin, idempotency, observations};

use super::decide::{desire, tell};
use super::{NewPromotion, Promotion, Promotions, Refusal, row};

/// What was found for a release that may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    /// The environment that had to have run it.
    pub(super) requires_id: Option<Uuid>,
    /// The observation which says that it did.
    pub(super) proof_id: Option<Uuid>,
}

impl Promotions<'_> {
    /// Asks for a release in an environment. Where that needs no approval, the release is the desired one at once.
    ///
    /// # Errors
    /// The release may not come there, or not yet; the key was used for another request; or the database fails.
    pub async fn ask(
        &self,
        environment: &str,
        new: &NewPromotion,
        key: Option<&Key>,
        origin: &Origin,
    ) -> Result<Made<Promotion>, Refusal> {
        retried(|| self.try_ask(environment, new, key, origin)).await
    }

    async fn try_ask(
        &self,
        environment: &str,
        new: &NewPromotion,
        key: Option<&Key>,
        origin: &Origin,
    ) -> Result<Made<Promotion>, Refusal> {
        let mut change = Change::begin(self.database, origin).await?;
        let id = Uuid::now_v7();
        let subject = format!("promotion/{id}");
        if let Some(made) = idempotency::claim(change.connection(), key, &subject, origin).await? {
            let id = Uuid::parse_str(idempotency::identifier(&made)).unwrap_or_default();
            let value = row::get(change.connection(), id).await?.ok_or(Refusal::NoPromotion(id))?;
            return Ok(Made { value, novelty: Novelty::Replayed });
        }
        // From here on nobody else asks or decides in this environment, or changes it.
        let Some(environment) = environments::lock(change.connection(), environment).await? else {
            return Err(Refusal::NoEnvironment(environment.to_owned()));
        };
        let Some(release_id) = row::release_of(change.connection(), &new.version).await? else {
            return Err(Refusal::NoRelease(new.version.clone()));
        };
        if let Some(holder) = row::open(change.connection(), environment.id).await? {
            return Err(Refusal::Held { environment: environment.name, holder });
        }
        if environment.desired.as_ref().is_some_and(|desired| desired.release_id == release_id) {
            return Err(Refusal::Desired { environment: environment.name, version: new.version.clone() });
        }
        let note = new.note.as_deref();
        let asked = Asked { release_id, version: &new.version, rollback: new.rollback, note };
        let proof = may_come(change.connection(), &environment, asked).await?;

        insert(&mut change, id, &environment, asked, proof).await?;
        let promotion = row::get(change.connection(), id).await?.ok_or(Refusal::NoPromotion(id))?;
        tell(&mut change, Kind::PromotionAsked, &promotion);
        if !environment.protected {
            tell(&mut change, Kind::PromotionApproved, &promotion);
            desire(&mut change, &environment, &promotion).await?;
        }
        change.commit().await?;
        Ok(Made { value: promotion, novelty: Novelty::New })
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) release_id: Uuid,
    pub(super) version: &'a str,
    pub(super) rollback: bool,
    pub(super) note: Option<&'a str>,
}

/// Whether a release may come to an environment now: it is complete, and the required environment ran it; or it goes
/// back to what was desired there before, which needs no further proof.
pub(super) async fn may_come(
    connection: &mut Connection,
    environment: &Environment,
    asked: Asked<'_>,
) -> Result<Proof, Refusal> {
    let name = || environment.name.clone();
    let version = || asked.version.to_owned();
    let services = row::lacking(connection, environment.id, asked.release_id).await?;
    if !services.is_empty() {
        return Err(Refusal::Incomplete { environment: name(), version: version(), services });
    }
    if asked.rollback {
        if !row::was_desired(connection, environment.id, asked.release_id).await? {
            return Err(Refusal::NoWayBack { environment: name(), version: version() });
        }
        return Ok(Proof::default());
    }
    let Some(required) = &environment.requires else { return Ok(Proof::default()) };
    let Some(required) = environments::find(connection, required).await? else {
        return Err(Refusal::NoEnvironment(required.clone()));
    };
    match observations::newest(connection, required.id, asked.release_id).await? {
        Some((proof, true)) => Ok(Proof { requires_id: Some(required.id), proof_id: Some(proof) }),
        seen => Err(Refusal::NotProven {
            environment: name(),
            required: required.name,
            version: version(),
            unhealthy: seen.is_some(),
        }),
    }
}

async fn insert(
    change: &mut Change<'_>,
    id: Uuid,
    environment: &Environment,
    asked: Asked<'_>,
    proof: Proof,
) -> Result<(), Refusal> {
    let asked_by = &change.origin().actor;
    sqlx::query!(
        "INSERT INTO promotions
             (id, environment_id, release_id, rollback, needs_approval, requires_id, proof_id, asked_by, note,
              state, decided_by, decided_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                 CASE WHEN $5 THEN 'open' ELSE 'approved' END,
                 CASE WHEN $5 THEN NULL ELSE $8 END,
                 CASE WHEN $5 THEN NULL ELSE now() END)",
        id,
        environment.id,
        asked.release_id,
        asked.rollback,
        environment.protected,
        proof.requires_id,
        proof.proof_id,
        asked_by,
        asked.note,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
