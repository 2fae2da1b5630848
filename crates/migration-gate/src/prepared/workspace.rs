//! The workspace as `cargo check` compiles it: which packages, targets and features, and what can make queries unseen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, PackageId, TargetKind};
use serde::{Deserialize, Serialize};

use super::{
    Place, kept,
    outside::{self, Library},
    sources::shown,
    truth::Truth,
};

/// What the macros of sqlx live in; who depends on it may call them.
const MACROS: &str = "sqlx-macros";

/// A member whose queries are compiled.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Package {
    pub(super) folder: PathBuf,
    pub(super) targets: Vec<Target>,
    /// Whether it is compiled at all.
    pub(super) truth: Truth,
    /// Those that are on for sure, and those that may be.
    features: BTreeMap<String, Truth>,
}

/// What is compiled from one root.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) file: PathBuf,
    pub(super) truth: Truth,
}

/// What cargo and the packages of registries tell.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Outline {
    /// As cargo spells it.
    pub(super) root: PathBuf,
    packages: Vec<Package>,
    sqlx: Option<String>,
    outside: Vec<Outside>,
    /// What versions of sqlx keep from being known.
    versions: Vec<Place>,
}

/// Another package that a member is built with.
#[derive(Debug, Serialize, Deserialize)]
enum Outside {
    /// Of a registry: where it can make queries.
    Known(Place),
    /// Its sources can be other ones the next time.
    Open(Library),
}

/// What a build without flags compiles.
#[derive(Debug)]
pub(super) struct Workspace {
    /// As cargo spells it.
    pub(super) root: PathBuf,
    pub(super) packages: Vec<Package>,
    /// Version of sqlx's macros, as in `0.9.0`; nothing where no member uses them.
    pub(super) sqlx: Option<String>,
    /// What keeps the queries from being known.
    pub(super) hidden: Vec<Place>,
}

impl Package {
    pub(super) fn feature(&self, name: &str) -> Truth {
        self.features.get(name).copied().unwrap_or(Truth::No)
    }
}

impl Target {
    /// The folder of its modules.
    pub(super) fn folder(&self) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).to_owned()
    }
}

impl Outline {
    /// With what the sources tell that can be other ones every time.
    fn looked_at(self) -> Workspace {
        let Self { root, packages, sqlx, outside, versions } = self;
        let mut hidden: Vec<Place> = packages.iter().flat_map(|it| settings(it, &root)).collect();
        if !packages.is_empty() {
            hidden.extend(cargo_settings(&root));
        }
        hidden.extend(outside.into_iter().filter_map(|it| match it {
            Outside::Known(place) => Some(place),
            Outside::Open(library) => outside::makes_queries(&library, &root),
        }));
        hidden.extend(versions);
        Workspace { root, packages, sqlx, hidden }
    }
}

/// Reads the workspace at `root`; what is told by more than its sources is kept in the file `kept`.
///
/// # Errors
/// With what cargo said, where it cannot read the workspace.
pub(super) fn read(root: &Path, kept: Option<&Path>) -> Result<Workspace, String> {
    if let Some(outline) = kept.and_then(|it| kept::read(it, root)) {
        return Ok(outline.looked_at());
    }
    let asked = SystemTime::now();
    let metadata = ask(root)?;
    let outline = Graph::of(&metadata).outline();
    if let Some(file) = kept {
        kept::write(file, root, (&metadata, asked), &outline);
    }
    Ok(outline.looked_at())
}

fn ask(root: &Path) -> Result<Metadata, String> {
    let mut command = MetadataCommand::new();
    command.current_dir(root).other_options(vec!["--locked".into()]);
    // The toolchain of the folder decides, not the one that this program was started with.
    command.env_remove("RUSTUP_TOOLCHAIN").cargo_path("cargo");
    command.exec().map_err(|error| match error {
        cargo_metadata::Error::CargoMetadata { stderr } => stderr.trim().to_owned(),
        other => other.to_string(),
    })
}

/// Who depends on whom, as far as a build follows it.
struct Graph<'m> {
    metadata: &'m Metadata,
    nodes: BTreeMap<&'m PackageId, &'m Node>,
    packages: BTreeMap<&'m PackageId, &'m cargo_metadata::Package>,
    /// What a build of the default members compiles.
    compiled: BTreeMap<&'m PackageId, Truth>,
    /// Who can reach the macros.
    users: BTreeSet<&'m PackageId>,
}

