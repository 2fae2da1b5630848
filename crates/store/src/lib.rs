//! Slipway's record in Postgres, and the only crate that knows its queries; it knows nothing of HTTP or of processes.

pub mod audit;
mod change;
mod database;
pub mod environments;
mod error;
pub mod events;
mod figures;
mod idempotency;
pub mod jobs;
pub mod observations;
pub mod outbox;
mod page;
pub mod promotions;
pub mod releases;
mod retry;
pub mod tokens;

use serde_json::Value;
use sqlx::migrate::Migrator;

use database::Database;

pub use database::{Acquired, Observer, Options, PoolState};
pub use error::Error;
pub use idempotency::{Key, Keys, Made, Novelty};
pub use page::{Page, PageSize, Position};

/// Every migration as it stood when this was built.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Production's ledger (`migrations/applied.toml`) as it stood when this was built.
pub const PRODUCTION_LEDGER: &str = include_str!("../../../migrations/applied.toml");

/// What the server's own lists call a process that does not say its name.
const APPLICATION: &str = "slipway";

/// The record. Cheap to clone: clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

/// Who causes a change, and in the course of which request: goes into the audit record with every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A person, or a service and its instance.
    pub actor: String,
    /// The `x-request-id` that the change belongs to.
    pub request_id: Option<String>,
}

impl Store {
    /// Connects, and fails if the database cannot be reached.
    ///
    /// # Errors
    /// The URL is malformed, or the database refuses or does not answer.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let store = Self::connect_lazily(url)?;
        store.ping().await?;
        Ok(store)
    }

    /// Connects at the first query: for a service that starts before its database, and says so by being unready.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn connect_lazily(url: &str) -> Result<Self, Error> {
        Self::open(url, Options::of(APPLICATION))
    }

    /// As [`Store::connect_lazily`], for a process that says how it uses the database.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(Self { database: Database::open(url, options)? })
    }

    /// How many connections are in which state.
    pub fn pool_state(&self) -> PoolState {
        self.database.state()
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// It gives none.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.database.acquire().await?;
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&mut connection).await?;
        Ok(())
    }

    /// Where the database is, without user and password: `HOST:PORT/NAME`.
    pub fn place(&self) -> String {
        self.database.place()
    }

    /// Connects once, beside the pool: for a process that waits for its database. What is wrong is told as it is, where
    /// [`Store::ping`] only says that no connection could be had in time.
    ///
    /// # Errors
    /// The database cannot be reached, or does not let the process in.
    pub async fn reach(&self) -> Result<(), Error> {
        self.database.reach().await
    }

    /// Closes the connections once they are given back.
    pub async fn close(&self) {
        self.database.pool().close().await;
    }

    /// Releases and their images.
    pub fn releases(&self) -> releases::Releases<'_> {
        releases::Releases::new(&self.database)
    }

    /// Environments and what they run.
    pub fn environments(&self) -> environments::Environments<'_> {
        environments::Environments::new(&self.database)
    }

    /// What was asked for and decided, and what is to run.
    pub fn promotions(&self) -> promotions::Promotions<'_> {
        promotions::Promotions::new(&self.database)
    }

    /// What was seen to run.
    pub fn observations(&self) -> observations::Observations<'_> {
        observations::Observations::new(&self.database)
    }

    /// Keys under which a request makes its change once.
    pub fn idempotency_keys(&self) -> idempotency::Keys<'_> {
        idempotency::Keys::new(&self.database)
    }

    /// API tokens of machines.
    pub fn tokens(&self) -> tokens::Tokens<'_> {
        tokens::Tokens::new(&self.database)
    }

    /// Changes in the order in which they became visible.
    pub fn events(&self) -> events::Events<'_> {
        events::Events::new(&self.database)
    }

    /// Who did what.
    pub fn audit(&self) -> audit::Audit<'_> {
        audit::Audit::new(&self.database)
    }

    /// Work that is done once, by whoever holds its lease.
    pub fn jobs(&self) -> jobs::Jobs<'_> {
        jobs::Jobs::new(&self.database)
    }

    /// Events to tell the outside world.
    pub fn outbox(&self) -> outbox::Outbox<'_> {
        outbox::Outbox::new(&self.database)
    }
}

impl Origin {
    /// Someone acting outside of any request.
    pub fn of(actor: impl Into<String>) -> Self {
        Self { actor: actor.into(), request_id: None }
    }
}

/// A payload or details that the schema holds as a JSON object.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
