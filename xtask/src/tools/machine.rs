//! The machine that the tool runs on, and how programs are found on it: by looking, seldom by asking.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::PinnedCrate;
use crate::{context::Context, process::Process};

/// Folders that hold programs although the `PATH` of a user who is not root leaves them out.
const SYSTEM_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// Where distributions put the server binaries of one major version.
const POSTGRES_FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/usr/libexec/postgresql{}",
    "/opt/homebrew/opt/postgresql@{}/bin",
];
/// How long a program may take to tell its version.
const ANSWER: Duration = Duration::from_secs(10);

/// What is looked at. In tests its root is a folder.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Absolute paths are taken from here.
    pub(crate) root: PathBuf,
    path: Vec<PathBuf>,
    /// Where the pinned tools lie.
    pub(crate) tools: PathBuf,
    /// Folder with the programs of the toolchain that rustup selects for the workspace.
    toolchain: Option<PathBuf>,
    pub(crate) root_user: bool,
}

/// What was found of a tool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Found(PathBuf),
    Absent,
    /// Something is there that does not do, and what.
    Unfit(String),
}

impl Machine {
    /// The machine that this process runs on.
    pub(crate) fn this(cx: &Context) -> Self {
        let mut path: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|it| std::env::split_paths(&it).filter(|it| it.is_absolute()).collect())
            .unwrap_or_default();
        path.extend(SYSTEM_FOLDERS.iter().map(PathBuf::from));
        Self {
            root: "/".into(),
            path,
            tools: tools_folder(),
            toolchain: selected_toolchain(&cx.root),
            root_user: rustix::process::geteuid().is_root(),
        }
    }

    /// Where a program lies.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|it| is_program(it))
    }

    /// Whether packages come from Debian's package manager.
    pub(crate) fn has_apt(&self) -> bool {
        self.program("apt-get").is_some() && self.program("dpkg").is_some()
    }

    /// An absolute path on this machine.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether cgroup v1 and v2 are mounted side by side, which crun refuses.
    pub(crate) fn hybrid_cgroups(&self) -> bool {
        !self.at("/sys/fs/cgroup/cgroup.controllers").exists() && self.at("/sys/fs/cgroup/unified").is_dir()
    }

    /// cargo and rustc, as `PATH` has them and as rustup selects them.
    pub(super) fn toolchain_programs(&self) -> Vec<PathBuf> {
        let selected = ["cargo", "rustc"].iter().flat_map(|name| self.each_component(&[name]));
        self.each(&["cargo", "rustc"]).into_iter().chain(selected).collect()
    }

    /// Those of these files and programs that there are.
    pub(super) fn each(&self, names: &[&str]) -> Vec<PathBuf> {
        let look = |name: &&str| match self.one_of(&[name]) {
            State::Found(path) => Some(path),
            State::Absent | State::Unfit(_) => None,
        };
        names.iter().filter_map(look).collect()
    }

    pub(super) fn each_component(&self, names: &[&str]) -> Vec<PathBuf> {
        match &self.toolchain {
            Some(folder) => names.iter().map(|it| folder.join(it)).filter(|it| is_program(it)).collect(),
            None => self.each(names),
        }
    }

    /// The pinned one, or the one that `PATH` has instead.
    pub(super) fn pinned_program(&self, pinned: &PinnedCrate) -> Option<PathBuf> {
        let own = self.tools.join(pinned.folder()).join("bin").join(pinned.program);
        Some(own).filter(|it| is_program(it)).or_else(|| self.program(pinned.program))
    }

    pub(super) fn programs(&self, names: &[&str]) -> State {
        let found: Vec<PathBuf> = names.iter().filter_map(|name| self.program(name)).collect();
        match found.first() {
            Some(first) if found.len() == names.len() => State::Found(first.clone()),
            _ => State::Absent,
        }
    }

    pub(super) fn one_of(&self, names: &[&str]) -> State {
        let look = |name: &&str| {
            if name.starts_with('/') {
                Some(self.at(name)).filter(|it| it.exists())
            } else {
                self.program(name)
            }
        };
        names.iter().find_map(look).map_or(State::Absent, State::Found)
    }

    pub(super) fn runtime(&self) -> State {
        match (self.program("runc"), self.program("crun")) {
            (Some(runc), _) => State::Found(runc),
            (None, Some(crun)) if !self.hybrid_cgroups() => State::Found(crun),
            (None, Some(_)) => State::Unfit("crun is here, and refuses this machine's hybrid cgroups".into()),
            (None, None) => State::Absent,
        }
    }

    pub(super) fn component(&self, names: &[&str]) -> State {
        let Some(toolchain) = &self.toolchain else { return self.programs(names) };
        let all = names.iter().all(|name| is_program(&toolchain.join(name)));
        match names.first() {
            Some(first) if all => State::Found(toolchain.join(first)),
            _ => State::Absent,
        }
    }

    pub(super) fn pinned(&self, pinned: &PinnedCrate) -> State {
        let own = self.tools.join(pinned.folder()).join("bin").join(pinned.program);
        if is_program(&own) {
            return State::Found(own);
        }
        let Some(other) = self.program(pinned.program) else { return State::Absent };
        match version(&other, pinned.ask) {
            Some(version) if version == pinned.version => State::Found(other),
            Some(version) => State::Unfit(format!("`PATH` has {version}, pinned is {}", pinned.version)),
            None => State::Unfit(format!("`{}` does not tell its version", other.display())),
        }
    }

    pub(super) fn postgres(&self, major: u32) -> State {
        let folders = POSTGRES_FOLDERS.iter().map(|it| self.at(&it.replace("{}", &major.to_string())));
        let complete =
            |folder: &PathBuf| is_program(&folder.join("initdb")) && is_program(&folder.join("postgres"));
        if let Some(folder) = folders.into_iter().find(complete) {
            return State::Found(folder);
        }
        let (Some(postgres), Some(_)) = (self.program("postgres"), self.program("initdb")) else {
            return self.other_postgres().map_or(State::Absent, State::Unfit);
        };
        match version(&postgres, &["--version"]) {
            Some(version) if version.split('.').next() == Some(&major.to_string()) => State::Found(postgres),
            Some(version) => State::Unfit(format!("`PATH` has {version}, production runs {major}")),
            None => State::Absent,
        }
    }

    /// Another major version than the configured one.
    fn other_postgres(&self) -> Option<String> {
        let entries = std::fs::read_dir(self.at("/usr/lib/postgresql")).ok()?;
        let servers = entries.flatten().filter(|it| is_program(&it.path().join("bin/postgres")));
        let mut versions: Vec<String> =
            servers.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        versions.sort();
        (!versions.is_empty()).then(|| format!("this machine has only PostgreSQL {}", versions.join(", ")))
    }
}

