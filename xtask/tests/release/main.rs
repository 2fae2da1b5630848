//! Releases as `cargo xtask release` makes them: real git, real podman, a real registry on loopback, small workspaces.
//!
//! `world`: the workspace, its key and the registries that the tests talk about. `refusals`: what keeps a release from
//! being made, without podman. `flow`: from a changelog to images that a host pulls. `kills`: runs that end in the middle.
//! `faults`: registries that do not play along. `credentials`: where they must not be. `own`: this workspace, as anybody's.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod credentials;
mod faults;
mod flow;
mod kills;
mod own;
mod refusals;

mod world;
