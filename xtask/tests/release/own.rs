//! This workspace's own images, released as anybody's: its whole gate, its Containerfile, a registry on loopback.

use std::{collections::BTreeSet, path::Path};

use rustix::process::{Pid, Signal, kill_process};
use scratch_registry::ScratchRegistry;
use serde_json::Value;

use crate::{
    kills::until_point,
    world::{Said, World, home, tool},
};

/// Where they lie on the registry.
const PATH: &str = "team/slipway";

/// The gate here knows neither advisories nor a public registry.
fn accepted<'a>(what: &[&'a str]) -> Vec<&'a str> {
    [what, &["--accept-no-advisories", "--accept-stand-in-bases"]].concat()
}

/// The services that become images, as their manifests say.
fn services() -> BTreeSet<String> {
    let crates = std::fs::read_dir(home().join("crates")).unwrap().map(|it| it.unwrap());
    let is_service = |folder: &Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("\n[package.metadata.service]")
    };
    crates.filter(|it| is_service(&it.path())).map(|it| it.file_name().into_string().unwrap()).collect()
}

fn ends_well(world: &World, arguments: &[&str]) -> Said {
    let said = world.release(&accepted(arguments));
    assert_eq!(said.code, 0, "{}", said.text);
    said
}

#[test]
fn long_slipways_own_images_are_released_gone_on_with_and_pushed_as_a_snapshot() {
    let registry = ScratchRegistry::start().unwrap();
    let world = World::of_this_workspace(registry.address(), PATH);
    let services = services();
    assert!(services.len() > 4, "{services:?}");
    let tags = |service: &str| registry.shelf(&format!("{PATH}/{service}")).tags();

    // Killed when it has pushed some of them, and gone on with: the tag is there, and the gate's verdicts are.
    let arguments = accepted(&["0.2.0", "--execute", "--message-format", "json", "--verbose"]);
    let mut child = until_point(world.command(&arguments), ("push", "gateway: manifest"));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    for service in &services {
        assert!(!tags(service).iter().any(|it| it.starts_with('v')), "{service}");
    }
    let said = ends_well(&world, &["0.2.0", "--execute"]);
    for gated in ["clippy", "test", "images"] {
        assert_eq!(world.step(gated).0, "cached", "{}", said.text);
    }

    // All of them, with the version in their labels, signed, each with its own SBOM, as the signed record tells.
    let record = world.root().join("target/xtask/release/0.2.0/release.json");
    let mut verify = tool();
    verify
        .arg("verify")
        .arg("--record")
        .arg(&record)
        .arg("--key")
        .arg(world.root().join(".config/release.pub"));
    let verified = verify.output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let names: BTreeSet<String> = verified.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, services);
    let sboms: BTreeSet<&str> =
        verified.as_object().unwrap().values().map(|it| it["sbom"].as_str().unwrap()).collect();
    assert_eq!(sboms.len(), services.len());
    for (service, image) in verified.as_object().unwrap() {
        assert_eq!(image["labels"]["org.opencontainers.image.version"], "0.2.0", "{service}");
        let shelf = format!("{PATH}/{service}");
        let digest = image["digest"].as_str().map(str::to_owned);
        for tag in ["v0.2.0", "latest"] {
            assert_eq!(registry.shelf(&shelf).digest(tag), digest, "{service}");
        }
    }

    // A snapshot of the same commit is the same images.
    ends_well(&world, &["--snapshot"]);
    let head = world.git(&["rev-parse", "HEAD"]);
    for service in &services {
        let shelf = format!("{PATH}/{service}");
        let shelf = registry.shelf(&shelf);
        assert_eq!(shelf.digest(&format!("sha-{head}")), shelf.digest("v0.2.0"), "{service}");
    }
}
