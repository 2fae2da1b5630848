//! Slipway's record in Postgres, and the only crate that knows its queries; it knows nothing of HTTP or of processes.

pub mod audit;
pub mod environments;
mod error;
pub mod jobs;
pub mod outbox;
mod page;
pub mod releases;

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use error::Error;
pub use page::{Page, PageSize};

/// Every migration as it stood when this was built.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Production's ledger (`migrations/applied.toml`) as it stood when this was built.
pub const PRODUCTION_LEDGER: &str = include_str!("../../../migrations/applied.toml");

/// Connections that one process holds at most, where nothing else is said.
const MAX_CONNECTIONS: u32 = 8;

/// How long a query waits for a connection. Short: a caller is waiting behind it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The record. Cheap to clone: clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
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
        Self::connect_lazily_with(url, MAX_CONNECTIONS)
    }

    /// As [`Store::connect_lazily`], with as many connections as the caller uses at the same time.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn connect_lazily_with(url: &str, connections: u32) -> Result<Self, Error> {
        let options: PgConnectOptions = url.parse().map_err(Error::from_url)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// It gives none.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes the connections once they are given back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Releases and their images.
    pub fn releases(&self) -> releases::Releases<'_> {
        releases::Releases::new(&self.pool)
    }

    /// Environments and what they run.
    pub fn environments(&self) -> environments::Environments<'_> {
        environments::Environments::new(&self.pool)
    }

    /// Who did what.
    pub fn audit(&self) -> audit::Audit<'_> {
        audit::Audit::new(&self.pool)
    }

    /// Work that is done once, by whoever holds its lease.
    pub fn jobs(&self) -> jobs::Jobs<'_> {
        jobs::Jobs::new(&self.pool)
    }

    /// Events to tell the outside world.
    pub fn outbox(&self) -> outbox::Outbox<'_> {
        outbox::Outbox::new(&self.pool)
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
