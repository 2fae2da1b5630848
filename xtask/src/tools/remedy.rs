//! The command that gets a tool onto this machine, as a person would type it.

use super::{Machine, PinnedCrate, Source, Tool};

/// What helps when `tool` is missing.
pub(super) fn command(tool: &Tool, machine: &Machine, major: u32) -> String {
    match &tool.source {
        Source::Packages(packages) => install(machine, &packages.always.join(" "), tool.name),
        Source::Postgres => {
            let command = install(
                machine,
                &format!("postgresql-{major}"),
                &format!("the server of PostgreSQL {major}"),
            );
            if machine.has_apt() {
                // By hand Debian's package starts a cluster; the set-up keeps it from doing so.
                format!("cargo xtask doctor --fix, or {command} (which also starts a cluster)")
            } else {
                command
            }
        }
        Source::Crate(pinned) => pinned.command(),
        Source::Component(name) if machine.program("rustup").is_some() => {
            format!("rustup component add {name}")
        }
        Source::Component(name) => {
            format!("install `{name}` of the toolchain that `rust-toolchain.toml` names")
        }
    }
}

fn install(machine: &Machine, packages: &str, generic: &str) -> String {
    if machine.has_apt() {
        let sudo = if machine.root_user { "" } else { "sudo " };
        format!("{sudo}apt-get install --no-install-recommends {packages}")
    } else {
        format!("install `{generic}` with this system's package manager")
    }
}

impl PinnedCrate {
    /// What `cargo` is given to install it, but for where to.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec!["install".into(), "--locked".into(), format!("{}@{}", self.name, self.version)];
        if !self.features.is_empty() {
            arguments.extend(["--no-default-features".into(), "--features".into(), self.features.join(",")]);
        }
        arguments
    }

    /// Name of its folder among the pinned tools.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    fn command(&self) -> String {
        format!("cargo {}", self.arguments().join(" "))
    }
}
