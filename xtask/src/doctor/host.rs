//! What is peculiar to this host, and how the gate copes; none of it is an error.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use crate::{context::Context, process::ProcessError, tools::machine::Machine};

/// Where public images come from.
const PUBLIC_REGISTRY: &str = "registry-1.docker.io:443";
/// How long its answer is waited for.
const REGISTRY_ANSWER: Duration = Duration::from_secs(2);
/// How long `df` may take, which hangs on a network file system that is gone.
const DISK_ANSWER: Duration = Duration::from_secs(2);
/// Space that a first run needs for the build, the tools and the images, in megabytes.
const NEEDED_MB: u64 = 12_000;
/// What podman asks for containers by default: open files and processes.
const PODMAN_LIMIT: u64 = 1_048_576;
/// Variables that name an authority of one's own.
const AUTHORITIES: &[&str] = &["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];

/// A peculiarity, and what follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) what: String,
    pub(super) so: String,
}

impl Note {
    fn new(what: impl Into<String>, so: impl Into<String>) -> Self {
        Self { what: what.into(), so: so.into() }
    }
}

/// Looks at everything; none of it waits longer than a few seconds.
///
/// # Errors
/// When the run is interrupted.
pub(super) fn notes(cx: &Context, machine: &Machine) -> Result<Vec<Note>, ProcessError> {
    let registry = thread::spawn(|| reachable(PUBLIC_REGISTRY));
    let looked = [
        cgroups(machine),
        limits(),
        systemd(machine),
        authority(),
        rootless(machine),
        container_network(machine),
    ];
    let mut notes: Vec<Note> = looked.into_iter().flatten().collect();
    notes.extend(other_toolchain(cx)?);
    for folder in [cx.metadata.target_directory.as_std_path(), &machine.tools, &storage(machine)] {
        notes.extend(space(cx, folder)?);
    }
    if !registry.join().unwrap_or(false) {
        notes.push(Note::new(
            format!("`{PUBLIC_REGISTRY}` does not answer"),
            "base images that are not here already are made from the distribution's packages (`cargo xtask images bases`)",
        ));
    }
    notes.dedup();
    Ok(notes)
}

fn cgroups(machine: &Machine) -> Option<Note> {
    machine.hybrid_cgroups().then(|| {
        Note::new(
            "cgroups v1 and v2 are mounted side by side, which crun refuses",
            "containers are started with runc",
        )
    })
}

fn limits() -> Option<Note> {
    let hard = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let (files, processes) = (hard(Resource::Nofile), hard(Resource::Nproc));
    (files < PODMAN_LIMIT || processes < PODMAN_LIMIT).then(|| {
        let shown = |limit: u64| if limit == u64::MAX { "unlimited".into() } else { limit.to_string() };
        Note::new(
            format!(
                "hard limits are below podman's defaults ({} open files, {} processes)",
                shown(files),
                shown(processes)
            ),
            "containers get limits that fit, from a file below target/xtask",
        )
    })
}

fn systemd(machine: &Machine) -> Option<Note> {
    (!machine.at("/run/systemd/system").is_dir()).then(|| {
        Note::new(
            "systemd does not run here, so podman runs no health checks by itself",
            "the gate runs them",
        )
    })
}

fn authority() -> Option<Note> {
    let set = AUTHORITIES.iter().find_map(|name| std::env::var(name).ok().map(|value| (name, value)))?;
    Some(Note::new(
        format!("`{}` names the certificate authorities: {}", set.0, set.1),
        "builds of images are given that file for as long as they run; it does not get into an image",
    ))
}

/// Without root, podman maps users from ranges that the system has given to this one.
fn rootless(machine: &Machine) -> Option<Note> {
    if machine.root_user {
        return None;
    }
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok()?;
    let given = |path| {
        let text = std::fs::read_to_string(machine.at(path)).unwrap_or_default();
        text.lines().any(|line| line.split(':').next() == Some(user.as_str()))
    };
    (!given("/etc/subuid") || !given("/etc/subgid")).then(|| {
        Note::new(
            format!("`{user}` has no range of user ids of its own, which podman needs without root"),
            format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"),
        )
    })
}

