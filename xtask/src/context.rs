//! What every command knows: where the workspace is, what it holds, how it is configured, which run this is.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use cargo_metadata::Metadata;

use crate::{
    config::Config,
    interrupt,
    process::{Log, Process, ProcessError},
    services::Service,
    steps::{Step, custom},
    verdict::tree::Tree,
    workspace,
};

/// Where a scratch Postgres can be forced to come from.
const PROVIDERS: &[&str] = &["url", "local", "container"];

/// The whole workspace is selected, so that features are those of the tests and nothing compiles twice; `--examples`
/// stands for the features that only tests ask for.
const GATE_BUILD: &[&str] = &[
    "build",
    "--locked",
    "--workspace",
    "--bin",
    "migration-gate",
    "--bin",
    "release",
    "--bin",
    "scratch-postgres",
    "--examples",
];

/// The workspace that is judged, and the one that the tool comes from (the same, unless `-C` says otherwise).
#[derive(Debug)]
pub(crate) struct Context {
    /// Root of the workspace that is judged.
    pub(crate) root: PathBuf,
    /// Root of the workspace that xtask was built in; the gate's own binaries come from here.
    pub(crate) home: PathBuf,
    pub(crate) config: Config,
    /// The step table: the built-in steps and those of the configuration.
    pub(crate) steps: Vec<&'static Step>,
    pub(crate) metadata: Metadata,
    /// Names what this run starts, so that it can be found and removed: the process and when it began.
    pub(crate) run_id: String,
    /// The tree as it was when the workspace was looked at.
    tree: Mutex<Option<Tree>>,
    /// The folder of the gate's own binaries, or why there is none.
    tools: OnceLock<Result<PathBuf, String>>,
}

impl Context {
    /// Looks at the workspace that `folder` is in.
    ///
    /// # Errors
    /// When there is no cargo workspace or its configuration cannot be used.
    pub(crate) fn load(folder: Option<&Path>) -> anyhow::Result<Self> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let home = home.parent().unwrap_or(home).to_owned();
        let folder = folder.map_or_else(|| home.clone(), Path::to_owned);
        let (metadata, tree) = workspace::metadata(&folder)?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let config = Config::load(&root)?;
        known_provider()?;
        let steps = custom::table(&config.steps);
        let tree = Mutex::new(tree.filter(|_| root == folder));
        let (run_id, tools) = (run_id(), OnceLock::new());
        Ok(Self { root, home, config, steps, metadata, run_id, tree, tools })
    }

    /// The working tree. Who asks first gets what was read when the command began, the next one reads it anew.
    pub(crate) fn tree(&self) -> Option<Tree> {
        let first = self.tree.lock().ok().and_then(|mut it| it.take());
        first.or_else(|| Tree::read(&self.root))
    }

    /// Where everything that xtask makes in this workspace goes, also when cargo's target folder lies elsewhere.
    pub(crate) fn target(&self) -> PathBuf {
        Self::target_of(&self.root)
    }

    /// The same of any checkout, by its root.
    pub(crate) fn target_of(root: &Path) -> PathBuf {
        root.join("target").join("xtask")
    }

    /// A child that runs at the workspace's root and carries the run's id.
    pub(crate) fn process(&self, program: impl AsRef<std::ffi::OsStr>) -> Process {
        Process::new(program)
            .folder(&self.root)
            .env("XTASK_RUN_ID", &self.run_id)
            .env("XTASK_POSTGRES_MAJOR", self.config.postgres.major.to_string())
    }

    /// A cargo child: no database in reach, so that sqlx's macros use what is committed.
    pub(crate) fn cargo(&self) -> Process {
        self.process("cargo").env("SQLX_OFFLINE", "true").env("CARGO_TERM_COLOR", "never")
    }

    /// What a person types in front of a step to run it again.
    pub(crate) fn again(&self) -> String {
        if self.home == self.root {
            "cargo xtask ci".into()
        } else {
            format!("cargo xtask -C {} ci", self.root.display())
        }
    }

    /// A path as messages show it: relative to the workspace's root where it lies below.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The services of this workspace, from their own manifests.
    ///
    /// # Errors
    /// When a manifest's `[package.metadata.service]` says something that is not a setting.
    pub(crate) fn services(&self) -> anyhow::Result<Vec<Service>> {
        Service::all(&self.metadata, &self.root)
    }

    /// The folders with migrations, relative to the root: the configured one, else what the crates hold, where their own
    /// `sqlx.toml` says.
    pub(crate) fn migrations(&self) -> Vec<String> {
        let configured = &self.config.migrations.path;
        if holds_sql(&self.root.join(configured)) {
            return vec![configured.clone()];
        }
        let told = self.crate_folders().filter_map(|it| migrations_dir(&it)).map(|it| self.shown(&it));
        let mut found = self.in_crates("migrations");
        found.extend(told);
        found.retain(|it| holds_sql(&self.root.join(it)));
        found.sort();
        found.dedup();
        found
    }

    /// Every folder called `name` in the root and in the crates' own folders, relative to the root.
    pub(crate) fn in_crates(&self, name: &str) -> Vec<String> {
        let folders = self.crate_folders().map(|it| it.join(name)).filter(|it| it.is_dir());
        let mut found: Vec<String> = folders.map(|it| self.shown(&it)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// The crates' own folders and the root.
    fn crate_folders(&self) -> impl Iterator<Item = PathBuf> {
        let manifests = self.metadata.packages.iter().filter_map(|it| it.manifest_path.parent());
        manifests.map(|it| it.as_std_path().to_owned()).chain([self.root.clone()])
    }

    /// One of the gate's own binaries. The first call of a run builds them all; whoever comes meanwhile waits, and `log`
    /// tells it.
    ///
    /// # Errors
    /// When they do not compile.
    pub(crate) fn gate_binary(&self, name: &str, log: &Log) -> anyhow::Result<PathBuf> {
        let _wait = self.tools.get().is_none().then(|| log.wait("the gate's own tools, which compile"));
        match self.gate() {
            Ok(folder) => Ok(folder.join(name)),
            Err(_) if interrupt::requested() => Err(ProcessError::Interrupted.into()),
            Err(error) => bail!("{error}"),
        }
    }

    /// Builds the gate's own binaries, or waits for whoever builds them; one that cannot is told by the steps that ask.
    pub(crate) fn gate(&self) -> &Result<PathBuf, String> {
        self.tools.get_or_init(|| self.build_gate().map_err(|error| format!("{error:#}")))
    }

    /// The gate's own binaries from one call of cargo.
    fn build_gate(&self) -> anyhow::Result<PathBuf> {
        let path = self.target().join("logs").join("gate-binaries.log");
        let log = Log::create(&path).with_context(|| format!("cannot write `{}`", self.shown(&path)))?;
        let build = self.cargo().folder(&self.home).args(GATE_BUILD).log(&log);
        let built = build.run()?;
        if !built.success() {
            bail!(
                "the gate's own tools do not compile; see `{}`\n{}",
                build.display(),
                built.stderr.trim_end()
            );
        }
        let target = if self.home == self.root {
            self.metadata.target_directory.clone().into_std_path_buf()
        } else {
            workspace::metadata(&self.home)?.0.target_directory.into_std_path_buf()
        };
        Ok(target.join("debug"))
    }
}

/// Where `sqlx.toml` in a crate's folder puts the migrations; what is wrong in it is for the gate to tell.
fn migrations_dir(folder: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(folder.join("sqlx.toml")).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let named = table.get("migrate")?.get("migrations-dir")?.as_str()?;
    std::fs::canonicalize(folder.join(named)).ok()
}

fn holds_sql(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| file.path().extension().is_some_and(|it| it == "sql"))
}

