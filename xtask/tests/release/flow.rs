//! From a changelog to images that a host pulls, and what is found there when it is done again.

use std::{fs, os::unix::fs::PermissionsExt as _};

use scratch_registry::ScratchRegistry;

use crate::world::{EDGE, Said, World, podman, tool};

/// The digest that a host gets the image by, from the last words of a run.
fn digest(text: &str) -> String {
    let at = text.find("edge@sha256:").unwrap_or_else(|| panic!("{text}")) + "edge@".len();
    text[at..at + 71].to_owned()
}

#[test]
fn a_release_is_tagged_pushed_signed_and_recorded_and_done_again_it_changes_nothing_but_puts_right() {
    let registry = ScratchRegistry::start().unwrap();
    let world = World::published_to(registry.address());
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
        assert_eq!(registry.shelf(EDGE).digest(tag).as_ref(), Some(&digest), "{tag}");
    }

    // Anybody with the public key can verify it, from the registry and from the record.
    let image = format!("{}/team/product/edge@{digest}", registry.address());
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
    let (tags, bytes) = (registry.shelf(EDGE).tags(), world.read("target/xtask/release/0.2.0/release.json"));
    let again = world.execute("0.2.0");
    assert_eq!(again.code, 0, "{}", again.text);
    assert_eq!(registry.shelf(EDGE).tags(), tags);
    assert_eq!(world.read("target/xtask/release/0.2.0/release.json"), bytes);
    assert_eq!(world.git(&["log", "--oneline"]).lines().count(), 3);
    assert!(!world.root().join("target/xtask/release/0.2.0/images").join("edge").exists());
    assert!(!world.root().join("target/xtask/release/0.2.0/store").exists());

    a_deleted_tag_comes_back_and_an_overwritten_one_is_refused(&world, &registry);
}

/// Somebody deletes a released tag, and then puts another image under it.
fn a_deleted_tag_comes_back_and_an_overwritten_one_is_refused(world: &World, registry: &ScratchRegistry) {
    let manifest = registry.shelf(EDGE).manifest("v0.2.0");
    let other = manifest.replacen("{", "{\"annotations\":{\"by\":\"somebody\"},", 1);

    // The same image in another manifest is the same image: only what it is made of counts.
    registry.shelf(EDGE).delete(&registry.shelf(EDGE).digest("v0.2.0").unwrap());
    assert_eq!(registry.shelf(EDGE).digest("v0.2.0"), None);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(registry.shelf(EDGE).manifest("v0.2.0"), manifest);

    // Another image: its configuration is what was the layer.
    let layer =
        other.split("\"layers\":[").nth(1).unwrap().split("\"digest\":\"").nth(1).unwrap()[..71].to_owned();
    let config =
        other.split("\"config\":{").nth(1).unwrap().split("\"digest\":\"").nth(1).unwrap()[..71].to_owned();
    registry.shelf(EDGE).overwrite("v0.2.0", &other.replacen(&config, &layer, 1));
    let foreign = registry.shelf(EDGE).digest("v0.2.0");
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(world.step("checks"), ("failed".to_owned(), vec!["release-registry-tag".to_owned()]));
    assert!(said.text.contains("which is not this image, and it never moves"), "{}", said.text);
    assert_eq!(registry.shelf(EDGE).digest("v0.2.0"), foreign, "nothing is overwritten");
}

/// A bare repository that everybody pushes to, and what it has.
struct Remote(tempfile::TempDir);

