//! `--setup`: gets what the selected steps lack, and says what it is about to do first.

mod crates;
mod packages;
mod progress;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    context::Context,
    interrupt,
    process::{Log, ProcessError},
    tools::{self, Demand, Missing, PinnedCrate, Source, machine::Machine},
};
use packages::Privilege;
use progress::Progress;

/// How often a set-up that waits for another one looks again.
const POLL: Duration = Duration::from_millis(200);

/// Why a set-up could not get everything.
#[derive(Debug)]
pub(crate) enum SetupError {
    /// This system's packages are not Debian's.
    NoPackageManager { missing: Vec<Missing> },
    /// Packages are for root to install.
    NotAllowed { command: String },
    /// A command of the set-up failed.
    Failed { command: String, said: String, log: PathBuf },
    /// Everything ran, and something is still not there.
    StillMissing { missing: Vec<Missing> },
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPackageManager { missing } => {
                write!(
                    f,
                    "`--setup` knows Debian's and Ubuntu's packages only; install by hand, then run again:"
                )?;
                listed(f, missing)
            }
            Self::NotAllowed { command } => {
                write!(
                    f,
                    "packages need root, and `sudo -n` does not give it; run this, then try again: {command}"
                )
            }
            Self::Failed { command, said, log } => {
                write!(f, "`{command}` failed; all it said is in `{}`\n{said}", log.display())
            }
            Self::StillMissing { missing } => {
                write!(f, "the set-up ran, and this is still missing:")?;
                listed(f, missing)
            }
        }
    }
}

impl std::error::Error for SetupError {}

/// What is about to be done.
#[derive(Debug, Default)]
struct Plan {
    packages: packages::Wanted,
    components: Vec<&'static str>,
    crates: Vec<&'static PinnedCrate>,
}

/// Installs or builds what the steps need and this machine lacks; says nothing where nothing is missing.
///
/// # Errors
/// [`SetupError`] when something cannot be got, [`ProcessError::Interrupted`] when the run was interrupted.
pub(crate) fn run(cx: &Context, steps: &[&str]) -> anyhow::Result<()> {
    let machine = Machine::this(cx);
    let demand = Demand::of(cx, steps);
    if demand.absent(&machine).is_empty() {
        return Ok(());
    }
    let path = cx.target().join("logs/setup.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    let progress = Progress::new(log);
    let _one_at_a_time = lock(&machine, &progress)?;
    // Another set-up may have got it all while this one waited.
    let absent = demand.absent(&machine);
    if absent.is_empty() {
        return Ok(());
    }
    let plan = Plan::of(&absent, demand.major);
    let privilege = if plan.packages.is_empty() {
        Privilege::Root
    } else if machine.has_apt() {
        Privilege::find(&machine, &plan.packages)?
    } else {
        return Err(SetupError::NoPackageManager { missing: absent }.into());
    };
    plan.announce(&machine, privilege, &progress);
    if !plan.packages.is_empty() {
        packages::install(cx, &plan.packages, privilege, &progress)?;
    }
    for component in &plan.components {
        let command = cx.process("rustup").args(["component", "add", component]);
        progress.run(&format!("adding `{component}` to the toolchain"), &command)?;
    }
    crates::install(cx, &machine.tools, &plan.crates, &progress)?;
    finish(cx, steps, &demand, &progress)
}

impl Plan {
    fn of(absent: &[Missing], major: u32) -> Self {
        let mut plan = Self::default();
        for missing in absent {
            match &missing.tool.source {
                Source::Packages(packages) => plan.packages.add(packages),
                Source::Postgres => plan.packages.postgres = Some(major),
                Source::Component(name) => plan.components.push(name),
                Source::Crate(pinned) => plan.crates.push(pinned),
            }
        }
        plan
    }

    /// Tells what will be done before any of it is.
    fn announce(&self, machine: &Machine, privilege: Privilege, progress: &Progress) {
        progress.say("set-up: about to run");
        if !self.packages.is_empty() {
            let sudo = privilege.prefix();
            progress.say(&format!("  {sudo}apt-get update"));
            progress.say(&format!("  {sudo}{}", self.packages.command()));
            if self.packages.postgres.is_some() {
                progress.say("    (no cluster is created and no service is started)");
            }
        }
        for component in &self.components {
            progress.say(&format!("  rustup component add {component}"));
        }
        for pinned in &self.crates {
            let root = machine.tools.join(pinned.folder());
            progress.say(&format!("  cargo {} --root {}", pinned.arguments().join(" "), root.display()));
        }
    }
}

/// What is still not there decides.
fn finish(cx: &Context, steps: &[&str], demand: &Demand, progress: &Progress) -> anyhow::Result<()> {
    let missing = tools::missing(cx, steps);
    if !missing.is_empty() {
        return Err(SetupError::StillMissing { missing }.into());
    }
    for left in demand.absent(&Machine::this(cx)) {
        progress.say(&format!("set-up: no {} here: a container has to do", left.name));
    }
    progress.say("set-up: everything is there");
    Ok(())
}

/// One set-up at a time for a user; the operating system lets go of the lock however the process ends.
fn lock(machine: &Machine, progress: &Progress) -> anyhow::Result<File> {
    let path = machine.tools.join(".lock");
    let failed =
        || format!("cannot write `{}`; set `XDG_CACHE_HOME` to a folder that can be written", path.display());
    fs::create_dir_all(&machine.tools).with_context(failed)?;
    let options = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = options.with_context(failed)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut told, true) {
            progress.say("set-up: another one is at work; waiting for it");
        }
        if interrupt::requested() {
            return Err(ProcessError::Interrupted.into());
        }
        std::thread::sleep(POLL);
    }
}

