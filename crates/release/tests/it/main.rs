//! Registries, signatures and records, with a real registry, skopeo, and faults between them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod attached;
mod commands;
mod host;
mod keys;
mod large;
mod publishing;
mod record;
mod registry;
mod signing;
mod unwell;
mod world;
