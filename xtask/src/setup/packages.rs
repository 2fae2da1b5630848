//! Packages of Debian and Ubuntu, installed without starting a service or creating a cluster.

use std::collections::BTreeMap;

use super::{SetupError, progress::Progress};
use crate::{
    context::Context,
    process::Process,
    tools::{Packages, machine::Machine},
};

/// What is installed, run as root and fed by standard input: nothing of it shows in a process list, and it ends what
/// it began even when xtask is killed. Its words come before it as shell variables.
const INSTALL: &str = include_str!("packages/install.sh");

/// What may take long with a slow network, and may be stopped at any time. Where an installation was stopped half-way,
/// [`INSTALL`] has to mend that first.
const FETCH: &str = r#"[ -z "$(dpkg --audit)" ] || exit 0
exec apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends --download-only $packages </dev/null
"#;

/// Variables that apt needs to reach its mirrors; sudo drops them.
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// Packages to install.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    always: Vec<&'static str>,
    where_known: Vec<&'static str>,
    services: Vec<&'static str>,
    /// Major version of the Postgres server, when it is wanted.
    pub(super) postgres: Option<u32>,
}

/// How root's work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    Root,
    Sudo,
}

impl Wanted {
    pub(super) fn add(&mut self, packages: &Packages) {
        self.always.extend(packages.always);
        self.where_known.extend(packages.where_known);
        self.services.extend(packages.services);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.always.is_empty() && self.where_known.is_empty() && self.postgres.is_none()
    }

    /// The command, with everything that is wanted.
    pub(super) fn command(&self) -> String {
        let mut names: Vec<String> =
            self.always.iter().chain(&self.where_known).map(|&it| it.into()).collect();
        names.extend(self.postgres.map(server));
        format!("apt-get install --yes --no-install-recommends {}", names.join(" "))
    }

    /// What can be installed of it by the lists of packages.
    fn known(&self, lists: &Lists, progress: &Progress) -> Vec<String> {
        let mut names: Vec<String> = self.always.iter().map(|&it| it.into()).collect();
        names.extend(self.where_known.iter().filter(|it| lists.has(it)).map(|&it| it.into()));
        if let Some(major) = self.postgres {
            let name = server(major);
            if lists.has(&name) {
                names.push(name);
            } else {
                progress.say(&other_major(major, lists.0.get("postgresql").map_or("", String::as_str)));
            }
        }
        names
    }

    /// Whether the lists lack something that every release has.
    fn is_unknown(&self, lists: &Lists) -> bool {
        self.always.iter().any(|it| !lists.has(it)) || (self.postgres.is_some() && !lists.has("postgresql"))
    }
}

/// What apt would install, by its lists: the version by the package's name.
#[derive(Debug, Default)]
struct Lists(BTreeMap<String, String>);

impl Lists {
    fn ask(cx: &Context, wanted: &Wanted) -> anyhow::Result<Self> {
        let mut names: Vec<String> =
            wanted.always.iter().chain(&wanted.where_known).map(|&it| it.into()).collect();
        names.extend(wanted.postgres.map(server));
        names.push("postgresql".into());
        let finished = cx.process("apt-cache").arg("policy").args(&names).run()?;
        Ok(Self::parse(&finished.stdout))
    }