/// The user's folder of pinned tools: not below `target`, so that `cargo clean` costs no compilation of them.
pub(crate) fn tools_folder() -> PathBuf {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|it| it.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("slipway").join("tools")
}

#[derive(Deserialize)]
struct ToolchainFile {
    toolchain: Toolchain,
}

#[derive(Deserialize)]
struct Toolchain {
    channel: String,
}

/// rustup's proxies are on `PATH` whether the component is installed or not, so the toolchain's own folder is looked
/// at. `None` where rustup is not in charge, as with a distribution's toolchain.
fn selected_toolchain(workspace: &Path) -> Option<PathBuf> {
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|it| PathBuf::from(it).join(".rustup")))?;
    let toolchains = home.join("toolchains");
    let text =
        workspace.ancestors().find_map(|it| std::fs::read_to_string(it.join("rust-toolchain.toml")).ok());
    let named = text.and_then(|it| toml::from_str::<ToolchainFile>(&it).ok()).map(|it| it.toolchain.channel);
    let Some(channel) = named else {
        let active = std::env::var_os("RUSTUP_TOOLCHAIN")?;
        return Some(toolchains.join(active).join("bin")).filter(|it| it.is_dir());
    };
    let mut installed = std::fs::read_dir(&toolchains).ok()?.flatten().map(|it| it.path());
    let prefix = format!("{channel}-");
    let folder = installed.find(|it| {
        it.file_name().is_some_and(|it| *it == *channel || it.to_string_lossy().starts_with(&prefix))
    })?;
    Some(folder.join("bin"))
}

