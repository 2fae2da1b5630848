//! What keeps a release from being made: each with its own code, its exit code and a way out, and nothing is touched.

use crate::world::{PASSPHRASE, Said, World, keys, openssl};

/// Somebody else pushes, so a plan needs neither podman nor a registry.
const ELSEWHERE: &str = "publisher = \"gitea\"\nregistry = \"r.example\"\npath = \"team/product\"\n";

fn world() -> World {
    World::new(ELSEWHERE)
}

/// What refuses, leaving out that no test workspace has its advisories judged.
#[track_caller]
fn refuses(world: &World, arguments: &[&str], code: &str, exit: i32) {
    let before = (world.git(&["status", "--porcelain"]), world.git(&["show-ref", "--head"]));
    let accepted = [arguments, &["--accept-no-advisories"]].concat();
    assert_eq!(world.refused(&accepted), (vec![code.to_owned()], exit));
    assert_eq!((world.git(&["status", "--porcelain"]), world.git(&["show-ref", "--head"])), before);
    // What a plan refuses is not done either.
    let said = world.release(&[&accepted[..], &["--execute"]].concat());
    assert_eq!(said.code, exit, "{}", said.text);
    assert!(!world.git(&["tag", "--list"]).contains("v0.2.0") || code == "release-tag-exists");
}

#[test]
fn what_may_be_released_is_told_with_all_that_would_change() {
    let world = world();
    let (plan, code) = world.plan(&["0.2.0", "--accept-no-advisories"]);
    assert_eq!(code, 0, "{plan:#}");
    let files: Vec<&str> =
        plan["files"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["Cargo.toml", "Cargo.lock", "CHANGELOG.md"]);
    let said = world.release(&["0.2.0", "--accept-no-advisories"]);
    let last = said.text.lines().last().unwrap();
    assert!(last.starts_with("nothing was changed; to do it: cargo xtask -C "), "{last}");
    assert!(last.ends_with(" release 0.2.0 --execute --accept-no-advisories"), "{last}");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_version_is_three_numbers_that_go_up() {
    let world = world();
    for (typed, why) in [("0.2", "three numbers are a version"), ("0.2.0+build", "leave it out")] {
        let said = world.release(&[typed]);
        assert_eq!(said.code, 2, "{}", said.text);
        assert!(said.text.contains(why), "{}", said.text);
    }
    refuses(&world, &["0.0.9"], "release-version-not-greater", 1);
    world.git(&["tag", "--annotate", "--message", "x", "v0.3.0"]);
    world.write("later", "");
    world.commit("Later");
    refuses(&world, &["0.2.0"], "release-version-not-greater", 1);
}

#[test]
fn a_tag_elsewhere_is_not_moved() {
    let world = world();
    world.git(&["tag", "--annotate", "--message", "x", "v0.2.0"]);
    world.write("later", "");
    world.commit("Later");
    refuses(&world, &["0.2.0"], "release-tag-exists", 1);
}

#[test]
fn only_a_commit_is_released() {
    let world = world();
    world.write("new", "");
    refuses(&world, &["0.2.0"], "release-dirty-tree", 1);
    world.commit("New");
    world.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- Edited and not committed.\n");
    refuses(&world, &["0.2.0"], "release-dirty-tree", 1);
}

#[test]
fn a_release_comes_from_its_branch() {
    let world = world();
    world.git(&["switch", "--quiet", "--create", "feature"]);
    refuses(&world, &["0.2.0"], "release-branch", 1);
    world.git(&["switch", "--quiet", "--detach"]);
    refuses(&world, &["0.2.0"], "release-branch", 1);
}

#[test]
fn what_others_have_not_seen_and_what_they_have_more_are_each_refused() {
    let world = world();
    let remote = tempfile::tempdir().unwrap();
    let remote = remote.path().to_str().unwrap();
    world.git(&["init", "--quiet", "--bare", remote]);
    world.git(&["remote", "add", "origin", remote]);
    world.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    assert_eq!(world.refused(&["0.2.0", "--accept-no-advisories"]), (vec![], 0));
    world.write("new", "");
    world.commit("New");
    refuses(&world, &["0.2.0"], "release-ahead-of-remote", 1);
    world.git(&["push", "--quiet"]);
    world.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    refuses(&world, &["0.2.0"], "release-behind-remote", 1);
}

#[test]
fn a_release_without_a_word_is_none() {
    let world = world();
    world.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-01\n\n- Old.\n");
    world.commit("Say nothing");
    refuses(&world, &["0.2.0"], "release-empty-changelog", 1);
    world.write("CHANGELOG.md", "# Changelog\n");
    world.commit("Say even less");
    refuses(&world, &["0.2.0"], "release-no-changelog", 1);
}

#[test]
fn a_crate_that_would_not_take_the_version_is_named() {
    let world = world();
    world.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"edge\", \"part\"]\n\n[workspace.package]\nversion = \"0.1.0\"\n");
    world.write(
        "part/Cargo.toml",
        "[package]\nname = \"part\"\nversion.workspace = true\nedition = \"2024\"\n",
    );
    world.write("part/src/lib.rs", "//! Part.\n");
    let manifest = world.read("edge/Cargo.toml");
    world.write(
        "edge/Cargo.toml",
        &format!("{manifest}\n[dependencies]\npart = {{ path = \"../part\", version = \"0.1\" }}\n"),
    );
    world.commit("Take it apart");
    refuses(&world, &["0.2.0"], "release-requirement", 1);
    assert_eq!(world.refused(&["0.1.1", "--accept-no-advisories"]).1, 0);
}

