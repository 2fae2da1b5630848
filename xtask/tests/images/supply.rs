//! What goes into an image and what does not: crates from wherever the host gets them, and no trace of where that was;
//! compiled dependencies from a cache; the list of what it is made of.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    origins::{Origins, PASSWORD, TOKEN},
    store::Store,
    world::{Registry, STAGES, Said, World, podman},
};

/// The base that the workspace itself is built from.
const BASES: &str =
    "[images.bases.builder]\nimage = \"docker.io/library/rust:1.95.0-bookworm\"\nargument = \"BUILDER\"\n";
const MANIFEST: &str = "[package]\nname = \"edge\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[package.metadata.service]\n\
                        kind = \"service\"\nimage = \"edge-runtime\"\nport = 4711\nhealth = \"/\"\n\n[dependencies]\n\
                        outer-lib = \"1\"\ninner-lib = { version = \"1\", registry = \"acme\" }\n";
/// Its panics name the files that they are in, as those of every crate do.
const SOURCE: &str =
    "//! edge\nfn main() { println!(\"{}\", outer_lib::at(std::env::args().count()) + inner_lib::at(1)); }\n";

/// This workspace.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A workspace of one service that is built by this workspace's own Containerfile, from crates of two registries.
fn of_two_registries(origins: &Origins) -> World {
    of_this_containerfile(MANIFEST, SOURCE, |lock| {
        origins.around(lock);
    })
}

/// The same of any manifest; `around` sees to where cargo gets the crates.
fn of_this_containerfile(manifest: &str, source: &str, around: impl Fn(&mut Command)) -> World {
    let world = World::new(BASES);
    fs::remove_dir_all(world.root().join("edge")).unwrap();
    world.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n[profile.release]\nstrip = \"symbols\"\n",
    );
    world.write("crates/edge/Cargo.toml", manifest);
    world.write("crates/edge/src/main.rs", source);
    world.write(
        "crates/dependency-list/Cargo.toml",
        "[package]\nname = \"dependency-list\"\nedition = \"2024\"\n",
    );
    for file in ["main.rs", "lib.rs", "tree.rs", "section.rs"] {
        let path = format!("crates/dependency-list/src/{file}");
        world.write(&path, &fs::read_to_string(home().join(&path)).unwrap());
    }
    let containerfile = fs::read_to_string(home().join("Containerfile")).unwrap();
    let stages = containerfile.split("FROM runtime AS ").next().unwrap();
    let target = "FROM runtime AS edge-runtime\nCOPY --from=builder /out/edge /usr/bin/edge\nEXPOSE 4711\n\
                  HEALTHCHECK CMD [\"/usr/bin/edge\", \"healthcheck\"]\nENTRYPOINT [\"/usr/bin/edge\"]\n";
    world.write("Containerfile", &format!("{stages}{target}"));
    world.write(".containerignore", &fs::read_to_string(home().join(".containerignore")).unwrap());
    let mut lock = Command::new("cargo");
    lock.args(["generate-lockfile", "--quiet"]).current_dir(world.root());
    around(&mut lock);
    assert!(lock.status().unwrap().success());
    world.commit("as it is built");
    world
}

#[test]
fn proxies_mirrors_authorities_and_tokens_of_the_host_work_in_a_build_and_leave_no_trace() {
    let origins = Origins::start();
    let world = of_two_registries(&origins);
    let said = world.run(origins.around(&mut world.command(&["images", "build"])));
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(origins.asked_for("/mirror/") && origins.asked_for("/private/"), "nobody asked for the crates");

    let name = |stage: &str| format!("localhost/{}/{stage}", world.name);
    let images = podman(&[
        "images",
        "--format={{.Repository}}:{{.Tag}}",
        "--filter",
        &format!("reference={}", name("*")),
    ]);
    let images: Vec<&str> = images.lines().collect();
    let (runtime, stages): (Vec<&str>, Vec<&str>) =
        images.iter().partition(|it| it.starts_with(&name("edge:")));
    assert_eq!((runtime.len(), stages.is_empty()), (1, false), "{images:?}");
    let base = layers(podman(&["image", "inspect", "localhost/slipway-base/rust:1.95.0-bookworm"]));
    let own = |image: &str| {
        let told = podman(&["image", "inspect", image]) + &podman(&["history", "--no-trunc", image]);
        let folders = layers(told.clone());
        (told, folders.into_iter().filter(|it| !base.contains(it)).collect::<Vec<_>>())
    };
    // The repository's own lock file names the private registry, so stages that hold the sources do too.
    let everywhere = origins.traces();
    let in_runtime: Vec<String> =
        everywhere.iter().cloned().chain(["registry.acme.example".into()]).collect();
    for (image, traces) in
        runtime.iter().map(|it| (*it, &in_runtime)).chain(stages.iter().map(|it| (*it, &everywhere)))
    {
        let (told, folders) = own(image);
        assert!(!folders.is_empty(), "{image} has no layers: {told}");
        for trace in traces {
            assert!(!told.contains(trace), "{image} tells of `{trace}`");
            for folder in &folders {
                assert_eq!(holding(folder, trace), "", "{image} holds `{trace}`");
            }
        }
    }
    // What is searched for is found where it is, so the search is one.
    assert_ne!(holding(origins.home(), TOKEN), "");
    for text in [said.text.clone(), kept(&world)] {
        assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{text}");
    }
    // The name of the file that a panic is in is there, and says no more than which crate it is.
    let (_, folders) = own(runtime[0]);
    assert!(folders.iter().any(|it| !holding(it, "/crates/inner-lib-1.0.0/src/lib.rs").is_empty()));
    the_document_names_the_crates(&world, &origins);
}

