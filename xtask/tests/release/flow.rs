//! From a changelog to images that a host pulls, and what is found there when it is done again.

use crate::world::{Registry, World, tool};

/// The digest that a host gets the image by, from the last words of a run.
fn digest(text: &str) -> String {
    let at = text.find("edge@sha256:").unwrap_or_else(|| panic!("{text}")) + "edge@".len();
    text[at..at + 71].to_owned()
}

#[test]
fn a_release_is_tagged_pushed_signed_and_recorded_and_done_again_it_changes_nothing() {
    let registry = Registry::start();
    let world = World::published_to(&registry.address);
    let before = world.git(&["rev-parse", "HEAD"]);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);

    // One commit with the version, the lock file and the changelog, and a tag with a message at it.
    assert_eq!(world.git(&["rev-parse", "HEAD~1"]), before);
    assert_eq!(world.git(&["log", "-1", "--format=%s"]), "Release 0.2.0");
    assert_eq!(world.git(&["diff", "--name-only", "HEAD~1"]), "CHANGELOG.md\nCargo.lock\nCargo.toml");
    assert_eq!(world.git(&["cat-file", "-t", "v0.2.0"]), "tag");
    assert_eq!(world.git(&["rev-parse", "v0.2.0^{commit}"]), world.git(&["rev-parse", "HEAD"]));
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(
        world.read("CHANGELOG.md").contains("## Unreleased\n\n## 0.2.0 - "),
        "{}",
        world.read("CHANGELOG.md")
    );

    // Three names for one digest, which is the one that the last words tell.
    let digest = digest(&said.text);
    let sha = format!("sha-{}", world.git(&["rev-parse", "HEAD"]));
    for tag in ["v0.2.0", "latest", &sha] {
        assert_eq!(registry.digest(tag).as_ref(), Some(&digest), "{tag}");
    }

    // Anybody with the public key can verify it, from the registry and from the record.
    let image = format!("{}/team/product/edge@{digest}", registry.address);
    let key = world.root().join(".config/release.pub");
    let record = world.root().join("target/xtask/release/0.2.0/release.json");
    for arguments in [&["verify", &image][..], &["verify", "--record", record.to_str().unwrap()]] {
        let verified = tool().args(arguments).arg("--key").arg(&key).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
    let record: serde_json::Value =
        serde_json::from_str(&world.read("target/xtask/release/0.2.0/release.json")).unwrap();
    assert_eq!(record["version"], "0.2.0");
    assert_eq!(record["commit"], world.git(&["rev-parse", "HEAD"]).as_str());
    assert_eq!(record["services"]["edge"]["digest"], digest.as_str());
    assert_eq!(record["evidence"]["test"]["verdict"], "passed");
    assert_eq!(record["accepted"]["no_advisories"], true);
    assert_eq!(world.report()["verdict"], "green");
    assert_eq!(world.report()["command"], "release");

    // Once more: the same names, the same digest, not one byte of the record another one.
    let (tags, bytes) = (registry.tags(), world.read("target/xtask/release/0.2.0/release.json"));
    let again = world.execute("0.2.0");
    assert_eq!(again.code, 0, "{}", again.text);
    assert_eq!(registry.tags(), tags);
    assert_eq!(world.read("target/xtask/release/0.2.0/release.json"), bytes);
    assert_eq!(world.git(&["log", "--oneline"]).lines().count(), 3);
    assert!(!world.root().join("target/xtask/release/0.2.0/images").join("edge").exists());
    assert!(!world.root().join("target/xtask/release/0.2.0/store").exists());
}

#[test]
fn a_tag_that_was_overwritten_is_refused_and_one_that_was_deleted_comes_back() {
    let registry = Registry::start();
    let world = World::published_to(&registry.address);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    let manifest = registry.manifest("v0.2.0");
    let other = manifest.replacen("{", "{\"annotations\":{\"by\":\"somebody\"},", 1);

    // The same image in another manifest is the same image: only what it is made of counts.
    registry.delete(&registry.digest("v0.2.0").unwrap());
    assert_eq!(registry.digest("v0.2.0"), None);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(registry.manifest("v0.2.0"), manifest);

    // Another image: its configuration is what was the layer.
    let layer =
        other.split("\"layers\":[").nth(1).unwrap().split("\"digest\":\"").nth(1).unwrap()[..71].to_owned();
    let config =
        other.split("\"config\":{").nth(1).unwrap().split("\"digest\":\"").nth(1).unwrap()[..71].to_owned();
    registry.overwrite("v0.2.0", &other.replacen(&config, &layer, 1));
    let foreign = registry.digest("v0.2.0");
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(world.step("checks"), ("failed".to_owned(), vec!["release-registry-tag".to_owned()]));
    assert!(said.text.contains("which is not this image, and it never moves"), "{}", said.text);
    assert_eq!(registry.digest("v0.2.0"), foreign, "nothing is overwritten");
}

#[test]
fn with_a_workflow_as_publisher_it_ends_after_the_tag_and_the_tags_run_pushes() {
    let registry = Registry::start();
    let world = World::published_to(&registry.address);
    let release =
        format!("publisher = \"gitea\"\nregistry = \"{}\"\npath = \"team/product\"\n", registry.address);
    world.configure(&release);
    world.commit("Have a workflow publish");
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    let last = said.text.lines().last().unwrap();
    assert!(
        last.ends_with("its workflow pushes the images after: git push --atomic origin main v0.2.0"),
        "{last}"
    );
    assert_eq!(registry.tags(), Vec::<String>::new());

    // As a runner has it: the tag, and no branch.
    world.git(&["switch", "--quiet", "--detach", "v0.2.0"]);
    let said = world.release(&["--from-tag", "--accept-no-advisories"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(registry.digest("v0.2.0"), registry.digest("latest"));
    assert!(registry.digest("v0.2.0").is_some());
}

#[test]
fn a_snapshot_moves_its_branchs_tag_and_never_back() {
    let registry = Registry::start();
    let world = World::published_to(&registry.address);
    let said = world.release(&["--snapshot", "--accept-no-advisories"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let first = world.git(&["rev-parse", "HEAD"]);
    assert_eq!(registry.tags().iter().filter(|it| it.starts_with('v')).count(), 0);
    assert_eq!(registry.digest("latest"), registry.digest(&format!("sha-{first}")));
    assert_eq!(world.git(&["tag", "--list"]), "");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), first);
}
