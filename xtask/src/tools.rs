//! The tools that the gate stands on: one table, from which what is missing, what helps and `--setup` derive.
//!
//! **To need another tool, add a line to [`TOOLS`].**

pub(crate) mod machine;
mod remedy;

use std::{ffi::OsString, path::PathBuf};

use crate::context::Context;
use machine::{Machine, State};

/// A tool, what it is for, how it is found and how it is got.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// What it does here, as the rest of a sentence.
    pub(crate) purpose: &'static str,
    used_by: &'static [Use],
    users: Users,
    probe: Probe,
    pub(crate) source: Source,
}

/// What needs a tool. The tests of the tool itself run every step, so they need them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The step of that name.
    Step(&'static str),
    /// The step of that name, in cases that it cannot decide without.
    AtTimes(&'static str),
    /// Any step that compiles.
    Build,
    /// Any step that works on a scratch Postgres.
    Database,
    /// The tests of xtask and of the gate, in the workspace that holds them.
    OwnTests,
}

/// Whose runs need it: podman without root needs help from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    All,
    NotRoot,
}

/// How a tool is found.
#[derive(Debug)]
enum Probe {
    /// All of these programs.
    Programs(&'static [&'static str]),
    /// One of these files or programs; names without `/` are programs.
    OneOf(&'static [&'static str]),
    /// An OCI runtime that copes with this machine's cgroups.
    Runtime,
    /// A pinned crate's program, of exactly that version.
    Pinned,
    /// Programs of the toolchain that the workspace asks for.
    Toolchain(&'static [&'static str]),
    /// Server binaries of the configured major version.
    Postgres,
}

/// How a tool is got.
#[derive(Debug)]
pub(crate) enum Source {
    Packages(Packages),
    /// The distribution's server of the configured major version.
    Postgres,
    Crate(PinnedCrate),
    /// A component of the toolchain.
    Component(&'static str),
}

/// Packages of Debian and Ubuntu.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) always: &'static [&'static str],
    /// Those that not every release has.
    pub(crate) where_known: &'static [&'static str],
    /// Services that a package would start at every boot, and that nobody here needs.
    pub(crate) services: &'static [&'static str],
}

/// A cargo tool at a pinned version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PinnedCrate {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) program: &'static str,
    /// What the program is asked for its version with.
    pub(crate) ask: &'static [&'static str],
    /// Which of the crate's features are built.
    pub(crate) features: &'static [&'static str],
    /// cargo's `opt-level`: a tool that waits for others most of its time is built in less than half the time without.
    pub(crate) opt_level: &'static str,
}

const NEXTEST: PinnedCrate = PinnedCrate {
    name: "cargo-nextest",
    version: "0.9.143",
    program: "cargo-nextest",
    ask: &["--version"],
    // Without the part that updates the program by itself, which is a third of the compilation.
    features: &["default-no-update"],
    opt_level: "0",
};

const SQLX: PinnedCrate = PinnedCrate {
    name: "sqlx-cli",
    version: "0.9.0",
    program: "cargo-sqlx",
    ask: &["sqlx", "--version"],
    features: &["postgres"],
    opt_level: "0",
};

const DENY: PinnedCrate = PinnedCrate {
    name: "cargo-deny",
    version: "0.20.2",
    program: "cargo-deny",
    ask: &["--version"],
    features: &[],
    opt_level: "0",
};

const RIPSECRETS: PinnedCrate = PinnedCrate {
    name: "ripsecrets",
    version: "0.1.11",
    program: "ripsecrets",
    ask: &["--version"],
    features: &[],
    opt_level: "2",
};

/// Where systems keep the certificate authorities that they trust.
const CERTIFICATES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What gives containers a network of their own, and comes along with podman: the gate's containers do without, those
/// that a person starts do not.
const NETWORK: &[&str] = &["netavark", "aardvark-dns", "iptables", "nftables"];

const IMAGES: &[Use] = &[Use::Step("images")];

