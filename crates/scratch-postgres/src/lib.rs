//! A throw-away Postgres: a given server, the local server binaries, or a container; it leaves nothing behind.
//!
//! ```no_run
//! # async fn example() -> Result<(), scratch_postgres::Error> {
//! let options = scratch_postgres::Options::from_env()?;
//! let server = scratch_postgres::Server::start(&options).await?;
//! let database = server.create_database("orders").await?;
//! println!("{}", database.url("slipway_app"));
//! database.drop().await?;
//! server.stop().await
//! # }
//! ```
//!
//! Everything that a server needs is held by a thread of its own, never by the caller's runtime, so a [`Server`] may be
//! kept in a `static` and used from many runtimes. What the holder cannot take away because it was killed, a
//! guardian process does; what that could not, the next start does.

mod address;
mod container;
mod database;
mod error;
mod guardian;
mod holder;
mod local;
mod options;
mod server;
mod session;

#[doc(hidden)]
pub use crate::container::{Announcement, EngineSource, HeldContainer};
pub use crate::database::{Database, TestDatabase, test_database};
pub use crate::error::{Error, Lack};
pub use crate::local::lasting::Lasting;
pub use crate::options::{Options, Provider, Tls};
pub use crate::server::{Halt, Server};