/// A provider of Postgres that does not exist is told before anything runs.
fn known_provider() -> anyhow::Result<()> {
    match std::env::var("XTASK_POSTGRES") {
        Ok(name) if !PROVIDERS.contains(&name.as_str()) => {
            bail!("`XTASK_POSTGRES` is `{name}`; set it to one of {}, or unset it", PROVIDERS.join(", "))
        }
        _ => Ok(()),
    }
}

fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", now.as_millis(), std::process::id())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use serde_json::Value;

    use super::*;

    /// What cargo would compile, each unit with its features and its profile.
    fn units(arguments: &[&str]) -> BTreeSet<String> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut command = Command::new("cargo");
        // The plan is not stable; the compile that it tells of is the stable one.
        command.current_dir(home).env("RUSTC_BOOTSTRAP", "1").args(arguments);
        let output = command.args(["--unit-graph", "-Zunstable-options"]).output().unwrap();
        let graph: Value = serde_json::from_slice(&output.stdout).unwrap();
        let unit = |unit: &Value| {
            let profile = &unit["profile"];
            let level = [&profile["opt_level"], &profile["debuginfo"], &profile["panic"]];
            format!("{} {} {} {} {level:?}", unit["pkg_id"], unit["target"], unit["features"], unit["mode"])
        };
        graph["units"].as_array().unwrap().iter().map(unit).collect()
    }

    #[test]
    fn the_gates_own_tools_are_compiled_of_what_the_tests_are_compiled_of() {
        let tests = units(&["test", "--no-run", "--locked", "--workspace"]);
        let gate = units(GATE_BUILD);
        assert!(gate.len() > 100, "{}", gate.len());
        let twice: Vec<&String> = gate.difference(&tests).collect();
        assert!(twice.is_empty(), "{twice:#?}");
    }
}
