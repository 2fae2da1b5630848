//! The container engine: one that listens already, else podman's own service on a private socket.

use std::{
    fs::{self, File},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    container::{lack, on_path},
    error::Lack,
    options::Options,
};

/// How long podman may take until it listens.
const LISTEN_DEADLINE: Duration = Duration::from_secs(20);
/// How long it may take to end.
const END_DEADLINE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// `crun` refuses cgroups in hybrid mode, `runc` takes them.
const RUNC_CONFIGURATION: &str = "[engine]\nruntime = \"runc\"\n";

/// Podman's service, which ends with its holder.
#[derive(Debug)]
pub(super) struct Engine {
    process: Child,
}

/// Which runtime podman is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runtime {
    /// What the host's configuration says.
    Configured,
    /// `runc`, by a configuration of our own.
    Runc,
}

/// The engine that listens already: the one that was named, the host's, the user's.
pub(super) fn listening(options: &Options) -> Option<String> {
    let user = options.runtime_dir.iter().map(|it| it.join("podman/podman.sock"));
    let own = ["/run/podman/podman.sock".into()].into_iter().chain(user);
    let candidates = options.docker_host.clone().into_iter().chain(own.map(|it: PathBuf| address(&it)));
    candidates.into_iter().find(|host| answers(host))
}

/// The address of a service of our own, in a private directory.
pub(super) fn address_in(directory: &Path) -> String {
    address(&socket_in(directory))
}

impl Engine {
    /// Starts podman's service in a private directory and waits until it listens.
    pub(super) fn start(options: &Options, directory: &Path, runtime: Runtime) -> Result<Self, Lack> {
        let setup = "run `apt-get install podman`, or `cargo xtask ci --setup`";
        let podman = on_path(&options.search_path, "podman")
            .ok_or_else(|| lack("no container engine listens, and `podman` is not on PATH", setup))?;
        let setpriv = on_path(&options.search_path, "setpriv")
            .ok_or_else(|| lack("`setpriv` is not on PATH", "run `apt-get install util-linux`"))?;
        let io = |e: std::io::Error| lack(format!("cannot start podman's service: {e}"), setup);
        let log = File::create(directory.join("log")).map_err(io)?;
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "TERM", "--"]).arg(podman).args(["system", "service", "--time=0"]);
        if runtime == Runtime::Runc {
            let configuration = directory.join("containers.conf");
            fs::write(&configuration, RUNC_CONFIGURATION).map_err(io)?;
            command.env("CONTAINERS_CONF", configuration);
        }
        let process = command
            .arg(address_in(directory))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(io)?)
            .stderr(log)
            .spawn()
            .map_err(io)?;
        let mut engine = Self { process };
        engine.wait_until_listening(directory)?;
        Ok(engine)
    }

    fn wait_until_listening(&mut self, directory: &Path) -> Result<(), Lack> {
        let deadline = Instant::now() + LISTEN_DEADLINE;
        while UnixStream::connect(socket_in(directory)).is_err() {
            let ended = !matches!(self.process.try_wait(), Ok(None));
            if ended || Instant::now() > deadline {
                let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
                let last = log.trim().lines().last().unwrap_or("it says nothing").to_owned();
                return Err(lack(format!("podman's service does not listen: {last}"), "run `podman info`"));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // Not yet waited for, so the number is still its own.
            kill_process(pid, Signal::TERM).unwrap_or_default();
        }
        let deadline = Instant::now() + END_DEADLINE;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                self.process.kill().unwrap_or_default();
            }
            thread::sleep(POLL);
        }
    }
}

fn address(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("podman.sock")
}

/// An engine elsewhere is believed: only its use shows whether it answers.
fn answers(host: &str) -> bool {
    host.strip_prefix("unix://").is_none_or(|socket| UnixStream::connect(socket).is_ok())
}
