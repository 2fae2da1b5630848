//! Deciding on a promotion, and what follows from it.

use serde_json::json;
use uuid::Uuid;

use crate::change::Change;
use crate::database::Connection;
use crate::environments::{self, Environment};
use crate::events::{Fact, Kind};
use crate::retry::retried;
use crate::{Error, Origin, object, tokens};

use super::ask::{Asked, may_come};
use super::{MACHINE, Promotion, Promotions, Refusal, State, row};

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The release becomes the desired one.
    Approve,
    /// It does not.
    Reject,
    /// It is not asked for any more.
    Withdraw(Reach),
}

/// Whose promotions someone may withdraw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One's own.
    Own,
    /// Anybody's.
    Anybodys,
}

impl Promotions<'_> {
    /// Decides on an open promotion. The same decision by the same person again is no fault.
    ///
    /// # Errors
    /// It is decided already, this one may not decide so, the release may not come any more, or the database fails.
    pub async fn decide(
        &self,
        id: Uuid,
        decision: Decision,
        note: Option<&str>,
        origin: &Origin,
    ) -> Result<Promotion, Refusal> {
        retried(|| self.try_decide(id, decision, note, origin)).await
    }

    async fn try_decide(
        &self,
        id: Uuid,
        decision: Decision,
        note: Option<&str>,
        origin: &Origin,
    ) -> Result<Promotion, Refusal> {
        let mut change = Change::begin(self.database, origin).await?;
        let seen = row::get(change.connection(), id).await?.ok_or(Refusal::NoPromotion(id))?;
        // Its environment never changes. From here on nobody else asks or decides there.
        let Some(environment) = environments::lock(change.connection(), &seen.environment).await? else {
            return Err(Refusal::NoEnvironment(seen.environment));
        };
        let promotion = row::get(change.connection(), id).await?.ok_or(Refusal::NoPromotion(id))?;
        let state = decision.state();
        if promotion.state != State::Open {
            let again = promotion.state == state && promotion.decided_by.as_ref() == Some(&origin.actor);
            return if again { Ok(promotion) } else { Err(Refusal::Decided { id, state: promotion.state }) };
        }
        may_decide(change.connection(), &promotion, decision, origin).await?;
        if decision == Decision::Approve {
            still_holds(change.connection(), &environment, &promotion).await?;
        }
        sqlx::query!(
            "UPDATE promotions SET state = $2, decided_by = $3, decided_at = now(), decision_note = $4
             WHERE id = $1",
            id,
            state.as_str(),
            origin.actor,
            note,
        )
        .execute(change.connection())
        .await?;
        let decided = row::get(change.connection(), id).await?.ok_or(Refusal::NoPromotion(id))?;
        tell(&mut change, decision.kind(), &decided);
        if decision == Decision::Approve {
            desire(&mut change, &environment, &decided).await?;
        }
        change.commit().await?;
        Ok(decided)
    }
}

impl Decision {
    fn state(self) -> State {
        match self {
            Self::Approve => State::Approved,
            Self::Reject => State::Rejected,
            Self::Withdraw(_) => State::Withdrawn,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Approve => Kind::PromotionApproved,
            Self::Reject => Kind::PromotionRejected,
            Self::Withdraw(_) => Kind::PromotionWithdrawn,
        }
    }
}

/// Four eyes: who decides is a person, and another one than who asked. Who asks with a token of their own making is
/// that person.
async fn may_decide(
    connection: &mut Connection,
    promotion: &Promotion,
    decision: Decision,
    origin: &Origin,
) -> Result<(), Refusal> {
    if let Decision::Withdraw(reach) = decision {
        let may = reach == Reach::Anybodys || promotion.asked_by == origin.actor;
        return if may { Ok(()) } else { Err(Refusal::SomebodyElses(promotion.asked_by.clone())) };
    }
    if origin.actor.starts_with(MACHINE) {
        return Err(Refusal::Machine);
    }
    let behind = match promotion.asked_by.strip_prefix(MACHINE) {
        Some(name) => tokens::maker(connection, name).await?,
        None => None,
    };
    if promotion.asked_by == origin.actor || behind.as_ref() == Some(&origin.actor) {
        return Err(Refusal::Oneself);
    }
    Ok(())
}

/// Whether what was found when it was asked for is still so.
async fn still_holds(
    connection: &mut Connection,
    environment: &Environment,
    promotion: &Promotion,
) -> Result<(), Refusal> {
    let asked = Asked {
        release_id: promotion.release_id,
        version: &promotion.version,
        rollback: promotion.rollback,
        note: promotion.note.as_deref(),
    };
    let proof = may_come(connection, environment, asked).await?;
    // The promotion's own proof is what the schema checks: it has to be one of what is required now.
    if proof.requires_id == promotion.requires_id {
        Ok(())
    } else {
        Err(Refusal::Outdated(environment.name.clone()))
    }
}

/// Makes the release of an approved promotion the desired one.
pub(super) async fn desire(
    change: &mut Change<'_>,
    environment: &Environment,
    promotion: &Promotion,
) -> Result<(), Error> {
    let generation = environment.desired.as_ref().map_or(0, |desired| desired.generation) + 1;
    sqlx::query!(
        "INSERT INTO desired_releases (environment_id, generation, release_id, promotion_id)
         VALUES ($1, $2, $3, $4)",
        environment.id,
        generation,
        promotion.release_id,
        promotion.id,
    )
    .execute(change.connection())
    .await?;
    environments::bump(change.connection(), environment.id).await?;
    let details = object([
        ("environment", json!(environment.name)),
        ("generation", json!(generation)),
        ("release_id", json!(promotion.release_id)),
        ("version", json!(promotion.version)),
        ("before", json!(environment.desired.as_ref().map(|desired| &desired.version))),
        ("promotion_id", json!(promotion.id)),
        ("rollback", json!(promotion.rollback)),
    ]);
    let subject = format!("environment/{}", environment.id);
    change.tell(Fact { kind: Kind::EnvironmentDesiredChanged, subject, details });
    Ok(())
}

pub(super) fn tell(change: &mut Change<'_>, kind: Kind, promotion: &Promotion) {
    let details = object([
        ("promotion_id", json!(promotion.id)),
        ("environment", json!(promotion.environment)),
        ("release_id", json!(promotion.release_id)),
        ("version", json!(promotion.version)),
        ("rollback", json!(promotion.rollback)),
        ("asked_by", json!(promotion.asked_by)),
        ("note", json!(promotion.decision_note.as_ref().or(promotion.note.as_ref()))),
    ]);
    let subject = format!("promotion/{}", promotion.id);
    change.tell(Fact { kind, subject, details });
}
