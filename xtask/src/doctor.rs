//! `cargo xtask doctor`: everything that is missing at once, each with its command, and what is peculiar to this host.

mod host;

use std::io::{self, Write as _};

use anyhow::Context as _;

use crate::{
    context::Context,
    outcome::{EXIT_ENVIRONMENT, EXIT_GREEN},
    steps::STEPS,
    tools::{
        Demand, Missing, Tool,
        machine::{Machine, State},
    },
};
use host::Note;

/// Shows what is there, what is missing and what is peculiar; the exit code says whether all is there.
///
/// # Errors
/// When the machine cannot be looked at because the run is interrupted.
pub(crate) fn run(cx: &Context) -> anyhow::Result<u8> {
    let machine = Machine::this(cx);
    let steps: Vec<&str> = STEPS.iter().filter(|it| (it.skip)(cx).is_none()).map(|it| it.name).collect();
    let demand = Demand::of(cx, &steps);
    let missing = demand.absent(&machine);
    say(&shown(&machine, &demand, &missing))?;
    say(&noted(&host::notes(cx, &machine)?))?;
    say(&format!("{}\n", summary(missing.len())))?;
    Ok(if missing.is_empty() { EXIT_GREEN } else { EXIT_ENVIRONMENT })
}

/// A reader that has seen enough, such as `head`, is no error.
fn say(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// The tools in the table's order.
fn shown(machine: &Machine, demand: &Demand, missing: &[Missing]) -> String {
    let mut text = String::from("Tools\n");
    for tool in demand.tools(machine) {
        let line = match missing.iter().find(|it| it.name == tool.name) {
            Some(missing) => lacking(missing),
            None => present(tool, machine, demand.major),
        };
        text += &line;
    }
    text
}

fn present(tool: &Tool, machine: &Machine, major: u32) -> String {
    match tool.state(machine, major) {
        State::Found(path) => {
            let path = path.strip_prefix(&machine.root).map_or(path.clone(), |it| machine_root().join(it));
            format!("  ok       {:<16} {}\n", tool.name, path.display())
        }
        State::Absent | State::Unfit(_) => String::new(),
    }
}

/// Paths are told as the machine itself has them.
fn machine_root() -> &'static std::path::Path {
    std::path::Path::new("/")
}

fn lacking(missing: &Missing) -> String {
    let mut text = format!("  missing  {:<16} {}", missing.name, missing.purpose);
    if let Some(instead) = &missing.instead {
        text += &format!(" ({instead})");
    }
    text + &format!("\n           {:<16} {}\n", "", missing.command)
}

fn noted(notes: &[Note]) -> String {
    let mut text = String::from("\nHost\n");
    for Note { what, so } in notes {
        text += &format!("  note     {what}\n           {so}\n");
    }
    if notes.is_empty() {
        text += "  nothing peculiar\n";
    }
    text
}

