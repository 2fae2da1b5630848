//! What a release is made of: registries, signatures, attached documents, and the record of what was released.
//!
//! The library does the work and never prints; the binary `release` is the command line around it. Who only verifies
//! depends on it without default features: no command line, no key that signs, no container engine.

pub mod attach;
pub mod credentials;
pub mod digest;
mod error;
pub mod keys;
#[cfg(feature = "cli")]
pub mod publish;
pub mod record;
pub mod reference;
pub mod registry;
#[cfg(feature = "sbom")]
pub mod sbom;
#[cfg(feature = "sign")]
pub mod sign;
pub mod signature;
pub mod tls;
pub mod verify;

pub use credentials::{Credentials, Logins};
pub use digest::Digest;
pub use error::Error;
#[cfg(feature = "sign")]
pub use keys::SigningKey;
pub use keys::{KeyId, PublicKey, TrustedKeys};
pub use record::Record;
pub use reference::{At, Reference, Repository, Tag};
pub use registry::Registry;
pub use verify::{Policy, Refusal, Verified, verify};
