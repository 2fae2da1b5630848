//! A store does not grow with the number of builds: what no checkout uses any more goes, and what is somebody else's stays.

use std::{collections::BTreeSet, fs};

use crate::{
    store::Store,
    world::{GOOD, STAGES, Said, World},
};

fn build(store: &Store, world: &World) -> Said {
    let said = world.run(&mut store.command(world, &["images", "build"]));
    assert_eq!(said.code, 0, "{}", said.text);
    said
}

/// The ids of all images of a store, those of steps too.
fn all(store: &Store) -> BTreeSet<String> {
    let listed = store.podman(&["images", "--all", "--quiet", "--no-trunc"]);
    listed.lines().map(str::to_owned).collect()
}

fn named(store: &Store, pattern: &str) -> String {
    store.podman(&[
        "images",
        "--format={{.Repository}}:{{.Tag}}",
        "--filter",
        &format!("reference={pattern}"),
    ])
}

#[test]
fn after_any_number_of_commits_a_store_holds_no_more_than_after_the_second() {
    let store = Store::empty();
    let world = World::new("");
    world.compile();
    world.write("Containerfile", STAGES);
    world.write(".containerignore", "target\n");
    let mut counts = Vec::new();
    for commit in 1..=3 {
        world.write("edge/src/main.rs", &format!("//! {commit}\nfn main() {{}}\n"));
        world.commit("a change");
        build(&store, &world);
        counts.push(all(&store).len());
    }
    assert_eq!(counts[1], counts[2], "{counts:?}");

    // Compiled dependencies of the branch before stay, and no more.
    let dependencies = || named(&store, &format!("localhost/{}/dependencies", world.name)).lines().count();
    let manifest = fs::read_to_string(world.root().join("edge/Cargo.toml")).unwrap();
    let mut kept = Vec::new();
    for feature in ["one", "two"] {
        world.write("edge/Cargo.toml", &format!("{manifest}\n[features]\n{feature} = []\n"));
        world.commit("other dependencies");
        build(&store, &world);
        kept.push(dependencies());
    }
    assert_eq!(kept, [2, 2]);
}

#[test]
fn images_of_a_checkout_that_is_gone_go_with_the_next_build_and_what_is_not_the_tools_stays() {
    let store = Store::empty();
    let (gone, other) = (World::new(""), World::new(""));
    for world in [&gone, &other] {
        world.compile();
        world.write("Containerfile", GOOD);
        world.commit("images");
        build(&store, world);
    }
    let below = format!("localhost/{}/*", gone.name);
    let edge = named(&store, &format!("localhost/{}/edge", gone.name));
    assert!(!edge.is_empty());
    // Of the same name, and none that a build has made.
    let archive = other.root().join("own.tar");
    fs::write(&archive, [0; 1024]).unwrap();
    let own = format!("localhost/{}/own:1", gone.name);
    store.podman(&["import", "--quiet", &archive.to_string_lossy(), &own]);
    fs::remove_file(archive).unwrap();

    // As long as the checkout is there its images are, whoever else builds.
    let change = |text: &str| {
        other.write("Containerfile", &GOOD.replace("USER ", &format!("LABEL change={text}\nUSER ")));
        other.commit(text);
        build(&store, &other);
    };
    change("first");
    assert!(named(&store, &below).contains(edge.trim()));
    fs::remove_dir_all(gone.root()).unwrap();
    change("second");
    assert_eq!(named(&store, &below).trim(), own);
    // Nor is anything left that has no name.
    assert_eq!(store.podman(&["images", "--quiet", "--filter", "dangling=true"]), "");
}