impl Remote {
    /// Known to the workspace as `origin`, with its branch.
    fn of(world: &World) -> Self {
        let remote = Self(tempfile::tempdir().unwrap());
        world.git(&["init", "--quiet", "--bare", "--initial-branch=main", remote.path()]);
        world.git(&["remote", "add", "origin", remote.path()]);
        world.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
        remote
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// The names that it has, with what they are at.
    fn has(&self, world: &World) -> String {
        world.git(&["ls-remote", self.path()])
    }

    /// It refuses every push to a name that begins so, or none.
    fn refuses(&self, name: Option<&str>) {
        let hook = self.0.path().join("hooks/update");
        let Some(name) = name else { return fs::remove_file(hook).unwrap() };
        let script =
            format!("#!/bin/sh\ncase $1 in {name}*) echo 'frozen until Monday' >&2; exit 1;; esac\n");
        fs::write(&hook, script).unwrap();
        fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Somebody else pushes a commit.
    fn moves_on(&self, world: &World) {
        let other = tempfile::tempdir().unwrap();
        let at = other.path().to_str().unwrap();
        world.git(&["clone", "--quiet", self.path(), at]);
        let git = |arguments: &[&str]| world.git(&[&["-C", at], arguments].concat());
        git(&[
            "-c",
            "user.name=b",
            "-c",
            "user.email=b@c.d",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "Theirs",
        ]);
        git(&["push", "--quiet"]);
    }
}

#[test]
fn with_a_workflow_as_publisher_branch_and_tag_are_pushed_together_and_the_tags_run_pushes_the_images() {
    let registry = ScratchRegistry::start().unwrap();
    let world = World::published_to(registry.address());
    let settings =
        format!("publisher = \"gitea\"\nregistry = \"{}\"\npath = \"team/product\"\n", registry.address());
    world.configure(&format!(
        "{settings}remote = \"origin\"\nworkflow-accepts = [\"no-advisories\"]\n\
         trusted-keys = [\".config/release.pub\"]\n[workflows]\nsetup = false\n"
    ));
    assert!(world.xtask(&["workflows"]).status().unwrap().success());
    world.commit("Have a workflow publish");
    let remote = Remote::of(&world);
    let before = remote.has(&world);

    // A remote that refuses one of the two gets neither.
    for name in ["refs/tags/", "refs/heads/"] {
        remote.refuses(Some(name));
        let said = world.execute("0.2.0");
        assert_eq!(said.code, 3, "{}", said.text);
        assert_eq!(world.step("remote").0, "environment");
        assert!(said.text.contains("`origin` took neither branch nor tag"), "{}", said.text);
        assert!(said.text.contains("frozen until Monday"), "{}", said.text);
        assert_eq!(remote.has(&world), before);
    }
    remote.refuses(None);

    // It has moved on since it was fetched: told before anything is tried, with the way to go.
    remote.moves_on(&world);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(world.step("checks"), ("failed".to_owned(), vec!["release-behind-remote".to_owned()]));
    assert!(said.text.contains("git tag --delete v0.2.0 && git pull --rebase origin main"), "{}", said.text);
    world.git(&["tag", "--delete", "v0.2.0"]);
    world.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    let last = said.text.lines().last().unwrap();
    assert_eq!(last, "v0.2.0 is on `origin`: its workflow pushes the images");
    let head = world.git(&["rev-parse", "HEAD"]);
    let has = remote.has(&world);
    assert!(has.contains(&format!("{head}\trefs/heads/main")), "{has}");
    assert!(has.contains(&format!("{head}\trefs/tags/v0.2.0^{{}}")), "{has}");
    assert_eq!(registry.shelf(EDGE).tags(), Vec::<String>::new());

    the_tags_run_pushes_the_images(&world, &registry);
    an_older_snapshot_moves_nothing_back(&world, &registry);
}

/// As a runner does it: in a fresh clone, by the line of the generated workflow.
fn the_tags_run_pushes_the_images(world: &World, registry: &ScratchRegistry) {
    let run = "- run: cargo xtask release --from-tag --accept-no-advisories\n";
    assert!(world.read(".gitea/workflows/release.yml").contains(run));
    // In this small workspace the tool is another one's.
    let tool = format!("#!/bin/sh\nshift\nexec {} -C . \"$@\"\n", env!("CARGO_BIN_EXE_xtask"));
    world.program("cargo-xtask", &tool);
    let said = Said::from(world.xtask(&["workflows", "replay", "publish"]).output().unwrap());
    // The clone's folder has a name that the world does not take its images away by.
    let left = podman(&["images", "--quiet", "--filter", "reference=localhost/checkout/edge"]);
    left.split_whitespace().for_each(|image| drop(podman(&["rmi", "--force", image])));
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(registry.shelf(EDGE).digest("v0.2.0").is_some());
    assert_eq!(registry.shelf(EDGE).digest("v0.2.0"), registry.shelf(EDGE).digest("latest"));
}

/// The branch's tag stays where a later commit's image put it; the older commit's own tag is made.
fn an_older_snapshot_moves_nothing_back(world: &World, registry: &ScratchRegistry) {
    let edge = registry.shelf(EDGE);
    let latest = edge.digest("latest");
    world.git(&["switch", "--quiet", "main"]);
    world.git(&["remote", "remove", "origin"]);
    world.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    let older = world.git(&["rev-parse", "HEAD"]);
    let said = world.release(&["--snapshot", "--accept-no-advisories", "--verbose"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("`latest` leads to a later commit and stays there"), "{}", said.text);
    let own = edge.digest(&format!("sha-{older}"));
    assert!(own.is_some() && own != latest, "{own:?}");
    assert_eq!(edge.digest("latest"), latest);
}

#[test]
fn a_snapshot_moves_its_branchs_tag_and_makes_no_version() {
    let registry = ScratchRegistry::start().unwrap();
    let world = World::published_to(registry.address());
    let said = world.release(&["--snapshot", "--accept-no-advisories"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let first = world.git(&["rev-parse", "HEAD"]);
    assert_eq!(registry.shelf(EDGE).tags().iter().filter(|it| it.starts_with('v')).count(), 0);
    assert_eq!(registry.shelf(EDGE).digest("latest"), registry.shelf(EDGE).digest(&format!("sha-{first}")));
    assert_eq!(world.git(&["tag", "--list"]), "");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), first);
}