fn listed(f: &mut std::fmt::Formatter<'_>, missing: &[Missing]) -> std::fmt::Result {
    missing.iter().try_for_each(|it| {
        let instead = it.instead.as_ref().map(|it| format!(" [{it}]")).unwrap_or_default();
        write!(f, "\n  {}: {}{instead}: {}", it.name, it.purpose, it.command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(machine: &Machine) -> Vec<Missing> {
        Demand::everything(15).absent(machine)
    }

    #[test]
    fn what_is_missing_is_planned_once_and_each_thing_by_its_own_means() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of(&absent(&Machine::bare(folder.path())), 15);
        insta::assert_snapshot!(plan.packages.command(), @"apt-get install --yes --no-install-recommends git gcc libc6-dev ca-certificates util-linux podman runc mmdebstrap debian-archive-keyring python3 python3-yaml podman-compose docker-registry skopeo jq prometheus procps netavark aardvark-dns iptables nftables postgresql-15");
        assert_eq!(plan.components, ["rustfmt", "clippy"]);
        assert_eq!(
            plan.crates.iter().map(|it| it.folder()).collect::<Vec<_>>(),
            ["ripsecrets-0.1.11", "cargo-deny-0.20.2", "cargo-nextest-0.9.143", "sqlx-cli-0.9.0"]
        );
    }

    #[test]
    fn a_system_without_apt_is_told_all_that_it_lacks_by_generic_names() {
        let folder = tempfile::tempdir().unwrap();
        let missing = absent(&Machine::bare(folder.path()));
        let error = SetupError::NoPackageManager { missing }.to_string();
        let first: Vec<&str> = error.lines().take(3).collect();
        insta::assert_snapshot!(first.join("\n"), @"
        `--setup` knows Debian's and Ubuntu's packages only; install by hand, then run again:
          git: reads what is committed and what changed: install `git` with this system's package manager
          cc: links what cargo builds: install `cc` with this system's package manager
        ");
        assert!(error.contains("`podman`") && error.contains("PostgreSQL 15"), "{error}");
    }

    #[test]
    fn a_command_that_failed_is_named_with_its_last_words_and_its_log() {
        let error = SetupError::Failed {
            command: "apt-get update".into(),
            said: "E: no route".into(),
            log: "target/xtask/logs/setup.log".into(),
        };
        insta::assert_snapshot!(error, @"
        `apt-get update` failed; all it said is in `target/xtask/logs/setup.log`
        E: no route
        ");
    }

    #[test]
    fn a_second_set_up_waits_until_the_first_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        let told = folder.path().join("setup.log");
        let progress = Progress::new(Log::create(&told).unwrap());
        let first = lock(&machine, &progress).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| lock(&machine, &progress).map(drop));
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while !fs::read_to_string(&told).unwrap().contains("waiting for it") {
                assert!(std::time::Instant::now() < deadline, "the second one does not wait");
                std::thread::yield_now();
            }
            assert!(!second.is_finished());
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}