#[rustfmt::skip] // a line a tool
pub(crate) const TOOLS: &[Tool] = &[
    tool("git",              "reads what is committed and what changed",      &[Use::Build, Use::Step("fmt"), Use::Step("house"), Use::Step("secrets")], Probe::Programs(&["git"]),                         packages(&["git"])),
    tool("cc",               "links what cargo builds",                       &[Use::Build],            Probe::Programs(&["cc"]),                                                     packages(&["gcc", "libc6-dev"])),
    tool("ca-certificates",  "lets cargo trust the registry",                 &[Use::Build],            Probe::OneOf(CERTIFICATES),                                                   packages(&["ca-certificates"])),
    tool("rustfmt",          "formats the sources",                           &[Use::Step("fmt")],      Probe::Toolchain(&["cargo-fmt", "rustfmt"]),                                  Source::Component("rustfmt")),
    tool("ripsecrets",       "looks for credentials",                         &[Use::Step("secrets"), Use::Step("images")], Probe::Pinned,                                                                Source::Crate(RIPSECRETS)),
    tool("cargo-deny",       "judges licences, sources and advisories",       &[Use::Step("deny")],     Probe::Pinned,                                                                Source::Crate(DENY)),
    tool("clippy",           "finds mistakes that compile",                   &[Use::Step("clippy")],   Probe::Toolchain(&["cargo-clippy", "clippy-driver"]),                         Source::Component("clippy")),
    tool("cargo-nextest",    "runs the tests",                                &[Use::Step("test")],     Probe::Pinned,                                                                Source::Crate(NEXTEST)),
    tool("cargo-sqlx",       "compares the queries with the schema",          &[Use::AtTimes("sqlx")],   Probe::Pinned,                                                                Source::Crate(SQLX)),
    tool("postgres",         "is the scratch database",                       &[Use::Database],         Probe::Postgres,                                                              Source::Postgres),
    tool("setpriv",          "ends postgres with the run, and lets root start it", &[Use::Database],    Probe::Programs(&["setpriv"]),                                                packages(&["util-linux"])),
    tool("podman",           "builds and runs the images",                    IMAGES,                   Probe::Programs(&["podman"]),                                                 where_known(&["podman"], NETWORK)),
    tool("runc",             "starts containers, also with hybrid cgroups",   IMAGES,                   Probe::Runtime,                                                               packages(&["runc"])),
    tool("uidmap",           "gives containers users of their own",           IMAGES,                   Probe::Programs(&["newuidmap", "newgidmap"]),                                 packages(&["uidmap"])).only(Users::NotRoot),
    tool("fuse-overlayfs",   "layers images without root",                    IMAGES,                   Probe::Programs(&["fuse-overlayfs"]),                                         packages(&["fuse-overlayfs"])).only(Users::NotRoot),
    tool("slirp4netns",      "connects containers without root",              IMAGES,                   Probe::OneOf(&["slirp4netns", "pasta"]),                                      where_known(&["slirp4netns"], &["passt"])).only(Users::NotRoot),
    tool("mmdebstrap",       "makes base images where none can be pulled",    IMAGES,                   Probe::Programs(&["mmdebstrap"]),                                             packages(&["mmdebstrap"])),
    tool("debian-keyring",   "proves that those bases are Debian's",          IMAGES,                   Probe::OneOf(&["/usr/share/keyrings/debian-archive-keyring.gpg"]),            packages(&["debian-archive-keyring"])),
    tool("python3-yaml",     "reads the compose file",                        &[Use::AtTimes("stack")],   Probe::OneOf(&["/usr/lib/python3/dist-packages/yaml/__init__.py"]),           packages(&["python3", "python3-yaml"])),
    tool("podman-compose",   "is the other reader of the compose file, in tests", &[Use::OwnTests],    Probe::Programs(&["podman-compose"]),                                         packages(&["podman-compose"])),
    tool("docker-registry",  "is the registry of the tests",                  &[Use::OwnTests],         Probe::Programs(&["docker-registry"]),                                        Source::Packages(Packages { always: &["docker-registry"], where_known: &[], services: &["docker-registry.service"] })),
    tool("skopeo",           "pulls what the tests pushed, as a host does",  &[Use::OwnTests],         Probe::Programs(&["skopeo"]),                                                 packages(&["skopeo"])),
    tool("jq",               "reads signatures as a host without ours does",   &[Use::OwnTests],         Probe::Programs(&["jq"]),                                                     packages(&["jq"])),
    tool("promtool",         "tries the alert rules in the tests",            &[Use::OwnTests],         Probe::Programs(&["promtool", "prometheus"]),                                 Source::Packages(Packages { always: &["prometheus"], where_known: &[], services: &["prometheus.service"] })),
    tool("kill",             "sends the signals of the tests",                &[Use::OwnTests],         Probe::Programs(&["kill"]),                                                   packages(&["procps"])),
];

