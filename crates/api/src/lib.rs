//! The contract of Slipway's API: what requests and answers hold, and the one table of routes.
//!
//! The gateway derives from the table which role a route needs and the OpenAPI document; control serves it and is tested
//! against it. Who sends requests uses the types.
//!
//! Invariant: no I/O, and no knowledge of HTTP libraries or of the record.

mod audit;
mod environments;
mod events;
mod page;
mod problem;
mod promotions;
mod releases;
mod route;
mod routes;
mod tokens;

pub mod openapi;

pub use audit::AuditEntry;
pub use environments::{DesiredRelease, Environment, Health, NewObservation, Observation, PutEnvironment};
pub use events::{EVENT_KINDS, Event};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
pub use problem::{FieldError, Part, Problem};
pub use promotions::{Decision, NewPromotion, Promotion, PromotionState};
pub use releases::{NewRelease, Release};
pub use role::{Role, UnknownRole};
pub use route::{Answer, Exposure, Found, Method, Parameter, Place, Route, Shape, find};
pub use routes::ROUTES;
pub use tokens::{CreatedToken, NewToken, ResolveToken, ResolvedToken, Token};

/// The request header under which the same change asked for twice is made once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How long an `Idempotency-Key` may be, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
