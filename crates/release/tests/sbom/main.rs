//! What an image is made of, told from images that these tests make: a compiled workspace, laid out as `podman save`
//! lays it out.
//!
//! `image`: archives and folders in the layouts of docker and OCI. `workspace`: a tiny one, compiled for real.
#![cfg(feature = "sbom")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod image;
mod workspace;

use std::{collections::BTreeSet, path::PathBuf};

use release::sbom::{self, Contents, Gap, Lock, SbomError};
use serde_json::Value;

use crate::{
    image::Image,
    workspace::{STRANGER, edge, workspace},
};

/// What `status.d` says of a library whose file is in the image.
const RECORD: &str = "Package: libedge1\nStatus: install ok installed\nSource: edge (1:2.0)\nArchitecture: amd64\n\
                      Version: 1:2.0+deb12u1\n";

fn whole() -> Image {
    let mut image = Image::default();
    image.layer(&[
        ("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n".as_slice()),
        ("usr/lib/libedge.so.1", b"\x7fELF and more"),
        ("etc/ssl/certs/ca-certificates.crt", b"certificates"),
        ("var/lib/dpkg/status.d/libedge1", RECORD.as_bytes()),
        ("var/lib/dpkg/status.d/libedge1.md5sums", b"00  usr/lib/libedge.so.1\n"),
    ]);
    image.layer(&[("usr/bin/edge", edge())]);
    image
}

fn document(image: &Image) -> Value {
    serde_json::from_str(&sbom::of_image(&image.docker_archive()).unwrap().to_json()).unwrap()
}

/// Names of the components of a scope.
fn crates<'d>(document: &'d Value, scope: &str) -> BTreeSet<&'d str> {
    let components = document["components"].as_array().unwrap().iter();
    components.filter(|it| it["scope"] == scope).map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn the_crates_of_an_image_are_those_that_cargo_says_are_linked() {
    let document = document(&whole());
    let linked = workspace().tree("normal,no-proc-macro");
    let mut told = crates(&document, "required");
    told.insert("edge");
    assert_eq!(told, linked.iter().map(String::as_str).collect());
    // By hand, so that nothing has to be believed.
    assert_eq!(told, BTreeSet::from(["edge", "linked", "deeper"]));
    assert_eq!(crates(&document, "excluded"), BTreeSet::from(["macros", "of-macros", "scripts"]));
}

#[test]
fn the_program_its_system_and_its_package_are_named() {
    let document = document(&whole());
    let components = document["components"].as_array().unwrap().iter();
    let line = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap_or("-").to_owned();
        let inner = it["components"].as_array().map_or(0, Vec::len);
        format!("{} {} {} {} {inner}", text("type"), text("name"), text("version"), text("purl"))
    };
    let lines: Vec<String> = components.filter(|it| it["scope"].is_null()).map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    file /etc/ssl/certs/ca-certificates.crt - - 0
    application edge 0.1.0 - 0
    file /usr/lib/os-release - - 0
    file /var/lib/dpkg/status.d/libedge1 - - 0
    file /var/lib/dpkg/status.d/libedge1.md5sums - - 0
    operating-system debian 12 - 0
    library libedge1 1:2.0+deb12u1 pkg:deb/debian/libedge1@1%3A2.0%2Bdeb12u1?arch=amd64&distro=debian-12 1
    ");
}

#[test]
fn every_file_of_the_image_is_named_once_with_its_digest() {
    let document = document(&whole());
    let mut hashes = Vec::new();
    let top = document["components"].as_array().unwrap().iter();
    for component in top.flat_map(|it| it["components"].as_array().into_iter().flatten().chain([it])) {
        hashes
            .extend(component["hashes"].as_array().into_iter().flatten().map(|it| it["content"].to_string()));
    }
    let unique: BTreeSet<&String> = hashes.iter().collect();
    assert_eq!((hashes.len(), unique.len()), (6, 6), "{document:#}");
}

#[test]
fn the_document_is_what_the_schema_asks_for() {
    const URL: &str = "http://cyclonedx.org/schema/bom-1.5.schema.json";
    let mut compiler = boon::Compiler::new();
    for (name, text) in [
        ("bom-1.5", include_str!("../schema/bom-1.5.schema.json")),
        ("spdx", include_str!("../schema/spdx.schema.json")),
        ("jsf-0.82", include_str!("../schema/jsf-0.82.schema.json")),
    ] {
        let url = format!("http://cyclonedx.org/schema/{name}.schema.json");
        compiler.add_resource(&url, serde_json::from_str(text).unwrap()).unwrap();
    }
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile(URL, &mut schemas).unwrap();
    let mut document = document(&whole());
    if let Err(error) = schemas.validate(&document, schema) {
        panic!("{error:#}");
    }
    // The schema is one that can say no.
    document["components"][0]["type"] = "crate".into();
    assert!(schemas.validate(&document, schema).is_err());
}

#[test]
fn the_same_image_gives_the_same_bytes_in_every_layout() {
    let text = |path: PathBuf| sbom::of_image(&path).unwrap().to_json();
    let image = whole();
    let first = text(image.docker_archive());
    assert_eq!(first, text(whole().docker_archive()));
    assert_eq!(first, text(image.oci_archive()));
    assert_eq!(first, text(image.oci_folder()));
}

#[test]
fn a_rust_program_without_a_list_is_a_gap_and_any_other_program_is_not() {
    let mut image = Image::default();
    image.layer(&[("usr/bin/edge", workspace().bare()), ("lib/libc.so.6", b"\x7fELF of C")]);
    let gaps = Contents::read(&image.docker_archive()).unwrap().gaps(None);
    assert_eq!(gaps, [Gap::NoList { file: "/usr/bin/edge".into() }]);
}

#[test]
fn an_image_of_another_tree_is_a_gap() {
    let contents = Contents::read(&whole().docker_archive()).unwrap();
    let own = Lock::read(&workspace().root().join("Cargo.lock")).unwrap();
    assert_eq!(contents.gaps(Some(&own)), []);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("Cargo.lock");
    std::fs::write(&other, "version = 4\n\n[[package]]\nname = \"edge\"\nversion = \"0.1.0\"\n").unwrap();
    let gaps = contents.gaps(Some(&Lock::read(&other).unwrap()));
    let [Gap::NotLocked { file, crates }] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!((file.as_str(), crates.contains(&"linked 1.2.3".to_owned())), ("/usr/bin/edge", true));
}

#[test]
fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let mut image = whole();
    image.damage();
    let error = Contents::read(&image.docker_archive()).unwrap_err();
    assert!(matches!(error, SbomError::WrongDigest { .. }), "{error}");
}

#[test]
fn what_is_no_image_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = Contents::read(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("is no image: it holds neither `manifest.json` nor `index.json`"), "{error}");
}

#[test]
fn a_dependency_that_no_build_here_uses_is_in_no_list() {
    let text = sbom::of_image(&whole().docker_archive()).unwrap().to_json();
    for name in STRANGER {
        assert!(!text.contains(name), "{name}");
    }
}
