//! Control: what it is told, and its routes over the record.
//!
//! Invariant: it trusts `x-slipway-*` headers, so nobody but the gateway may reach it.

mod actor;
mod form;
mod list;
mod refusal;
mod routes;

use service::settings::DatabaseUrl;
use store::Store;

pub use routes::router;

service::settings! {
    /// What control is told by its environment.
    pub struct Config {
        /// The record, in the login of the app role.
        pub database: DatabaseUrl = "DATABASE_URL";
    }
}

/// Whether the record answers.
///
/// # Errors
/// It does not.
pub async fn answers(store: Store) -> Result<(), store::Error> {
    store.ping().await
}
