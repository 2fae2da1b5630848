//! What `cargo tree` says: packages, what each stands on, and which of it ends in the binary.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;

/// Which dependencies are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edges {
    /// What ends in the binary.
    Linked,
    /// That, and what ran during the build: build scripts, macros and all that those stand on.
    Built,
}

impl Edges {
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Linked => "normal,no-proc-macro",
            Self::Built => "normal,build",
        }
    }
}

/// What a package has to do with the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its code is in the binary.
    Linked,
    /// It ran during the build only.
    Build,
}

/// A package of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub version: String,
    /// `crates.io`, `local`, `git` or `registry`: the list never says which one, an address may be nobody's business.
    pub source: &'static str,
    pub kind: Kind,
    /// Places in the list.
    pub dependencies: Vec<usize>,
    /// Whether this is the package that the binary is of.
    pub root: bool,
}

/// A package as `cargo tree` names it: name, version, and where it comes from unless that is crates.io.
type Package = (String, String, String);

/// Who stands on whom.
type Graph = BTreeMap<Package, BTreeSet<Package>>;

/// The packages of one build.
#[derive(Debug)]
pub struct Tree {
    linked: Graph,
    built: Graph,
    roots: BTreeSet<Package>,
}

impl Tree {
    /// Reads what `cargo tree` said, once of what is linked and once of all that is built.
    ///
    /// # Errors
    /// When a line is no package.
    pub fn of(linked: &str, built: &str) -> Result<Self, Error> {
        let mut roots = BTreeSet::new();
        let linked = graph(linked, &mut roots)?;
        let built = graph(built, &mut roots)?;
        Ok(Self { linked, built, roots })
    }

    /// The list of the binary of a package, ordered by name; nothing where it was not built.
    #[must_use]
    pub fn list(&self, package: &str) -> Option<Vec<Listed>> {
        let root = self.roots.iter().find(|(name, ..)| name == package)?;
        let linked = reached(&self.linked, root);
        let all = reached(&self.built, root);
        let places: BTreeMap<&Package, usize> = all.iter().enumerate().map(|(at, it)| (*it, at)).collect();
        let listed = all.iter().map(|&it| {
            let stands_on = self.built.get(it).into_iter().flatten();
            Listed {
                name: it.0.clone(),
                version: it.1.clone(),
                source: source(&it.2),
                kind: if linked.contains(it) { Kind::Linked } else { Kind::Build },
                dependencies: stands_on.filter_map(|on| places.get(on).copied()).collect(),
                root: it == root,
            }
        });
        Some(listed.collect())
    }
}

/// All that a package stands on, itself included.
fn reached<'g>(graph: &'g Graph, root: &'g Package) -> BTreeSet<&'g Package> {
    let mut found = BTreeSet::from([root]);
    let mut waiting = vec![root];
    while let Some(package) = waiting.pop() {
        let new = graph.get(package).into_iter().flatten().filter(|it| found.insert(it));
        waiting.extend(new.collect::<Vec<_>>());
    }
    found
}

/// What was told before is told again without what it stands on, which changes nothing here.
fn graph(text: &str, roots: &mut BTreeSet<Package>) -> Result<Graph, Error> {
    let mut graph = Graph::new();
    let mut above: Vec<Package> = Vec::new();
    for line in text.lines().filter(|it| !it.trim().is_empty()) {
        let unreadable = || Error::Unreadable { line: line.to_owned() };
        let (depth, package) = line.split_once(' ').ok_or_else(unreadable)?;
        let depth: usize = depth.parse().map_err(|_| unreadable())?;
        let package = package_of(package).ok_or_else(unreadable)?;
        above.truncate(depth);
        match above.last() {
            Some(parent) => {
                graph.entry(parent.clone()).or_default().insert(package.clone());
            }
            None => {
                roots.insert(package.clone());
            }
        }
        graph.entry(package.clone()).or_default();
        above.push(package);
    }
    Ok(graph)
}

/// `serde v1.0.228`, `edge v0.1.0 (/src/crates/edge)`, `derive v1.0.0 (proc-macro) (*)`
fn package_of(text: &str) -> Option<Package> {
    let (name, rest) = text.trim().split_once(" v")?;
    let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut notes = rest.split_inclusive(')').map(|it| it.trim().trim_matches(['(', ')']));
    let origin = notes.find(|it| !["", "*", "proc-macro"].contains(it)).unwrap_or_default();
    Some((name.to_owned(), version.to_owned(), origin.to_owned()))
}

fn source(origin: &str) -> &'static str {
    match origin {
        "" => "crates.io",
        it if it.starts_with("registry ") => "registry",
        it if it.contains("://") => "git",
        _ => "local",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKED: &str = "0 edge v0.1.0 (/src/crates/edge)\n1 bytes v1.0.0\n2 spare v2.0.0\n1 inner v3.0.0 (registry `acme`)\n\
                          \n0 other v0.1.0 (/src/crates/other)\n1 bytes v1.0.0 (*)\n";
    const BUILT: &str = "0 edge v0.1.0 (/src/crates/edge)\n1 bytes v1.0.0\n2 spare v2.0.0\n2 cc v1.1.0\n1 derive v1.0.0 (proc-macro)\n\
                         2 syn v2.0.0\n1 inner v3.0.0 (registry `acme`)\n\n0 other v0.1.0 (/src/crates/other)\n1 bytes v1.0.0 (*)\n\
                         1 forked v0.2.0 (https://git.example/forked?rev=abc#abcdef12)\n";

    fn told(package: &str) -> String {
        let list = Tree::of(LINKED, BUILT).unwrap().list(package).unwrap();
        let line = |it: &Listed| {
            let on: Vec<&str> = it.dependencies.iter().map(|at| list[*at].name.as_str()).collect();
            let root = if it.root { " root" } else { "" };
            format!("{} {} {} {:?}{root} [{}]", it.name, it.version, it.source, it.kind, on.join(" "))
        };
        list.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn macros_and_build_scripts_are_told_apart_from_what_is_linked() {
        insta::assert_snapshot!(told("edge"), @r"
        bytes 1.0.0 crates.io Linked [cc spare]
        cc 1.1.0 crates.io Build []
        derive 1.0.0 crates.io Build [syn]
        edge 0.1.0 local Linked root [bytes derive inner]
        inner 3.0.0 registry Linked []
        spare 2.0.0 crates.io Linked []
        syn 2.0.0 crates.io Build []
        ");
    }

    #[test]
    fn what_was_told_of_another_binary_counts_for_this_one_too() {
        insta::assert_snapshot!(told("other"), @r"
        bytes 1.0.0 crates.io Linked [cc spare]
        cc 1.1.0 crates.io Build []
        forked 0.2.0 git Build []
        other 0.1.0 local Linked root [bytes forked]
        spare 2.0.0 crates.io Linked []
        ");
    }

    #[test]
    fn a_line_that_is_no_package_is_shown() {
        let error = Tree::of("0 edge v0.1.0\nwarning: x\n", "").unwrap_err();
        insta::assert_snapshot!(error, @"`cargo tree` said `warning: x`, which is no package");
    }
}