fn summary(missing: usize) -> String {
    match missing {
        0 => "\nEverything is there.".into(),
        1 => "\n1 thing is missing; `cargo xtask doctor --fix` gets it.".into(),
        many => format!("\n{many} things are missing; `cargo xtask doctor --fix` gets them all."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with Debian's package manager and the tools that the newcomer has.
    fn newcomer(folder: &std::path::Path) -> Machine {
        let machine = Machine::bare(folder);
        for program in
            ["apt-get", "dpkg", "git", "cc", "cargo-fmt", "rustfmt", "cargo-clippy", "clippy-driver"]
        {
            machine.put(&format!("/bin/{program}"), "");
        }
        machine
    }

    fn told(machine: &Machine) -> String {
        let demand = Demand::everything(15);
        let missing = demand.absent(machine);
        shown(machine, &demand, &missing) + &summary(missing.len())
    }

    #[test]
    fn everything_missing_is_told_at_once_each_with_its_command() {
        let folder = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(told(&newcomer(folder.path())), @"
        Tools
          ok       git              /bin/git
          ok       cc               /bin/cc
          missing  ca-certificates  lets cargo trust the registry
                                    apt-get install --no-install-recommends ca-certificates
          ok       rustfmt          /bin/cargo-fmt
          missing  ripsecrets       looks for credentials
                                    cargo install --locked ripsecrets@0.1.11
          missing  cargo-deny       judges licences, sources and advisories
                                    cargo install --locked cargo-deny@0.20.2
          ok       clippy           /bin/cargo-clippy
          missing  cargo-nextest    runs the tests
                                    cargo install --locked cargo-nextest@0.9.143 --no-default-features --features default-no-update
          missing  cargo-sqlx       compares the queries with the schema
                                    cargo install --locked sqlx-cli@0.9.0 --no-default-features --features postgres
          missing  postgres         is the scratch database
                                    cargo xtask doctor --fix, or apt-get install --no-install-recommends postgresql-15 (which also starts a cluster)
          missing  setpriv          ends postgres with the run, and lets root start it
                                    apt-get install --no-install-recommends util-linux
          missing  podman           builds and runs the images
                                    apt-get install --no-install-recommends podman
          missing  runc             starts containers, also with hybrid cgroups
                                    apt-get install --no-install-recommends runc
          missing  mmdebstrap       makes base images where none can be pulled
                                    apt-get install --no-install-recommends mmdebstrap
          missing  debian-keyring   proves that those bases are Debian's
                                    apt-get install --no-install-recommends debian-archive-keyring
          missing  python3-yaml     reads the compose file
                                    apt-get install --no-install-recommends python3 python3-yaml
          missing  podman-compose   is the other reader of the compose file, in tests
                                    apt-get install --no-install-recommends podman-compose
          missing  docker-registry  is the registry of the tests
                                    apt-get install --no-install-recommends docker-registry
          missing  skopeo           pulls what the tests pushed, as a host does
                                    apt-get install --no-install-recommends skopeo
          missing  jq               reads signatures as a host without ours does
                                    apt-get install --no-install-recommends jq
          missing  promtool         tries the alert rules in the tests
                                    apt-get install --no-install-recommends prometheus
          missing  kill             sends the signals of the tests
                                    apt-get install --no-install-recommends procps

        18 things are missing; `cargo xtask doctor --fix` gets them all.
        ");
    }

    #[test]
    fn without_root_the_commands_say_sudo_and_podman_needs_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = newcomer(folder.path());
        machine.root_user = false;
        let told = told(&machine);
        let new: Vec<&str> = told.lines().filter(|it| it.contains("sudo ")).collect();
        insta::assert_snapshot!(new.join("\n"), @"
        sudo apt-get install --no-install-recommends ca-certificates
        cargo xtask doctor --fix, or sudo apt-get install --no-install-recommends postgresql-15 (which also starts a cluster)
        sudo apt-get install --no-install-recommends util-linux
        sudo apt-get install --no-install-recommends podman
        sudo apt-get install --no-install-recommends runc
        sudo apt-get install --no-install-recommends uidmap
        sudo apt-get install --no-install-recommends fuse-overlayfs
        sudo apt-get install --no-install-recommends slirp4netns
        sudo apt-get install --no-install-recommends mmdebstrap
        sudo apt-get install --no-install-recommends debian-archive-keyring
        sudo apt-get install --no-install-recommends python3 python3-yaml
        sudo apt-get install --no-install-recommends podman-compose
        sudo apt-get install --no-install-recommends docker-registry
        sudo apt-get install --no-install-recommends skopeo
        sudo apt-get install --no-install-recommends jq
        sudo apt-get install --no-install-recommends prometheus
        sudo apt-get install --no-install-recommends procps
        ");
    }

    #[test]
    fn a_system_without_apt_is_told_generic_names() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        let told = told(&machine);
        assert!(told.contains("install `podman` with this system's package manager"), "{told}");
        assert!(!told.contains("apt-get"), "{told}");
    }

    #[test]
    fn a_tool_that_is_there_but_does_not_do_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let machine = newcomer(folder.path());
        machine.put("/bin/cargo-nextest", "cargo-nextest 0.9.1");
        machine.put("/usr/lib/postgresql/17/bin/postgres", "");
        let told = told(&machine);
        let why: Vec<&str> = told.lines().filter(|it| it.contains('(') && it.contains("missing")).collect();
        insta::assert_snapshot!(why.join("\n"), @"
        missing  cargo-nextest    runs the tests (`PATH` has 0.9.1, pinned is 0.9.143)
        missing  postgres         is the scratch database (this machine has only PostgreSQL 17)
        ");
    }

    #[test]
    fn what_is_peculiar_to_the_host_comes_with_what_it_means() {
        let note = Note { what: "cgroups are hybrid".into(), so: "runc is used".into() };
        insta::assert_snapshot!(noted(&[note]), @"

        Host
          note     cgroups are hybrid
                   runc is used
        ");
    }
}