fn the_document_names_the_crates(world: &World, origins: &Origins) {
    // The tool's own programs come from elsewhere than its crates.
    let said = world.run(origins.named(&mut world.command(&["images", "sbom", "edge"])));
    assert_eq!(said.code, 0, "{}", said.text);
    let document: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    let components = document["components"].as_array().unwrap();
    let named =
        |name: &str| components.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(named("edge")["type"], "application");
    assert_eq!(named("outer-lib")["purl"], "pkg:cargo/outer-lib@1.0.0");
    // A package URL would name a stranger of that name on crates.io.
    assert_eq!(named("inner-lib")["purl"], serde_json::Value::Null);
    let libc = named("libc6");
    assert!(libc["purl"].as_str().unwrap().starts_with("pkg:deb/debian/libc6@2."), "{libc}");
    let files = libc["components"].as_array().unwrap();
    assert!(files.iter().any(|it| it["name"].as_str().unwrap().ends_with("/libc.so.6")), "{libc}");
    assert!(!named("tzdata")["components"].as_array().unwrap().is_empty());
}

/// The folders in which the store keeps an image's layers.
fn layers(inspected: String) -> Vec<PathBuf> {
    let quoted = inspected.split('"').filter(|it| it.contains("/overlay/"));
    let folders = quoted.flat_map(|it| it.split(':')).map(PathBuf::from);
    folders.filter(|it| it.ends_with("diff") && it.is_dir()).collect()
}

/// The files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> String {
    let output = Command::new("grep").args(["-rlaF", "--", text]).arg(folder).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a run left in its folder to be read later.
pub(crate) fn kept(world: &World) -> String {
    let logs = fs::read_dir(world.root().join("target/xtask/logs")).unwrap().flatten().map(|it| it.path());
    let report = world.root().join("target/xtask/report.json");
    logs.chain([report]).map(|it| fs::read_to_string(it).unwrap()).collect()
}

/// Builds in a store, from a fresh checkout; what its logs say besides.
fn build(store: &Store, world: &World, registry: &Registry, flags: &[&str]) -> Said {
    fs::remove_dir_all(world.root().join("target")).ok();
    let arguments = [&["images", "build"], flags].concat();
    let mut command = store.command(world, &arguments);
    let said = world.run(command.env("CONTAINERS_REGISTRIES_CONF", registry.settings()));
    Said { code: said.code, text: said.text + &kept(world) }
}

fn compiled(said: &Said) -> bool {
    assert_eq!(said.code, 0, "{}", said.text);
    said.text.contains("FROM scratch AS dependencies")
}

#[test]
fn a_fresh_builder_with_a_cache_compiles_no_dependency_after_a_change_of_a_source() {
    let registry = Registry::start();
    let world = World::new("");
    world.compile();
    world.write("Containerfile", STAGES);
    world.write(".containerignore", "target\n");
    world.commit("as it is built");
    let folder = tempfile::tempdir().unwrap();
    let caches = [format!("{}/cache", registry.address), folder.path().display().to_string()];
    for cache in &caches {
        let flags = ["--cache-from", cache, "--cache-to", cache];
        assert!(compiled(&build(&Store::empty(), &world, &registry, &flags)));
        world.write("edge/src/main.rs", &format!("//! {cache}\nfn main() {{}}\n"));
        let fresh = Store::empty();
        let said = build(&fresh, &world, &registry, &["--cache-from", cache]);
        assert!(!compiled(&said), "{cache}: {}", said.text);
        assert!(!compiled(&build(&fresh, &world, &registry, &[])), "the store itself has it now");
    }
    let manifest = fs::read_to_string(world.root().join("edge/Cargo.toml")).unwrap();
    world.write("edge/Cargo.toml", &(manifest + "\n[features]\nother = []\n"));
    assert!(
        compiled(&build(&Store::empty(), &world, &registry, &["--cache-from", &caches[0]])),
        "another manifest asks for other dependencies"
    );
}

