//! From the files of an image to the document: each file is named once, by itself or under what it came from.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{
    Contents,
    cyclonedx::{Bom, Component, Dependency, Kind, Metadata, Scope, Tools},
    debian::{self, Distribution},
    files::File,
    program::{self, Crate},
};

/// What crates.io is called in a list.
const CRATES_IO: &str = "crates.io";

pub(super) fn of(contents: &Contents) -> Bom {
    let mut parts = Parts::default();
    parts.programs(contents);
    parts.debian(contents);
    parts.others(contents);
    let name = contents.title.clone().unwrap_or_else(|| contents.id.clone());
    let version = contents.version.clone().unwrap_or_else(|| contents.id.clone());
    let image = Component::new(Kind::Container, &contents.id, name).version(version);
    let tool = Component::new(Kind::Application, "slipway-release", "slipway-release");
    let components: Vec<Component> = parts.components.into_values().collect();
    let mut dependencies = vec![Dependency { of: contents.id.clone(), depends_on: parts.top }];
    dependencies.extend(components.iter().map(|it| Dependency {
        of: it.reference.clone(),
        depends_on: parts.edges.get(&it.reference).into_iter().flatten().cloned().collect(),
    }));
    Bom {
        schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: serial_number(&contents.id),
        version: 1,
        metadata: Metadata {
            tools: Tools { components: vec![tool.version(env!("CARGO_PKG_VERSION"))] },
            component: image.property("dev.slipway:image-id", &contents.id),
        },
        components,
        dependencies,
    }
}

/// What was found so far.
#[derive(Default)]
struct Parts {
    /// By reference.
    components: BTreeMap<String, Component>,
    edges: BTreeMap<String, BTreeSet<String>>,
    /// What the image itself stands on.
    top: Vec<String>,
    /// Paths that are named already.
    named: BTreeSet<String>,
}

impl Parts {
    /// Programs that say what they are made of, and the crates.
    fn programs(&mut self, contents: &Contents) {
        for (path, file) in contents.files.iter() {
            let Some(crates) = file.program.as_ref().and_then(|it| it.crates.as_ref()) else { continue };
            let own = format!("/{path}");
            let reference = |it: &Crate| if it.root { own.clone() } else { reference(it) };
            for it in crates {
                let of = reference(it);
                let on = it.dependencies.iter().filter_map(|at| crates.get(*at)).map(&reference);
                self.edges.entry(of.clone()).or_default().extend(on);
                if it.root {
                    let program = Component::new(Kind::Application, &of, &it.name).version(&it.version);
                    self.components
                        .insert(of, program.sha256(&file.sha256).property("dev.slipway:path", &own));
                } else {
                    self.add_crate(it, of);
                }
            }
            if crates.iter().any(|it| it.root) {
                self.named.insert(path.to_owned());
                self.top.push(own);
            }
        }
    }

    fn add_crate(&mut self, it: &Crate, of: String) {
        let scope = if it.kind == program::Kind::Build { Scope::Excluded } else { Scope::Required };
        let known = self.components.entry(of.clone()).or_insert_with(|| {
            let mut component = Component::new(Kind::Library, of, &it.name).version(&it.version);
            if it.source == CRATES_IO {
                component.purl = Some(component.reference.clone());
            }
            component.scope = Some(scope);
            component.property("dev.slipway:source", &it.source)
        });
        // What one program is linked with is in the image, whatever others only build with.
        if scope == Scope::Required {
            known.scope = Some(scope);
        }
    }

    /// The distribution and its packages, each with the files that came from it.
    fn debian(&mut self, contents: &Contents) {
        let distribution = debian::distribution(&contents.files);
        if let Some(it) = &distribution {
            let reference = format!("os/{}@{}", it.id, it.version);
            let component = Component::new(Kind::OperatingSystem, &reference, &it.id).version(&it.version);
            self.add_top(component.property("dev.slipway:name", &it.name));
        }
        for package in debian::packages(&contents.files) {
            let purl = purl(&package, distribution.as_ref());
            let mut component = Component::new(Kind::Library, &purl, &package.name).version(&package.version);
            component.purl = Some(purl);
            if let Some(source) = &package.source {
                component = component.property("dev.slipway:source-package", source);
            }
            for path in &package.files {
                let Some(file) = contents.files.get(path) else { continue };
                if self.named.insert(path.clone()) {
                    component.components.push(file_component(path, file));
                }
            }
            self.add_top(component);
        }
    }

    /// Every file that nothing has named.
    fn others(&mut self, contents: &Contents) {
        for (path, file) in contents.files.iter() {
            if self.named.insert(path.to_owned()) {
                let component = file_component(path, file);
                if debian::is_record(path) {
                    self.components.insert(component.reference.clone(), component);
                } else {
                    self.add_top(component);
                }
            }
        }
    }

    fn add_top(&mut self, component: Component) {
        self.top.push(component.reference.clone());
        self.components.insert(component.reference.clone(), component);
    }
}

fn file_component(path: &str, file: &File) -> Component {
    let name = format!("/{path}");
    let kind = if file.program.is_some() { Kind::Library } else { Kind::File };
    Component::new(kind, &name, &name).sha256(&file.sha256)
}

/// A crate of crates.io by its package URL; of any other the URL would name a stranger of the same name.
fn reference(it: &Crate) -> String {
    let (name, version) = (&it.name, encoded(&it.version));
    if it.source == CRATES_IO {
        format!("pkg:cargo/{name}@{version}")
    } else {
        format!("cargo/{}/{name}@{version}", it.source)
    }
}

fn purl(package: &debian::Package, distribution: Option<&Distribution>) -> String {
    let (name, version) = (encoded(&package.name), encoded(&package.version));
    let of = distribution.map_or("debian", |it| it.id.as_str());
    let distro = distribution.map(|it| format!("&distro={}-{}", it.id, it.version)).unwrap_or_default();
    format!("pkg:deb/{of}/{name}@{version}?arch={}{distro}", package.architecture)
}

/// As package URLs want it: all but letters, digits and `.-_~`.
fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_~".contains(byte);
    text.bytes()
        .map(|it| if plain(&it) { char::from(it).to_string() } else { format!("%{it:02X}") })
        .collect()
}

/// A number for the document that follows from the image alone: a UUID of version 8, whose bits are its maker's own.
fn serial_number(id: &str) -> String {
    let hash = Sha256::digest(format!("CycloneDX of {id}"));
    let mut bytes: [u8; 16] = std::array::from_fn(|at| hash[at]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = super::files::hex(&bytes);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_from_the_image() {
        insta::assert_snapshot!(serial_number("sha256:0"), @"urn:uuid:e2dcca71-b3fa-82f8-afc4-886c4b3b314c");
    }

    #[test]
    fn package_urls_escape_what_versions_of_debian_hold() {
        assert_eq!(encoded("1:2.36-9+deb12u10~rc1"), "1%3A2.36-9%2Bdeb12u10~rc1");
    }
}
