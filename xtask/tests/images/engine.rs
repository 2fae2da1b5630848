//! podman that is missing, that cannot run a container, or whose disk is full: exit code 3, and what helps.

use crate::world::{Said, World, only};

const CONFIGURATION: &str = "[images.bases.builder]\nimage = \"127.0.0.1:1/library/x:1\"\n";

fn with_podman(script: &str) -> (World, Said) {
    let world = World::new(CONFIGURATION);
    world.program("podman", &format!("#!/bin/sh\n{script}\n"));
    let said = world.xtask(&["images", "bases"]);
    (world, said)
}

#[test]
fn a_machine_without_podman_is_told_how_to_get_it() {
    let world = World::new(CONFIGURATION);
    let programs = only(&["cargo", "rustc", "git"]);
    let said = world.run(world.command(&["images", "bases"]).env("PATH", programs.path()));
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("`podman` is"), "{}", said.text);
    assert!(said.text.contains("cargo xtask ci --setup images"), "{}", said.text);
}

#[test]
fn a_podman_that_cannot_run_a_container_is_told_in_its_own_words() {
    let (world, said) = with_podman(
        "[ \"$1\" != run ] || { echo 'Error: crun: cgroups in hybrid mode not supported' >&2; exit 126; }",
    );
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(
        said.text.contains("podman cannot run a container: crun: cgroups in hybrid mode not supported"),
        "{}",
        said.text
    );
    assert!(said.text.contains("apt-get install --yes runc"), "{}", said.text);
    assert!(!world.root().join("target/xtask/containers.conf").exists());
}

#[test]
fn settings_that_make_podman_work_are_kept_below_target_and_not_asked_for_twice() {
    let (world, said) = with_podman(
        "\
         case $1 in\n\
         run) grep -q default_ulimits \"$CONTAINERS_CONF\" 2>/dev/null || { echo 'Error: rlimit type 7' >&2; exit 126; } ;;\n\
         image) echo '[{\"RootFS\": {}}]' ;;\n\
         esac",
    );
    // The stand-in for podman says yes to whether the base exists.
    assert_eq!(said.code, 0, "{}", said.text);
    let settings = std::fs::read_to_string(world.root().join("target/xtask/containers.conf")).unwrap();
    assert!(settings.contains("nofile="), "{settings}");
    world.program("podman", "#!/bin/sh\n[ \"$1\" != run ] || exit 126\n");
    let again = world.xtask(&["images", "bases"]);
    assert_eq!(again.code, 3, "another podman needs another trial: {}", again.text);
}

#[test]
fn a_full_disk_is_told_by_its_name() {
    let (_world, said) = with_podman(
        "[ \"$1\" != import ] || { echo 'Error: writing blob: no space left on device' >&2; exit 125; }",
    );
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("the disk that podman keeps images on is full"), "{}", said.text);
}