/// The first word of what a program says of itself that looks like a version.
fn version(program: &Path, ask: &[&str]) -> Option<String> {
    let said = Process::new(program).args(ask).timeout(ANSWER).run().ok()?.stdout;
    let looks = |word: &&str| word.starts_with(|it: char| it.is_ascii_digit());
    said.split_whitespace().find(looks).map(str::to_owned)
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
impl Machine {
    /// A machine without anything, below a folder; its programs come from `bin`.
    pub(crate) fn bare(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            path: vec![root.join("bin")],
            tools: root.join("tools"),
            toolchain: None,
            root_user: true,
        }
    }

    /// Puts a program there that says `text` and ends well.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\necho '{text}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{NEXTEST, TOOLS};

    fn state(machine: &Machine, name: &str) -> State {
        TOOLS.iter().find(|it| it.name == name).unwrap().state(machine, 15)
    }

    #[test]
    fn a_tool_of_exactly_the_pinned_version_on_the_path_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        assert_eq!(state(&machine, "cargo-nextest"), State::Absent);
        machine.put("/bin/cargo-nextest", "cargo-nextest 0.9.100 (abc 2025-01-01)");
        assert_eq!(
            state(&machine, "cargo-nextest"),
            State::Unfit(format!("`PATH` has 0.9.100, pinned is {}", NEXTEST.version))
        );
        machine.put("/bin/cargo-nextest", &format!("cargo-nextest {} (abc 2026-01-01)", NEXTEST.version));
        assert_eq!(state(&machine, "cargo-nextest"), State::Found(machine.at("/bin/cargo-nextest")));
    }

    #[test]
    fn a_pinned_tool_in_the_cache_goes_before_another_one_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        machine.put("/bin/cargo-nextest", "cargo-nextest 0.9.100");
        let own = format!("/tools/{}/bin/cargo-nextest", NEXTEST.folder());
        machine.put(&own, "");
        assert_eq!(state(&machine, "cargo-nextest"), State::Found(machine.at(&own)));
    }

    #[test]
    fn another_major_version_of_postgres_is_told_and_does_not_do() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        machine.put("/usr/lib/postgresql/17/bin/postgres", "");
        assert_eq!(state(&machine, "postgres"), State::Unfit("this machine has only PostgreSQL 17".into()));
        machine.put("/usr/lib/postgresql/15/bin/postgres", "");
        machine.put("/usr/lib/postgresql/15/bin/initdb", "");
        assert_eq!(state(&machine, "postgres"), State::Found(machine.at("/usr/lib/postgresql/15/bin")));
    }

    #[test]
    fn crun_alone_does_not_do_where_cgroups_are_hybrid() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        machine.put("/bin/crun", "");
        assert_eq!(state(&machine, "runc"), State::Found(machine.at("/bin/crun")));
        std::fs::create_dir_all(machine.at("/sys/fs/cgroup/unified")).unwrap();
        assert!(matches!(state(&machine, "runc"), State::Unfit(_)));
    }

    #[test]
    fn a_component_of_a_toolchain_without_rustup_is_found_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        machine.put("/bin/cargo-fmt", "");
        assert_eq!(state(&machine, "rustfmt"), State::Absent);
        machine.put("/bin/rustfmt", "");
        assert!(matches!(state(&machine, "rustfmt"), State::Found(_)));
    }

    #[test]
    fn a_proxy_of_rustup_does_not_count_as_the_component() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = Machine::bare(folder.path());
        machine.put("/bin/cargo-fmt", "");
        machine.put("/bin/rustfmt", "");
        machine.toolchain = Some(machine.at("/toolchain/bin"));
        assert_eq!(state(&machine, "rustfmt"), State::Absent);
    }
}
