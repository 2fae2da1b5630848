//! An image is built once: whoever asks again gets the same one, and two builds of one commit are one image.

use std::process::Command;

use serde_json::Value;

use crate::{
    store::Store,
    world::{GOOD, World, podman},
};

#[test]
fn one_changed_service_is_built_and_started_and_the_other_one_is_left_alone() {
    let world = World::with_twin("");
    let first = world.xtask(&["ci", "images"]);
    assert_eq!(first.code, 0, "{}", first.text);
    let before = world.images();
    assert_eq!(before[0]["service"], "edge");
    assert!(before.iter().all(|it| it["green"].is_string()), "{before:?}");

    let source = std::fs::read_to_string(world.root().join("twin/src/main.rs")).unwrap();
    world.write("twin/src/main.rs", &format!("{source}// changed\n"));
    let commit = world.commit("only the twin");
    let second = world.xtask(&["ci", "images"]);
    assert_eq!(second.code, 0, "{}", second.text);
    let after = world.images();
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1]["id"], before[1]["id"]);
    assert_eq!(after[1]["revision"], Value::String(commit));
    let log = log(&world);
    assert!(log.contains("--target twin-runtime") && !log.contains("--target edge-runtime"), "{log}");
    assert!(log.contains("-twin") && !log.contains("-edge --label"), "{log}");

    // Going back is free: what the tree says is in the store.
    world.git(&["revert", "--no-edit", "HEAD"]);
    let third = world.xtask(&["ci", "images", "--force"]);
    assert_eq!(third.code, 0, "{}", third.text);
}

#[test]
fn what_touches_no_image_leaves_all_of_them_as_they_are() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    let commit = world.commit("images");
    assert_eq!(world.xtask(&["ci", "images"]).code, 0);
    let before = world.images();
    assert_eq!(before[0]["revision"], Value::String(commit.clone()));
    assert_eq!(before[0]["version"], "1.2.3");
    world.write("README.md", "A word.\n");
    world.commit("a word");
    let said = world.xtask(&["ci", "images", "--force"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(world.images(), before);
    let log = log(&world);
    assert!(!log.contains("podman build") && !log.contains("podman run"), "{log}");
    let labels = podman(&["image", "inspect", "--format={{json .Config.Labels}}", reference(&before)]);
    let labels: Value = serde_json::from_str(&labels).unwrap();
    assert_eq!(labels["org.opencontainers.image.revision"], Value::String(commit));
    assert_eq!(labels["dev.slipway.stand-in-base"], "false");
    assert_eq!(labels["dev.slipway.fingerprint"], before[0]["fingerprint"]);
    assert_eq!(labels["org.opencontainers.image.licenses"], "MIT");
}

#[test]
fn a_removed_image_is_built_again_and_is_the_same() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    world.commit("images");
    assert_eq!(world.xtask(&["ci", "images"]).code, 0);
    let before = world.images();
    podman(&["rmi", "--force", before[0]["id"].as_str().unwrap()]);
    let said = world.xtask(&["ci", "images"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(log(&world).contains("--target edge-runtime"), "{}", log(&world));
    assert_eq!(world.images(), before);
    assert!(!podman(&["images", "--quiet", reference(&before)]).is_empty());
}

#[test]
fn what_was_built_before_it_was_committed_only_gets_another_label() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    assert_eq!(world.xtask(&["images", "build"]).code, 0);
    let before = world.images();
    assert!(before[0]["revision"].as_str().unwrap().ends_with("-dirty"), "{before:?}");
    let commit = world.commit("images");
    assert_eq!(world.xtask(&["images", "build"]).code, 0);
    let after = world.images();
    assert_eq!(after[0]["revision"], Value::String(commit));
    assert_eq!(after[0]["fingerprint"], before[0]["fingerprint"]);
    assert!(!log(&world).contains("podman build"), "{}", log(&world));
}

#[test]
fn sources_that_change_while_they_are_built_are_built_once_more_and_no_image_says_what_it_is_not() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    world.commit("images");
    // Somebody saves a file just when the build begins.
    let real = Command::new("sh").args(["-c", "command -v podman"]).output().unwrap();
    let save = "[ -e bin/saved ] || { touch bin/saved; echo '// saved' >> edge/src/main.rs; }";
    let script = format!(
        "case \"$*\" in *--target*) {save} ;; esac\nexec {} \"$@\"",
        String::from_utf8(real.stdout).unwrap().trim()
    );
    world.program("podman", &format!("#!/bin/sh\n{script}\n"));
    let said = world.xtask(&["images", "build"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(log(&world).contains("sources changed while they were built; once more"), "{}", log(&world));
    let built = world.images();
    // What the tree says now is what the image says: there is nothing to build.
    assert_eq!(world.xtask(&["images", "build"]).code, 0);
    assert_eq!(world.images(), built);
    assert!(!log(&world).contains("podman build"), "{}", log(&world));
}

#[test]
fn a_second_build_is_the_same_image_and_what_is_not_is_named_with_its_file() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    world.commit("images");
    let said = world.xtask(&["images", "verify"]);
    assert_eq!(said.code, 0, "{}", said.text);
    world.write("Containerfile", &GOOD.replace("USER ", "RUN [\"/edge\", \"random\"]\nUSER "));
    world.commit("by chance");
    let said = world.xtask(&["images", "verify"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(world.codes(), ["image-not-reproducible"], "{}", said.text);
    assert!(said.text.contains("`/random` of layer 2: from byte"), "{}", said.text);
}

#[test]
fn what_a_plain_build_left_in_the_store_is_not_taken_for_the_tools_own() {
    let store = Store::empty();
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    world.commit("images");
    let root = world.root().display().to_string();
    // Its layers have the times of the day.
    store.podman(&["build", "--format=docker", "--tag=plain", &root]);
    assert!(!store.podman(&["images", "--quiet", "plain"]).is_empty());
    let said = world.run(&mut store.command(&world, &["images", "verify"]));
    assert_eq!((said.code, world.codes()), (0, Vec::new()), "{}", said.text);
}

#[test]
fn what_is_in_an_image_is_told_with_the_line_that_brought_it() {
    let world = World::new("");
    world.compile();
    world.write("Containerfile", GOOD);
    world.commit("images");
    let said = world.xtask(&["images", "inspect", "edge"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("line 2  COPY root/ /"), "{}", said.text);
    assert!(said.text.contains("/edge\n"), "{}", said.text);
    assert!(said.text.contains("org.opencontainers.image.title=edge"), "{}", said.text);
    let table = world.xtask(&["images", "inspect", "--message-format", "markdown"]);
    assert!(table.text.contains("| edge | ") && table.text.contains("| `sha256:"), "{}", table.text);
    let json = world.xtask(&["images", "inspect", "--message-format", "json"]);
    let json: Value = serde_json::from_str(&json.text).unwrap();
    assert_eq!(json["images"][0]["layers"][0]["line"], 2);
    assert_eq!(json["together_bytes"], json["images"][0]["size_bytes"]);
    let unknown = world.xtask(&["images", "inspect", "egde"]);
    assert!(unknown.text.contains("there is no service `egde`; there is `edge`"), "{}", unknown.text);
}

fn reference(images: &[Value]) -> &str {
    images[0]["reference"].as_str().unwrap()
}

fn log(world: &World) -> String {
    std::fs::read_to_string(world.root().join("target/xtask/logs/images.log")).unwrap()
}
