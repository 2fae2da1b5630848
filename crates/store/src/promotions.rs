//! Promotions: a release asked for in an environment, what was decided, and by whom.
//!
//! Invariants, which the schema holds too: an environment has at most one open promotion; who asked does not decide
//! where approval is needed; nothing becomes desired but by an approved promotion; a decided one never changes.

mod ask;
mod decide;
mod row;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::Database;
use crate::retry::Lost;
use crate::{Error, Page, PageSize, Position, environments};

pub use decide::{Decision, Reach};
pub(crate) use row::{release_of, was_desired};

/// What begins the names of machines' tokens in the record; see [`crate::tokens`].
pub(crate) const MACHINE: &str = "token/";

/// A promotion to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPromotion {
    /// The version of the release.
    pub version: String,
    /// Whether it goes back to a release that was desired before.
    pub rollback: bool,
    /// Why.
    pub note: Option<String>,
}

/// Where a promotion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked for, not decided.
    Open,
    /// The release is, or was, the desired one.
    Approved,
    /// Refused.
    Rejected,
    /// Taken back.
    Withdrawn,
}

/// A recorded promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// Its identifier.
    pub id: Uuid,
    /// The environment's name.
    pub environment: String,
    /// The release.
    pub release_id: Uuid,
    /// Its version.
    pub version: String,
    /// Where it stands.
    pub state: State,
    /// Whether it goes back to a release that was desired before.
    pub rollback: bool,
    /// Whether another person decides.
    pub needs_approval: bool,
    /// The environment that had to have run the release.
    pub requires_id: Option<Uuid>,
    /// The observation which says that it did.
    pub proof_id: Option<Uuid>,
    /// Who asked.
    pub asked_by: String,
    /// When, by the database's clock.
    pub asked_at: OffsetDateTime,
    /// Why.
    pub note: Option<String>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When, by the database's clock.
    pub decided_at: Option<OffsetDateTime>,
    /// Why so.
    pub decision_note: Option<String>,
}

/// Why a promotion was not asked for, or not decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no environment of that name.
    #[error("environment `{0}` is not recorded")]
    NoEnvironment(String),
    /// There is no release of that version.
    #[error("release `{0}` is not recorded")]
    NoRelease(String),
    /// There is no such promotion.
    #[error("promotion `{0}` is not recorded")]
    NoPromotion(Uuid),
    /// Another one is open there.
    #[error("promotion `{holder}` is open in `{environment}`: it is decided or withdrawn first")]
    Held {
        /// The environment's name.
        environment: String,
        /// The one that is open.
        holder: Uuid,
    },
    /// The release lacks images of services that the environment runs.
    #[error("release `{version}` has no image for {}, which `{environment}` runs", quoted(.services))]
    Incomplete {
        /// The environment's name.
        environment: String,
        /// The release's version.
        version: String,
        /// The services.
        services: Vec<String>,
    },
    /// The release is the desired one already.
    #[error("release `{version}` is the desired one in `{environment}` already")]
    Desired {
        /// The environment's name.
        environment: String,
        /// The release's version.
        version: String,
    },
    /// It was never desired there, so that there is no way back to it.
    #[error("release `{version}` was never desired in `{environment}`, so there is no way back to it")]
    NoWayBack {
        /// The environment's name.
        environment: String,
        /// The release's version.
        version: String,
    },
    /// The required environment has not run it.
    #[error(
        "`{environment}` takes only what `{required}` ran, and the newest word from there on release `{version}` is: {}",
        if *.unhealthy { "unhealthy" } else { "none" }
    )]
    NotProven {
        /// The environment's name.
        environment: String,
        /// The required environment's name.
        required: String,
        /// The release's version.
        version: String,
        /// Whether it was seen there, unhealthy.
        unhealthy: bool,
    },
    /// What the environment requires was changed since.
    #[error("`{0}` requires something else than when this was asked for: withdraw it and ask again")]
    Outdated(String),
    /// It is decided already.
    #[error("promotion `{id}` is {state} already")]
    Decided {
        /// The promotion.
        id: Uuid,
        /// Where it stands.
        state: State,
    },
    /// Who asked wants to decide.
    #[error("whoever asked for a promotion does not decide on it: another person does")]
    Oneself,
    /// A machine wants to decide.
    #[error("an API token decides on no promotion: a person does")]
    Machine,
    /// Somebody else wants to take it back.
    #[error("only `{0}`, who asked for it, or an operator withdraws it")]
    SomebodyElses(String),
    /// The record failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The promotions; see [`crate::Store::promotions`].
#[derive(Debug)]
pub struct Promotions<'a> {
    database: &'a Database,
}

impl<'a> Promotions<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self { database }
    }

    /// The promotion of that identifier.
    ///
    /// # Errors
    /// The database fails.
    pub async fn get(&self, id: Uuid) -> Result<Option<Promotion>, Error> {
        let mut connection = self.database.acquire().await?;
        row::get(&mut connection, id).await
    }

    /// What was asked for in the environment of that name, newest first: from the newest, or those before a position.
    /// `None` when there is no such environment.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list(
        &self,
        environment: &str,
        before: Option<Position>,
        size: PageSize,
    ) -> Result<Option<Page<Promotion, Position>>, Error> {
        let mut connection = self.database.acquire().await?;
        let Some(environment) = environments::find(&mut connection, environment).await? else {
            return Ok(None);
        };
        let promotions = row::list(&mut connection, environment.id, before, size).await?;
        let position = |item: &Promotion| Position { at: item.asked_at, id: item.id };
        Ok(Some(Page::cut(promotions, size, position)))
    }
}

impl State {
    /// As the record holds it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The schema's check allows no fifth value.
    fn from_column(text: &str) -> Self {
        let known = [Self::Approved, Self::Rejected, Self::Withdrawn];
        known.into_iter().find(|state| state.as_str() == text).unwrap_or(Self::Open)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Lost for Refusal {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lost())
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
