//! Base images are pulled where a registry has them, and asked for with the right command where none has.

use crate::{
    store::Store,
    world::{GOOD, Registry, World, podman},
};

fn configuration(image: &str) -> String {
    format!("[images.bases.builder]\nimage = \"{image}\"\nargument = \"BUILDER\"\n")
}

#[test]
fn a_genuine_base_is_pulled_from_its_registry() {
    let registry = Registry::start();
    let image = registry.offer("library/base:1.0");
    let world = World::new(&configuration(&image));
    let mut command = world.command(&["images", "bases"]);
    let said = world.run(command.env("CONTAINERS_REGISTRIES_CONF", registry.settings()));
    let stored = podman(&["images", "--quiet", &image]);
    podman(&["rmi", "--force", &image]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(!stored.is_empty(), "{}", said.text);
    assert!(!said.text.contains("stands in"), "{}", said.text);
}

#[test]
fn a_base_behind_a_login_is_pulled_by_the_digest_of_the_table_and_with_a_wrong_password_nothing_is() {
    let registry = Registry::with_login("ann", "right-one");
    let (right, wrong) = (registry.login("ann", "right-one"), registry.login("ann", "wrong-one"));
    let image = registry.offer_as("library/base:2.0", Some(&right));
    let digest = registry.digest();
    assert!(digest.starts_with("sha256:"), "{digest}");
    let world = World::new(&format!("{}digest = \"{digest}\"\n", configuration(&image)));
    let bases = |login: &std::path::Path| {
        let mut command = world.command(&["images", "bases"]);
        command.env("CONTAINERS_REGISTRIES_CONF", registry.settings()).env("REGISTRY_AUTH_FILE", login);
        world.run(&mut command)
    };
    let refused = bases(&wrong);
    assert_eq!(refused.code, 3, "{}", refused.text);
    assert!(refused.text.contains(&format!("podman login {}", registry.address)), "{}", refused.text);
    assert!(!refused.text.contains("wrong-one"), "{}", refused.text);
    let given = bases(&right);
    let stored = podman(&["images", "--quiet", &image]);
    podman(&["rmi", "--force", &image]);
    assert_eq!(given.code, 0, "{}", given.text);
    assert!(!stored.is_empty() && !given.text.contains("image-unpinned-base"), "{}", given.text);
}

#[test]
fn a_genuine_base_that_is_not_the_tables_is_a_finding_that_says_how_to_get_the_right_one() {
    let registry = Registry::start();
    let image = registry.offer("library/base:3.0");
    let digest = format!("sha256:{}", "0".repeat(64));
    let world = World::new(&format!("{}digest = \"{digest}\"\n", configuration(&image)));
    world.write("Containerfile", &format!("ARG BUILDER={image}\nFROM ${{BUILDER}} AS b\n{GOOD}"));
    // Somebody pulled it by its tag.
    podman(&["pull", "--quiet", "--tls-verify=false", &image]);
    let said = world.xtask(&["ci", "images"]);
    podman(&["rmi", "--force", &image]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(world.codes(), ["image-unpinned-base"], "{}", said.text);
    assert!(said.text.contains(&format!("podman rmi {image} && cargo xtask images bases")), "{}", said.text);
}

#[test]
fn a_base_that_no_registry_has_is_an_environment_error_that_names_it() {
    let registry = Registry::start();
    let image = format!("{}/library/nothing:1.0", registry.address);
    let world = World::new(&configuration(&image));
    let mut command = world.command(&["images", "bases"]);
    let said = world.run(command.env("CONTAINERS_REGISTRIES_CONF", registry.settings()));
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains(&format!("the base image `{image}` cannot be pulled")), "{}", said.text);
    assert!(said.text.contains("cargo xtask images bases"), "{}", said.text);
}

#[test]
fn a_build_never_makes_a_stand_in_of_its_own_accord() {
    // Nobody listens there, so there is nothing to pull from; the recipe for it exists.
    let world = World::new(&configuration("127.0.0.1:1/library/rust:0.0.1-bookworm"));
    world.write("Containerfile", "ARG BUILDER=x\nFROM ${BUILDER} AS edge-runtime\n");
    let said = world.xtask(&["images", "build"]);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(
        said.text.contains("`127.0.0.1:1/library/rust:0.0.1-bookworm` cannot be pulled"),
        "{}",
        said.text
    );
    assert_eq!(podman(&["images", "--quiet", "localhost/slipway-base/rust:0.0.1-bookworm"]), "");
}

#[test]
fn a_stand_in_of_another_toolchain_than_the_workspaces_is_refused() {
    let world = World::new(&configuration("127.0.0.1:1/library/rust:0.0.1-bookworm"));
    let said = world.xtask(&["images", "bases"]);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(
        said.text.contains("the base image is of Rust 0.0.1, this workspace's toolchain is"),
        "{}",
        said.text
    );
}

#[test]
fn a_stand_in_of_another_recipe_is_made_anew_by_who_asks_for_bases_or_set_up_and_the_old_one_goes() {
    let store = Store::empty();
    // Nobody listens there, so there is nothing to pull from.
    let world =
        World::new("[images.bases.postgres]\nimage = \"127.0.0.1:1/library/postgres:15.0-bookworm\"\n");
    world.program(
        "mmdebstrap",
        "#!/bin/sh\nfor word; do [ \"$word\" = - ] || target=$word; done\nhead -c 1024 /dev/zero > \"$target\"\n",
    );
    let name = "localhost/slipway-base/postgres:15.0-bookworm";
    let archive = world.root().join("old.tar");
    std::fs::write(&archive, [0; 1024]).unwrap();
    let import = |recipe: &str| {
        let labels =
            [format!("LABEL dev.slipway.recipe={recipe}"), "LABEL dev.slipway.stand-in=x".to_owned()];
        let changes = labels.each_ref().map(|it| ["--change", it.as_str()]).concat();
        let image = [name];
        let archive = archive.to_string_lossy();
        let words = [&["import", "--quiet"], changes.as_slice(), &[&archive], &image].concat();
        store.podman(&words).trim().trim_start_matches("sha256:").to_owned()
    };
    let ids = || {
        store.podman(&["images", "--all", "--quiet", "--no-trunc", "--filter", "label=dev.slipway.stand-in"])
    };
    let recipe =
        || store.podman(&["image", "inspect", "--format={{index .Labels \"dev.slipway.recipe\"}}", name]);
    let mut made = Vec::new();
    for arguments in [&["images", "bases"][..], &["ci", "--setup", "images"]] {
        let old = import("another");
        assert!(ids().contains(&old), "{old}");
        let said = world.run(&mut store.command(&world, arguments));
        assert!(said.text.contains(&format!("`{name}` stands in for")), "{}", said.text);
        assert!(!ids().contains(&old) && ids().lines().count() == 1, "{}", ids());
        made.push(recipe());
    }
    assert!(made[0] == made[1] && made[0].trim() != "another", "{made:?}");
    // What is of today's recipe stays as it is.
    let before = ids();
    assert_eq!(world.run(&mut store.command(&world, &["images", "bases"])).code, 0);
    assert_eq!(ids(), before);
}
