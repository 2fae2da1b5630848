//! Control: what it is told, and its routes over the record.
//!
//! Invariants: it believes nobody but the gateway, whose signed word says who asks; and what it serves, and for which
//! role, is the table of routes in `api` and nothing else.

mod asker;
mod events;
mod fields;
mod form;
mod list;
mod refusal;
mod routes;

use service::identity::{IdentityKeys, Verifier};
use service::settings::{DatabaseUrl, Milliseconds, Seconds};
use store::{Options, Store};

pub use events::Followers;
pub use routes::router;

service::settings! {
    /// What control is told by its environment.
    pub struct Config {
        /// The record, in the login of the app role.
        pub database: DatabaseUrl = "DATABASE_URL";
        /// The key with which the gateway says who asks.
        pub identity_key: IdentityKeys = "IDENTITY_KEY";
        /// How many connections to the database it holds at most; one of them waits for changes.
        pub connections_max: u32 = "DATABASE_CONNECTIONS_MAX", default "10";
        /// How long a request waits for a connection to the database.
        pub acquire_timeout: Milliseconds = "DATABASE_ACQUIRE_TIMEOUT_MS", default "3000";
        /// How long a statement may take.
        pub statement_timeout: Milliseconds = "DATABASE_STATEMENT_TIMEOUT_MS", default "5000";
        /// How long a statement waits for what another transaction holds.
        pub lock_timeout: Milliseconds = "DATABASE_LOCK_TIMEOUT_MS", default "2000";
        /// How many clients may follow changes at the same time.
        pub followers_max: u32 = "EVENT_FOLLOWERS_MAX", default "64";
        /// How long a follower hears nothing before it is told that the connection stands.
        pub heartbeat: Milliseconds = "EVENT_HEARTBEAT_MS", default "15000";
        /// How long it waits for the database when it starts, live but not ready, before it gives up.
        pub database_wait: Seconds = "DATABASE_WAIT_S", default "30";
    }
}

impl Config {
    /// How control uses the database.
    pub fn database_options(&self) -> Options {
        Options {
            // One of them listens for hints.
            connections_max: self.connections_max.max(2),
            acquire_timeout: self.acquire_timeout.0,
            statement_timeout: self.statement_timeout.0,
            lock_timeout: self.lock_timeout.0,
            traceparent: service::trace::traceparent,
            ..Options::of("slipway-control")
        }
    }
}

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The record.
    pub store: Store,
    /// Who follows its changes.
    pub followers: Followers,
    /// Believes the gateway's word.
    pub verifier: Verifier,
}

/// The name under which the gateway speaks to control.
pub const AUDIENCE: &str = "control";

/// Whether the record answers.
///
/// # Errors
/// It does not.
pub async fn answers(store: Store) -> Result<(), store::Error> {
    store.ping().await
}

/// Whether the record can be reached at all.
///
/// # Errors
/// It cannot, and why.
pub async fn reached(store: Store) -> Result<(), store::Error> {
    store.reach().await
}