/// What the selected steps of a workspace ask of the machine.
#[derive(Debug)]
pub(crate) struct Demand {
    steps: Vec<String>,
    database: bool,
    own_tests: bool,
    /// Major version of the scratch Postgres.
    pub(crate) major: u32,
}

/// Something that is not there, with what helps.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) tool: &'static Tool,
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    /// What was found instead, where something was.
    pub(crate) instead: Option<String>,
    /// The exact command that helps.
    pub(crate) command: String,
}

impl Demand {
    /// What these steps need in this workspace.
    pub(crate) fn of(cx: &Context, steps: &[&str]) -> Self {
        let has = |name| steps.contains(&name);
        let tested = cx.config.postgres.tests.unwrap_or_else(|| !cx.migrations().is_empty());
        // A server that was given, or one in a container, needs no binaries here.
        let elsewhere = std::env::var_os("XTASK_POSTGRES_URL").is_some()
            || std::env::var("XTASK_POSTGRES").is_ok_and(|it| it != "local");
        Self {
            steps: steps.iter().map(|&it| it.to_owned()).collect(),
            database: !elsewhere && (has("sqlx") || has("migrations") || (has("test") && tested)),
            own_tests: has("test") && cx.root == cx.home,
            major: cx.config.postgres.major,
        }
    }

    /// What a whole run in the tool's own workspace needs.
    #[cfg(test)]
    pub(crate) fn everything(major: u32) -> Self {
        Self { steps: Vec::new(), database: true, own_tests: true, major }
    }

    fn wants(&self, need: Use) -> bool {
        let has = |name: &str| self.steps.iter().any(|it| it == name);
        match need {
            // A given server stays enough, also for them.
            Use::Database => self.database,
            _ if self.own_tests => true,
            Use::Step(name) | Use::AtTimes(name) => has(name),
            Use::Build => ["deny", "clippy", "test", "sqlx", "migrations", "images"].into_iter().any(has),
            Use::OwnTests => false,
        }
    }

    /// The tools that are needed, in the table's order.
    pub(crate) fn tools(&self, machine: &Machine) -> impl Iterator<Item = &'static Tool> {
        TOOLS.iter().filter(|tool| {
            let user = match tool.users {
                Users::All => true,
                Users::NotRoot => !machine.root_user,
            };
            user && tool.used_by.iter().any(|&need| self.wants(need))
        })
    }

    /// The needed tools that are not there.
    pub(crate) fn absent(&self, machine: &Machine) -> Vec<Missing> {
        self.tools(machine).filter_map(|tool| missing_tool(tool, machine, self.major)).collect()
    }
}

impl Tool {
    /// Looks for it.
    pub(crate) fn state(&self, machine: &Machine, major: u32) -> State {
        match (&self.probe, &self.source) {
            (Probe::Programs(names), _) => machine.programs(names),
            (Probe::OneOf(names), _) => machine.one_of(names),
            (Probe::Runtime, _) => machine.runtime(),
            (Probe::Toolchain(names), _) => machine.component(names),
            (Probe::Pinned, Source::Crate(pinned)) => machine.pinned(pinned),
            (Probe::Pinned, _) => State::Absent,
            (Probe::Postgres, _) => machine.postgres(major),
        }
    }

    const fn only(mut self, users: Users) -> Self {
        self.users = users;
        self
    }
}

/// What the steps lack on this machine so that they cannot run.
///
/// Without server binaries podman can give a database too; whether it does here is for the scratch server to find out.
pub(crate) fn missing(cx: &Context, steps: &[&str]) -> Vec<Missing> {
    let machine = Machine::this(cx);
    let mut absent = Demand::of(cx, steps).absent(&machine);
    // Whether this run comes to need it is found out in the step, which says so.
    absent.retain(|it| !matches!(it.tool.used_by, [Use::AtTimes(_)]));
    if machine.program("podman").is_some() {
        absent.retain(|it| !matches!(it.tool.source, Source::Postgres));
    }
    absent
}

