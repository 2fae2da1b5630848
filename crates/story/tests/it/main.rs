//! Slipway as real processes: one release, from a commit to production by two people; what operators see; and what happens
//! when parts fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dashboards;
mod door;
mod events;
mod faults;
mod figures;
mod plot;
mod processes;
mod project;
mod prometheus;
mod receiver;

use std::path::{Path, PathBuf};

use processes::{Given, Processes};
use project::Project;
use receiver::Receiver;
use scratch_registry::ScratchRegistry;

#[tokio::test]
async fn a_release_comes_from_a_commit_to_production_by_two_people_and_everybody_hears_of_it() {
    let registry = ScratchRegistry::start().expect("`cargo xtask test --setup` installs docker-registry");
    let receiver = Receiver::start().await;
    let project = Project::published_to(registry.address());
    let folder = project.beside("worker");
    let slipway = Processes::start(Given {
        folder: project.beside("slipway"),
        worker: vec![
            ("WEBHOOKS_FILE", receiver.introduce(&folder, &folder)),
            ("RELEASE_KEYS_FILE", project.public_key()),
        ],
        ..Given::default()
    })
    .await;
    plot::plays(&slipway.door(), &project, &receiver).await;
    slipway.stop().await;
}

/// A binary of the workspace, which is built with the tests of all of it.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let path = folder.join(name);
    assert!(path.exists(), "`{}` is not there; `cargo xtask test` builds it", path.display());
    path
}

/// The workspace's root.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