/// The builder as the store has it: the genuine image, or what stands in for it.
fn builder() -> String {
    let names = ["docker.io/library/rust:1.95.0-bookworm", "localhost/slipway-base/rust:1.95.0-bookworm"];
    let found = names.into_iter().find(|it| !podman(&["images", "--quiet", it]).is_empty());
    found.expect("`cargo xtask images bases` makes it").to_owned()
}

#[test]
fn long_cargo_compiles_only_the_workspaces_own_crates_in_a_fresh_builder_that_has_a_cache() {
    let (origins, registry) = (Origins::start(), Registry::start());
    let world = of_two_registries(&origins);
    let cache = format!("{}/cache", registry.address);
    let compiled = |flag: &str| {
        fs::remove_dir_all(world.root().join("target")).ok();
        let store = Store::empty().with(&builder());
        let mut command = store.command(&world, &["images", "build", flag, &cache]);
        command.env("CONTAINERS_REGISTRIES_CONF", registry.settings());
        let said = world.run(origins.around(&mut command));
        assert_eq!(said.code, 0, "{}", said.text);
        let log = fs::read_to_string(world.root().join("target/xtask/logs/images.log")).unwrap();
        let crates = log.lines().filter_map(|it| it.trim().strip_prefix("Compiling ")?.split(' ').next());
        crates.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(compiled("--cache-to"), "dependency-list edge inner-lib outer-lib");
    world.write("crates/edge/src/main.rs", &format!("{SOURCE}// changed\n"));
    assert_eq!(compiled("--cache-from"), "dependency-list edge");
}

#[test]
fn long_a_plain_build_needs_nothing_of_the_tool_and_one_from_scratch_comes_out_the_same() {
    let manifest = MANIFEST.split("[dependencies]").next().unwrap();
    let source = "//! edge\nfn main() { println!(\"{}\", std::env::args().nth(1).unwrap_or_default()); }\n";
    let world = of_this_containerfile(manifest, source, |_| {});
    let builder = builder();
    let store = Store::empty().with(&builder);
    let root = world.root().display().to_string();
    let argument = format!("BUILDER={builder}");
    let plain =
        ["build", "--format=docker", "--target=edge-runtime", "--tag=plain", "--build-arg", &argument, &root];
    // What the tool sees to for hosts with quirks is not a part of the build.
    let quirks = home().join("target/xtask/containers.conf");
    if quirks.is_file() {
        store.podman_with(&quirks, &plain);
    } else {
        store.podman(&plain);
    }
    let told = store.podman(&[
        "image",
        "inspect",
        "--format={{.User}} {{json .HealthCheck}} {{json .Labels}}",
        "plain",
    ]);
    assert!(told.starts_with("65532:65532 ") && told.contains("/usr/bin/edge"), "{told}");
    assert!(!told.contains("dev.slipway.fingerprint"), "{told}");

    for arguments in [&["images", "build"][..], &["images", "verify", "--from-scratch"]] {
        let said = world.run(&mut store.command(&world, arguments));
        assert_eq!(said.code, 0, "{}", said.text);
    }
    let log = fs::read_to_string(world.root().join("target/xtask/logs/images.log")).unwrap();
    assert!(log.contains("twice the same") && log.contains("Compiling edge v"), "{log}");
    assert!(!world.root().join("target/xtask/store/root").exists());
}

#[test]
fn a_cache_that_does_not_answer_costs_time_and_nothing_else() {
    let world = World::new("[images.cache]\nfrom = \"127.0.0.1:1/cache\"\nto = \"127.0.0.1:1/cache\"\n");
    world.compile();
    world.write("Containerfile", STAGES);
    world.commit("as it is built");
    let said = world.xtask(&["images", "build"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(
        said.text.contains("`127.0.0.1:1/cache` does not take the compiled dependencies"),
        "{}",
        said.text
    );
}
