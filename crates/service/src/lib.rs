//! The chassis of every service: configuration, telemetry, request ids, health, limits, shutdown, forwarding.
//!
//! A service is a settings table, a router and a `main` that hands both over:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! service::settings! {
//!     /// What the greeter is told by its environment.
//!     struct Config {
//!         /// Who is greeted.
//!         who: String = "GREETER_WHO", default "world";
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     let about = service::about!(&[("LISTEN", "0.0.0.0:8099"), ("ADMIN_LISTEN", "0.0.0.0:9099")]);
//!     service::run(about, |config: Config, parts| async move {
//!         let hello = move || async move { format!("hello {}", config.who) };
//!         parts.serve(axum::Router::new().route("/v1/hello", axum::routing::get(hello))).await
//!     })
//! }
//! ```
//!
//! That service has `/health/live` and `/health/ready`, JSON logs with a request id in each line, JSON errors, limits
//! on what a client may send and how slowly, a drain on TERM, `healthcheck`, `--help` and `--version`; on its admin
//! port `/metrics`, to which [`Parts::metrics`] adds the service's own figures.
//!
//! Invariant: nothing in here knows what a service does; what all of them do is in here and nowhere else.

pub mod extract;
pub mod forward;
pub mod health;
pub mod identity;
pub mod problem;
pub mod request_id;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;

mod access;
mod admin;
mod body;
mod chassis;
mod figures;
mod healthcheck;
mod layers;
mod process;
mod refusal;
mod run;
mod server;
mod socket;
mod wire;

pub use body::BodyError;
pub use chassis::{About, Awaited, Chassis, Parts, Subcommand};
pub use metrics;
pub use problem::Problem;
pub use run::run;
