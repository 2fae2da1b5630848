//! Slipway as real processes: one release, from a commit to production by two people; what operators see; what happens
//! when parts fail; and the stack that `cargo xtask up` starts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod certificates;
mod checkout;
mod dashboards;
mod door;
mod events;
mod faults;
mod figures;
mod given;
mod plot;
mod processes;
mod project;
mod prometheus;
mod receiver;
mod stack;
mod traces;

use std::path::{Path, PathBuf};

use checkout::Checkout;
use processes::{Given, Processes};
use project::Project;
use receiver::Receiver;
use scratch_registry::{ScratchRegistry, Settings};

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

/// The same through containers: the registry has TLS of an authority that both the releaser and the worker are told of.
#[tokio::test]
async fn long_the_same_release_comes_to_production_through_the_stack_that_up_starts() {
    let checkout = Checkout::of_this_tree();
    // On the stack's own network this host has one address for itself and for containers; it comes with the first of them.
    checkout.up(&["postgres"]);
    let host = checkout.host();
    let name = host.to_string();
    let settings = Settings { host: Some(host), tls_name: Some(&name), ..Settings::default() };
    let registry = ScratchRegistry::with(settings).unwrap();
    let receiver = Receiver::at(host).await;
    let authorities = checkout.beside("authorities").join("ca.pem");
    certificates::with_the_systems(&registry.authority(), &authorities);
    let project = Project::published_to(registry.address()).trusting(&authorities);

    let worker = checkout.root().join(".env.secrets/worker");
    receiver.introduce(&worker, Path::new("/run/secrets/worker"));
    std::fs::copy(project.public_key(), worker.join("keys.pem")).unwrap();
    std::fs::copy(&authorities, worker.join("ca.pem")).unwrap();
    checkout.append(
        ".env",
        "WORKER_WEBHOOKS_FILE=/run/secrets/worker/webhooks.toml\n\
         WORKER_RELEASE_KEYS_FILE=/run/secrets/worker/keys.pem\n\
         WORKER_SSL_CERT_FILE=/run/secrets/worker/ca.pem\n",
    );
    checkout.up(&[]);
    plot::plays(&checkout.door(), &project, &receiver).await;
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