/// The programs that a step stands on, cargo and rustc among them, found without running any.
pub(crate) fn programs(cx: &Context, step: &str) -> Vec<PathBuf> {
    let machine = Machine::this(cx);
    let mut found = machine.toolchain_programs();
    for tool in Demand::of(cx, &[step]).tools(&machine) {
        match (&tool.probe, &tool.source) {
            (Probe::Programs(names) | Probe::OneOf(names), _) => found.extend(machine.each(names)),
            (Probe::Runtime, _) => found.extend(machine.each(&["runc", "crun"])),
            (Probe::Toolchain(names), _) => found.extend(machine.each_component(names)),
            (Probe::Pinned, Source::Crate(pinned)) => found.extend(machine.pinned_program(pinned)),
            // Which server it is, is asked for apart.
            (Probe::Pinned | Probe::Postgres, _) => {}
        }
    }
    found
}

/// Where a program lies, found without running it.
pub(crate) fn on_path(cx: &Context, program: &str) -> Vec<PathBuf> {
    Machine::this(cx).each(&[program])
}

/// The local server of the configured version, if there is one.
pub(crate) fn server(cx: &Context) -> Option<PathBuf> {
    match Machine::this(cx).postgres(cx.config.postgres.major) {
        State::Found(path) if path.is_dir() => Some(path.join("postgres")),
        State::Found(path) => Some(path),
        State::Absent | State::Unfit(_) => None,
    }
}

/// `PATH` with the folders of the pinned tools in front.
pub(crate) fn path_with_tools() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = machine::tools_folder();
    let pinned = TOOLS.iter().filter_map(|tool| match &tool.source {
        Source::Crate(pinned) => Some(folder.join(pinned.folder()).join("bin")),
        _ => None,
    });
    let all: Vec<_> = pinned.filter(|it| it.is_dir()).chain(std::env::split_paths(&path)).collect();
    std::env::join_paths(all).unwrap_or(path)
}

fn missing_tool(tool: &'static Tool, machine: &Machine, major: u32) -> Option<Missing> {
    let instead = match tool.state(machine, major) {
        State::Found(_) => return None,
        State::Absent => None,
        State::Unfit(what) => Some(what),
    };
    let command = remedy::command(tool, machine, major);
    Some(Missing { tool, name: tool.name, purpose: tool.purpose, instead, command })
}

const fn tool(
    name: &'static str,
    purpose: &'static str,
    used_by: &'static [Use],
    probe: Probe,
    source: Source,
) -> Tool {
    Tool { name, purpose, used_by, users: Users::All, probe, source }
}

const fn packages(always: &'static [&'static str]) -> Source {
    where_known(always, &[])
}

const fn where_known(always: &'static [&'static str], where_known: &'static [&'static str]) -> Source {
    Source::Packages(Packages { always, where_known, services: &[] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(steps: &[&str]) -> Demand {
        let steps: Vec<String> = steps.iter().map(|&it| it.to_owned()).collect();
        let database = steps.iter().any(|it| it == "sqlx" || it == "migrations");
        Demand { steps, database, own_tests: false, major: 15 }
    }

    fn named(demand: &Demand, machine: &Machine) -> String {
        demand.tools(machine).map(|it| it.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_step_asks_only_for_what_it_uses() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        insta::assert_snapshot!(named(&demand(&["fmt"]), &machine), @"git rustfmt");
        insta::assert_snapshot!(
            named(&demand(&["clippy"]), &machine),
            @"git cc ca-certificates clippy"
        );
        insta::assert_snapshot!(
            named(&demand(&["migrations"]), &machine),
            @"git cc ca-certificates postgres setpriv"
        );
    }

    #[test]
    fn root_needs_no_help_to_map_users_and_others_do() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = Machine::bare(folder.path());
        assert!(!named(&demand(&["images"]), &machine).contains("uidmap"));
        machine.root_user = false;
        assert!(named(&demand(&["images"]), &machine).contains("uidmap fuse-overlayfs slirp4netns"));
    }

    #[test]
    fn the_tests_of_the_tool_itself_need_everything() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        let own = Demand::everything(15);
        let rootless = TOOLS.iter().filter(|it| it.users == Users::NotRoot).count();
        assert_eq!(own.tools(&machine).count(), TOOLS.len() - rootless);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = TOOLS.iter().map(|it| it.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TOOLS.len());
    }
}