    /// A package's name and a colon begin its part; `(none)` is a name without a package.
    fn parse(policy: &str) -> Self {
        let mut lists = Self::default();
        let mut name = "";
        for line in policy.lines() {
            if let Some(version) = line.strip_prefix("  Candidate: ").filter(|it| *it != "(none)") {
                lists.0.insert(name.into(), version.into());
            } else if let Some(begun) = line.strip_suffix(':').filter(|it| !it.starts_with(' ')) {
                name = begun;
            }
        }
        lists
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl Privilege {
    /// How this user can do root's work without being asked for a password.
    pub(super) fn find(machine: &Machine, wanted: &Wanted) -> Result<Self, SetupError> {
        if machine.root_user {
            return Ok(Self::Root);
        }
        let sudo = machine
            .program("sudo")
            .is_some_and(|sudo| Process::new(sudo).args(["-n", "true"]).run().is_ok_and(|it| it.success()));
        if sudo {
            return Ok(Self::Sudo);
        }
        let prefix = Self::Sudo.prefix();
        Err(SetupError::NotAllowed { command: format!("{prefix}{}", wanted.command()) })
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Sudo => "sudo ",
        }
    }

    /// A shell as root that runs what it is given by standard input.
    fn shell(self, cx: &Context) -> Process {
        let process = match self {
            Self::Root => cx.process("/bin/sh").arg("-s"),
            Self::Sudo => cx.process("sudo").args(["-n", "/bin/sh", "-s"]),
        };
        process.folder("/")
    }
}

/// Fetches the lists and installs what they have of the packages.
///
/// # Errors
/// When apt fails; one line of the log names why.
pub(super) fn install(
    cx: &Context,
    wanted: &Wanted,
    privilege: Privilege,
    progress: &Progress,
) -> anyhow::Result<()> {
    let shell = privilege.shell(cx);
    let update =
        format!("{}exec apt-get -qq -o APT::Update::Error-Mode=any update </dev/null\n", variables());
    let updated = progress.attempt("fetching the lists of packages", &shell.clone().input(update))?;
    let lists = Lists::ask(cx, wanted)?;
    if !updated.success() {
        if wanted.is_unknown(&lists) {
            return Err(progress.failed("apt-get update", &updated).into());
        }
        // One source that does not answer spoils the exit code, not what the others have.
        progress.say("set-up: not all lists could be fetched; going on with those that are there");
    }
    let names = wanted.known(&lists, progress);
    if names.is_empty() {
        return Ok(());
    }
    let words =
        format!("{}packages='{}'\nservices='{}'\n", variables(), names.join(" "), wanted.services.join(" "));
    let shown = wanted.command();
    let fetched = progress.attempt("fetching packages", &shell.clone().input(format!("{words}{FETCH}")))?;
    if !fetched.success() {
        return Err(progress.failed(&shown, &fetched).into());
    }
    // dpkg that is stopped half-way leaves packages that are neither there nor gone.
    progress.run_to_its_end("installing packages", &shown, &shell, &format!("{words}{INSTALL}"))?;
    Ok(())
}

/// The package of the server of a major version.
fn server(major: u32) -> String {
    format!("postgresql-{major}")
}

/// `version` is that of the package `postgresql`, such as `17+278`.
fn other_major(major: u32, version: &str) -> String {
    let own: String = version.chars().take_while(char::is_ascii_digit).collect();
    let own = if own.is_empty() { "no server".into() } else { format!("PostgreSQL {own}") };
    format!(
        "set-up: this system's packages have {own}, and `postgres.major` in .config/xtask.toml is {major}: either add \
         the packages of https://apt.postgresql.org (that is for you to decide), or a container gives the database"
    )
}

/// apt's environment, as the beginning of a script.
fn variables() -> String {
    let mut text = String::from("export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8\n");
    for name in PROXIES {
        if let Ok(value) = std::env::var(name) {
            text += &format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_the_lists_do_not_have_is_not_asked_for() {
        let lists = Lists::parse(
            "netavark:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n\
             podman:\n  Installed: (none)\n  Candidate: 4.3.1+ds1-8\n  Version table:\n     4.3.1+ds1-8 500\n",
        );
        assert!(lists.has("podman"));
        assert!(!lists.has("netavark"));
        assert!(!lists.has("passt"));
    }

    #[test]
    fn lists_without_a_package_that_every_release_has_were_not_fetched() {
        let wanted = Wanted { postgres: Some(15), ..Wanted::default() };
        assert!(wanted.is_unknown(&Lists::default()));
        let lists = Lists::parse("postgresql:\n  Candidate: 17+278\n");
        assert!(!wanted.is_unknown(&lists), "another major version is a list's own answer");
    }

    #[test]
    fn a_distribution_with_another_postgres_is_told_and_nothing_is_added_silently() {
        insta::assert_snapshot!(
            other_major(15, "17+278"),
            @"set-up: this system's packages have PostgreSQL 17, and `postgres.major` in .config/xtask.toml is 15: either add the packages of https://apt.postgresql.org (that is for you to decide), or a container gives the database"
        );
    }
}