impl<'m> Graph<'m> {
    fn of(metadata: &'m Metadata) -> Self {
        let resolved = metadata.resolve.iter().flat_map(|it| &it.nodes);
        let mut graph = Self {
            metadata,
            nodes: resolved.map(|node| (&node.id, node)).collect(),
            packages: metadata.packages.iter().map(|it| (&it.id, it)).collect(),
            compiled: BTreeMap::new(),
            users: BTreeSet::new(),
        };
        let default = if metadata.workspace_default_members.is_available() {
            &*metadata.workspace_default_members
        } else {
            &metadata.workspace_members
        };
        for id in default {
            graph.compile(id, Truth::Yes);
        }
        graph.users = graph.users();
        graph
    }

    fn compile(&mut self, id: &'m PackageId, truth: Truth) {
        if self.compiled.get(id).is_some_and(|&before| before >= truth) {
            return;
        }
        self.compiled.insert(id, truth);
        for (dependency, always) in self.dependencies(id) {
            self.compile(dependency, truth.and(always));
        }
    }

    /// What a package is built with, and whether always: not where a feature or another platform decides.
    fn dependencies(&self, id: &PackageId) -> Vec<(&'m PackageId, Truth)> {
        let (Some(node), Some(package)) = (self.nodes.get(id), self.packages.get(id)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for edge in &node.deps {
            let kinds: Vec<_> =
                edge.dep_kinds.iter().filter(|it| it.kind != DependencyKind::Development).collect();
            let Some(target) = self.packages.get(&edge.pkg) else { continue };
            if kinds.is_empty() {
                continue;
            }
            let optional = package
                .dependencies
                .iter()
                .any(|it| it.name == *target.name && it.kind != DependencyKind::Development && it.optional);
            let always = !optional && kinds.iter().any(|it| it.target.is_none());
            found.push((&target.id, if always { Truth::Yes } else { Truth::Maybe }));
        }
        found
    }

    /// Who depends on the macros, and who depends on those.
    fn users(&self) -> BTreeSet<&'m PackageId> {
        let mut dependents: BTreeMap<&PackageId, Vec<&'m PackageId>> = BTreeMap::new();
        for &id in self.nodes.keys() {
            for (dependency, _) in self.dependencies(id) {
                dependents.entry(dependency).or_default().push(id);
            }
        }
        let mut users = BTreeSet::new();
        let mut open: Vec<_> =
            self.packages.iter().filter(|(_, it)| it.name == MACROS).map(|(&id, _)| id).collect();
        while let Some(id) = open.pop() {
            if users.insert(id) {
                open.extend(dependents.get(id).into_iter().flatten());
            }
        }
        users
    }

    fn outline(&self) -> Outline {
        let root = self.metadata.workspace_root.as_std_path();
        let mut found = Outline { root: root.to_owned(), ..Outline::default() };
        let members: BTreeSet<_> = self.metadata.workspace_members.iter().collect();
        let mut direct = BTreeSet::new();
        for (&id, &truth) in &self.compiled {
            let Some(package) = self.packages.get(id) else { continue };
            if members.contains(id) && self.users.contains(id) {
                direct.extend(self.dependencies(id).into_iter().map(|(dependency, _)| dependency));
                found.packages.push(self.package(package, truth));
            }
        }
        if found.packages.is_empty() {
            return found;
        }
        let registry = kept::registry();
        for &id in self.compiled.keys() {
            let Some(package) = self.packages.get(id) else { continue };
            let looked_at = members.contains(id) && self.users.contains(id);
            let is_near = !looked_at && (self.users.contains(id) || direct.contains(id));
            let Some(library) = Library::of(package) else { continue };
            if package.name.starts_with("sqlx") || !(library.has_macros || is_near) {
                continue;
            }
            if kept::is_of_registry(package, registry.as_deref()) {
                found.outside.extend(outside::makes_queries(&library, root).map(Outside::Known));
            } else {
                found.outside.push(Outside::Open(library));
            }
        }
        self.versions(&mut found);
        found
    }

