//! How the crates of the workspace stand on each other, by path.

use std::collections::BTreeSet;

use cargo_metadata::Package;

use crate::context::Context;

impl Context {
    /// A crate's folder below the root, with a `/` at its end; empty where it is the root itself.
    pub(crate) fn folder_of(&self, name: &str) -> Option<String> {
        let packages = self.metadata.workspace_packages();
        let package = packages.into_iter().find(|it| it.name.as_str() == name)?;
        let folder = package.manifest_path.parent()?.as_std_path().strip_prefix(&self.root).ok()?;
        Some(if folder.as_os_str().is_empty() { String::new() } else { format!("{}/", folder.display()) })
    }

    /// The named crates and all that they stand on, also for their tests.
    pub(crate) fn crates_below<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let packages = self.metadata.workspace_packages();
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut waiting: Vec<String> = names.into_iter().map(str::to_owned).collect();
        while let Some(name) = waiting.pop() {
            let Some(package) = packages.iter().find(|it| it.name.as_str() == name) else { continue };
            if found.insert(name) {
                waiting.extend(beside(package).map(str::to_owned));
            }
        }
        found
    }

    /// The named packages' users in this workspace and theirs; a name may be somebody else's crate, which is left out.
    pub(crate) fn crates_above<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let packages = self.metadata.workspace_packages();
        let own = |name: &str| packages.iter().any(|it| it.name.as_str() == name);
        let names: Vec<&str> = names.into_iter().collect();
        let mut found: BTreeSet<String> =
            names.iter().filter(|it| own(it)).map(|&it| it.to_owned()).collect();
        loop {
            let uses = |package: &&Package| {
                let mut dependencies = package.dependencies.iter().map(|it| it.name.as_str());
                dependencies.any(|it| names.contains(&it) || found.contains(it))
            };
            let more: Vec<String> = packages
                .iter()
                .copied()
                .filter(|it| !found.contains(it.name.as_str()))
                .filter(uses)
                .map(|it| it.name.to_string())
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// A path outside of the root that a crate stands on: what lies there is in no tree that is looked at.
    pub(crate) fn outside(&self) -> Option<String> {
        let packages = self.metadata.workspace_packages();
        let mut paths = packages.iter().flat_map(|it| &it.dependencies).filter_map(|it| it.path.as_ref());
        paths.find(|it| !it.as_std_path().starts_with(&self.root)).map(ToString::to_string)
    }
}

/// The crates of the workspace that a package names; which those are, its path tells.
fn beside(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|it| it.path.is_some()).map(|it| it.name.as_str())
}
