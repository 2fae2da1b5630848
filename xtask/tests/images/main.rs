//! Images as `cargo xtask` builds and starts them, with real containers on workspaces of the tests' own.
//!
//! `world`: the folders, programs and registries that the tests talk about. `bases`: where base images come from.
//! `engine`: podman that is missing, broken or out of disk. `policy`: what is wrong with a Containerfile or in an image. `reuse`: what is not built twice.
//! `mirror`: where packages come from. `left_over`: what does not stay in podman's store. `stack`: what is wrong with an image, each by its code. `supply`: what goes into an image and what does not.
//! `origins`: where its crates come from. `store`: where podman keeps what a test builds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bases;
mod engine;
mod left_over;
mod mirror;
mod origins;
mod policy;
mod reuse;
mod stack;
mod store;
mod supply;
mod world;