    fn package(&self, package: &cargo_metadata::Package, truth: Truth) -> Package {
        let resolved = self.nodes.get(&package.id).map(|it| it.features.as_slice()).unwrap_or_default();
        let default = self.metadata.workspace_default_members.is_available()
            && self.metadata.workspace_default_members.contains(&package.id);
        let mut features: BTreeMap<String, Truth> =
            resolved.iter().map(|name| (name.to_string(), Truth::Maybe)).collect();
        if default {
            for name in implied(&package.features) {
                features.insert(name, Truth::Yes);
            }
        }
        let mut found = Package {
            folder: package.manifest_path.as_std_path().parent().unwrap_or(Path::new("")).to_owned(),
            targets: Vec::new(),
            truth,
            features,
        };
        for target in &package.targets {
            let script = target.is_custom_build();
            if !(script || target.is_bin() || is_library(target)) {
                continue;
            }
            // A dependency's programs are not compiled, and those that ask for features only with them.
            let selected = if target.is_bin() && !default { Truth::No } else { Truth::Yes };
            let truth =
                target.required_features.iter().map(|name| found.feature(name)).fold(selected, Truth::and);
            found.targets.push(Target { file: target.src_path.clone().into_std_path_buf(), truth });
        }
        found
    }

    fn versions(&self, found: &mut Outline) {
        let mut versions: Vec<String> = self
            .compiled
            .keys()
            .filter_map(|id| self.packages.get(id))
            .filter(|it| it.name == MACROS)
            .map(|it| it.version.to_string())
            .collect();
        versions.sort();
        if versions.len() > 1 {
            let why = format!("there are several versions of sqlx: {}", versions.join(", "));
            found.versions.push(Place { file: "Cargo.lock".into(), line: None, why });
        }
        found.sqlx = versions.pop();
        if !self.compiled.keys().filter_map(|id| self.packages.get(id)).any(|it| it.name == "sqlx-postgres") {
            let why = "sqlx is used without Postgres".to_owned();
            found.versions.push(Place { file: "Cargo.lock".into(), line: None, why });
        }
    }
}

fn is_library(target: &cargo_metadata::Target) -> bool {
    target.is_lib()
        || target.is_proc_macro()
        || [TargetKind::RLib, TargetKind::DyLib, TargetKind::CDyLib, TargetKind::StaticLib]
            .into_iter()
            .any(|kind| target.is_kind(kind))
}

/// What `default` switches on in the package itself.
fn implied(features: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut open = vec!["default".to_owned()];
    while let Some(name) = open.pop() {
        if let Some(implied) = features.get(&name)
            && on.insert(name)
        {
            open.extend(implied.iter().cloned());
        }
    }
    on
}

/// What a package tells sqlx's macros besides the query.
fn settings(package: &Package, root: &Path) -> Vec<Place> {
    let mut found = Vec::new();
    let toml = package.folder.join("sqlx.toml");
    if toml.exists() {
        let why = "these settings say what sqlx makes of a query".to_owned();
        found.push(Place { file: shown(&toml, root), line: None, why });
    }
    let script = package.folder.join("build.rs");
    let text = fs::read_to_string(&script).unwrap_or_default();
    if text.contains("rustc-env") && (text.contains("SQLX_") || text.contains("DATABASE_URL")) {
        let why = "it tells sqlx where to look".to_owned();
        found.push(Place { file: shown(&script, root), line: None, why });
    }
    found
}

/// Where cargo's own settings win over what `cargo sqlx prepare` tells the macros.
fn cargo_settings(root: &Path) -> Vec<Place> {
    let files = [".cargo/config.toml", ".cargo/config"].map(|it| root.join(it));
    let why = "it forces what sqlx is told".to_owned();
    let place = |file: PathBuf| Place { file: shown(&file, root), line: None, why: why.clone() };
    files.into_iter().filter(|it| forces(it)).map(place).collect()
}

/// A variable that is only given yields to what the environment has already.
fn forces(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let Ok(settings) = text.parse::<toml::Table>() else { return true };
    let variables = settings.get("env").and_then(toml::Value::as_table).into_iter().flatten();
    variables
        .filter(|(name, _)| name.starts_with("SQLX_") || *name == "DATABASE_URL")
        .any(|(_, value)| value.get("force").and_then(toml::Value::as_bool).unwrap_or(false))
}
