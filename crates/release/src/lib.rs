//! What a release is made of: registries, signatures, attached documents, and the record of what was released.
//!
//! The library does the work and never prints; the binary `release` is the command line around it. Who only verifies
//! depends on it without default features: no command line, no key that signs, no container engine.

pub mod credentials;
pub mod digest;
mod error;
#[cfg(feature = "cli")]
pub mod publish;
pub mod record;
pub mod reference;
pub mod registry;

pub use credentials::{Credentials, Logins};
pub use digest::Digest;
pub use error::Error;
pub use record::Record;
pub use reference::{At, Reference, Repository, Tag};
pub use registry::Registry;