#[test]
fn what_the_configuration_lacks_is_wrong_usage() {
    let world = world();
    for (release, code) in [
        ("", "release-no-publisher"),
        ("publisher = \"gitea\"\n", "release-no-registry"),
        ("publisher = \"gitea\"\nregistry = \"r.example\"\n", "release-no-registry"),
        (
            "publisher = \"gitea\"\nregistry = \"r.example\"\npath = \"a\"\ntrusted-keys = []\n",
            "release-no-trusted-key",
        ),
        (
            "publisher = \"gitea\"\nregistry = \"r.example\"\npath = \"a\"\ntrusted-keys = [\"gone.pub\"]\n",
            "release-no-trusted-key",
        ),
    ] {
        world.configure(release);
        world.git(&["commit", "--quiet", "--all", "--allow-empty", "--message", "Configure"]);
        refuses(&world, &["0.2.0"], code, 2);
    }
    world.configure(ELSEWHERE);
    let manifest = world.read("edge/Cargo.toml");
    world.write("edge/Cargo.toml", manifest.split("[package.metadata").next().unwrap());
    world.commit("Have no service");
    refuses(&world, &["0.2.0"], "release-no-images", 2);
}

#[test]
fn a_key_that_could_not_sign_is_told_before_anything_is_pushed() {
    let mut world =
        World::new("publisher = \"local\"\nregistry = \"127.0.0.1:1\"\npath = \"team/product\"\n");
    let (trusted, public) = keys();
    world.write(".config/release.pub", &public);
    world.commit("Trust a key");
    // Nothing of podman or of a registry is asked before.
    world.program("podman", "#!/bin/sh\n");
    let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "env:IT"], &trusted);
    assert!(!encrypted.contains(PASSPHRASE));
    for (key, code, exit, words) in [
        (None, "release-no-signing-key", 3, "no signing key is given"),
        (Some("nothing".to_owned()), "release-signing-key", 2, "holds no private key"),
        (Some(encrypted.clone()), "release-signing-key", 2, "the signing key is encrypted"),
        (Some(keys().0), "release-untrusted-key", 1, "hosts would refuse what it signs"),
    ] {
        world.sign_with(key);
        refuses(&world, &["0.2.0"], code, exit);
        assert!(world.release(&["0.2.0"]).text.contains(words), "{words}");
    }
    world.sign_with(Some(encrypted));
    let mut command = world.command(&["0.2.0", "--accept-no-advisories"]);
    let said = Said::from(command.env("SLIPWAY_SIGNING_PASSPHRASE", "another").output().unwrap());
    assert_eq!(said.code, 2, "{}", said.text);
    assert!(said.text.contains("the passphrase does not open the signing key"), "{}", said.text);
    assert!(said.text.contains("correct SLIPWAY_SIGNING_PASSPHRASE"), "{}", said.text);
    refuses(&world, &["0.2.0", "--signing-key", "/nowhere/key"], "release-signing-key", 2);
    world.sign_with(Some(trusted));
    world.write(".config/release.pub", "no key\n");
    world.commit("Trust nothing");
    refuses(&world, &["0.2.0"], "release-signing-key", 2);
}

#[test]
fn advisories_that_nobody_judged_are_refused_unless_somebody_says_so() {
    let world = world();
    assert_eq!(world.refused(&["0.2.0"]), (vec!["release-no-advisories".to_owned()], 3));
    let said = world.release(&["0.2.0", "--execute"]);
    assert_eq!(said.code, 3, "{}", said.text);
    assert_eq!(world.report()["verdict"], "environment");
    assert_eq!(world.report()["command"], "release");
    assert_eq!(world.git(&["log", "--oneline"]).lines().count(), 1);
}

#[test]
fn bases_that_stand_in_are_refused_unless_somebody_says_so() {
    let world = world();
    let bases =
        "[images.bases.builder]\nimage = \"docker.io/library/rust:1.0.0-bookworm\"\nargument = \"BUILDER\"\n";
    let configuration = world.read(".config/xtask.toml");
    world.write(".config/xtask.toml", &format!("{configuration}\n{bases}"));
    world.commit("Start from a base");
    // A store that has the stand-in and not the genuine image.
    world.program(
        "podman",
        "#!/bin/sh\ncase \"$*\" in *localhost/slipway-base/*) exit 0 ;; *) exit 1 ;; esac\n",
    );
    let accepted = ["0.2.0", "--accept-no-advisories"];
    assert_eq!(world.refused(&accepted), (vec!["release-stand-in-bases".to_owned()], 3));
    let all = [&accepted[..], &["--accept-stand-in-bases"]].concat();
    assert_eq!(world.refused(&all), (vec![], 0));
}

#[test]
fn a_tags_run_needs_the_tag_of_the_version_that_is_there() {
    let world = world();
    assert_eq!(world.release(&["--from-tag"]).code, 2);
    world.git(&["tag", "--annotate", "--message", "x", "v0.9.0"]);
    let (codes, code) = world.refused(&["--from-tag", "--plan", "--accept-no-advisories"]);
    assert_eq!((codes.first().map(String::as_str), code), (Some("release-tag-of-another-version"), 1));
}

#[test]
fn a_snapshot_is_of_a_branch_that_has_a_tag_to_move() {
    let world = world();
    world.git(&["switch", "--quiet", "--create", "feature"]);
    let said = world.release(&["--snapshot", "--accept-no-advisories"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(world.step("checks").1[0], "release-branch");
}

#[test]
fn only_one_thing_is_released_at_a_time() {
    let world = world();
    for typed in [&["0.2.0", "--snapshot"][..], &["--snapshot", "--from-tag"], &[]] {
        assert_eq!(world.release(typed).code, 2, "{typed:?}");
    }
}