/// podman's network programs call one of these, and podman's packages do not all ask for them.
fn container_network(machine: &Machine) -> Option<Note> {
    let programs = ["iptables", "nft"];
    let lacking =
        machine.program("podman").is_some() && programs.iter().all(|it| machine.program(it).is_none());
    lacking.then(|| {
        Note::new(
            "containers cannot have a network of their own: neither `iptables` nor `nft` is here",
            "the gate's containers do without; others start with `--network=host`, or install `iptables`",
        )
    })
}

/// A toolchain that rustup does not manage is taken as it is.
fn other_toolchain(cx: &Context) -> Result<Option<Note>, ProcessError> {
    let asked = std::fs::read_to_string(cx.root.join("rust-toolchain.toml")).unwrap_or_default();
    let Some(asked) = asked.lines().find_map(|line| line.trim().strip_prefix("channel")) else {
        return Ok(None);
    };
    let asked = asked.trim_matches([' ', '=', '"']).to_owned();
    let said = match cx.process("rustc").arg("--version").run() {
        Ok(finished) => finished.stdout,
        Err(ProcessError::Interrupted) => return Err(ProcessError::Interrupted),
        Err(_) => return Ok(None),
    };
    let found = said.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok((asked.starts_with(|it: char| it.is_ascii_digit()) && !found.is_empty() && found != asked).then(
        || {
            Note::new(
                format!("rustc is {found}, and rust-toolchain.toml names {asked}"),
                "verdicts may differ from the server's; rustup would take the named one",
            )
        },
    ))
}

/// Where podman keeps images.
fn storage(machine: &Machine) -> std::path::PathBuf {
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from).unwrap_or_default();
    if machine.root_user { machine.at("/var/lib/containers") } else { home.join(".local/share/containers") }
}

fn space(cx: &Context, folder: &Path) -> Result<Option<Note>, ProcessError> {
    let Some(folder) = folder.ancestors().find(|it| it.is_dir()) else { return Ok(None) };
    let finished = match cx.process("df").arg("-Pk").arg(folder).timeout(DISK_ANSWER).run() {
        Ok(finished) => finished,
        Err(ProcessError::Interrupted) => return Err(ProcessError::Interrupted),
        Err(_) => return Ok(None),
    };
    Ok(low(&finished.stdout))
}

/// `df -Pk` says in its second line: device, size, used and free kilobytes, share, mount point.
fn low(said: &str) -> Option<Note> {
    let words: Vec<&str> = said.lines().nth(1)?.split_whitespace().collect();
    let free = words.get(3)?.parse::<u64>().ok()? * 1024 / 1_000_000;
    (free < NEEDED_MB).then(|| {
        Note::new(
            format!("{free} MB are free on `{}`", words.get(5).unwrap_or(&"/")),
            format!("a first run takes up to {NEEDED_MB} MB for builds, tools and images"),
        )
    })
}

/// Whether a server accepts a connection within the bound; names that take longer to resolve count as unreachable.
fn reachable(server: &'static str) -> bool {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut addresses = server.to_socket_addrs().into_iter().flatten();
        let connected = addresses.any(|it| TcpStream::connect_timeout(&it, REGISTRY_ANSWER).is_ok());
        // Nobody listens any more once the bound has passed.
        tell.send(connected).unwrap_or_default();
    });
    told.recv_timeout(REGISTRY_ANSWER).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_told_with_where() {
        let said = |free: u64| {
            format!(
                "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9 9 {free} 9% /home\n"
            )
        };
        insta::assert_snapshot!(low(&said(1_000_000)).unwrap().what, @"1024 MB are free on `/home`");
        assert_eq!(low(&said(90_000_000)), None);
        assert_eq!(low("nonsense"), None);
    }

    #[test]
    fn hybrid_cgroups_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::bare(folder.path());
        assert_eq!(cgroups(&machine), None);
        std::fs::create_dir_all(machine.at("/sys/fs/cgroup/unified")).unwrap();
        assert!(cgroups(&machine).is_some());
        std::fs::write(machine.at("/sys/fs/cgroup/cgroup.controllers"), "cpu").unwrap();
        assert_eq!(cgroups(&machine), None, "cgroup v2 alone");
    }

    #[test]
    fn a_server_that_nobody_runs_is_not_waited_for() {
        assert!(!reachable("127.0.0.1:1"));
    }
}
