//! A root file system as a newcomer has it: git, a C linker, the toolchain, and nothing else.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const ENTER: &str = include_str!("enter.sh");
/// What rustup itself asks for, and git.
const PACKAGES: &str = "git,gcc,libc6-dev";

/// Begins the name of every root, before the process that it is for.
const PREFIX: &str = "bare-root-";

/// A root of a test's own.
pub(crate) struct Bare {
    folder: TempDir,
    toolchain: String,
}

/// What a command in there said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Whether a command in there reaches the network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Shared,
    None,
}

impl Bare {
    /// A root with this workspace in it, at the place where it lies on this machine.
    pub(crate) fn with_workspace() -> Self {
        // Beside the build, as other places may be too small, or in memory.
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
        sweep(beside);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(beside).unwrap();
        let bare = Self { folder, toolchain: toolchain() };
        let archive = archive();
        let copied = as_root("tar").arg("-C").arg(bare.root()).arg("-xf").arg(&archive).status().unwrap();
        assert!(copied.success(), "cannot unpack `{}`", archive.display());
        for file in workspace_files() {
            let place = bare.at(workspace().join(&file));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(workspace().join(&file), place).unwrap();
        }
        // The workspace may lie in somebody's home, and others go there too.
        for folder in workspace().ancestors().filter(|it| it.parent().is_some()) {
            fs::set_permissions(bare.at(folder), Permissions::from_mode(0o755)).unwrap();
        }
        let program = bare.root().join("usr/local/bin/xtask");
        fs::copy(env!("CARGO_BIN_EXE_xtask"), program).unwrap();
        bare
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Where an absolute path of the root lies on this machine.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path.as_ref().strip_prefix("/").unwrap())
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// Runs a line of shell as root in the workspace.
    pub(crate) fn run(&self, line: &str, network: Network) -> Said {
        self.command("0", line, network).output().unwrap().into()
    }

    /// The same as a user who is not root and has no sudo.
    pub(crate) fn run_as_user(&self, line: &str) -> Said {
        self.command("1000", line, Network::Shared).output().unwrap().into()
    }

    /// Runs a line of shell and lets it talk while it does; returns its exit code.
    pub(crate) fn follow(&self, line: &str) -> Option<i32> {
        self.command("0", line, Network::Shared).status().unwrap().code()
    }

    /// Makes the workspace a clone: a repository with one commit.
    pub(crate) fn commit(&self) {
        let git = "git -c user.name=n -c user.email=n@example.org";
        let said = self.run(&format!("git init -q && git add . && {git} commit -qm first"), Network::None);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }

    /// Copies what cargo has downloaded already, which a newcomer would download.
    pub(crate) fn borrow_downloads(&self) {
        let home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|it| PathBuf::from(it).join(".cargo")))
            .unwrap();
        let place = self.at("/root/.cargo/registry");
        fs::create_dir_all(&place).unwrap();
        for folder in
            ["cache", "index"].map(|it| home.join("registry").join(it)).iter().filter(|it| it.is_dir())
        {
            let copied = Command::new("cp").arg("-a").arg(folder).arg(&place).status().unwrap();
            assert!(copied.success(), "cannot copy `{}`", folder.display());
        }
    }

    fn command(&self, user: &str, line: &str, network: Network) -> Command {
        let mut command = as_root("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child"]);
        if network == Network::None {
            command.arg("--net");
        }
        command.args(["sh", "-c", ENTER, "enter"]).arg(self.root()).args([&self.toolchain, user]);
        command.args(["sh", "-c"]).arg(format!("cd '{}' && {line}", workspace().display()));
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        remove(self.root());
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The workspace that holds these tests.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A command that may give files away: as root, or where others are root, in a namespace of podman's.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("podman");
    command.args(["unshare", program]);
    command
}

/// A root's files belong to more than one user.
fn remove(root: &Path) {
    let removed = as_root("rm").arg("-rf").arg(root).status().unwrap();
    assert!(removed.success(), "cannot remove `{}`", root.display());
}

/// Removes the roots of tests that were killed.
fn sweep(folder: &Path) {
    for path in fs::read_dir(folder).unwrap().flatten().map(|it| it.path()) {
        let name = path.file_name().unwrap().to_string_lossy();
        let owner = name.strip_prefix(PREFIX).and_then(|it| it.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&path);
        }
    }
}

/// What git would have of the working tree.
fn workspace_files() -> Vec<PathBuf> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(workspace()).args(arguments).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.split_terminator('\0').map(PathBuf::from).filter(|it| workspace().join(it).is_file()).collect()
}

fn toolchain() -> String {
    let output =
        Command::new("rustc").current_dir(workspace()).args(["--print", "sysroot"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The root as an archive, made once for this build folder: the release of the host's own distribution, whose C
/// library is the one that the binary under test was linked with.
fn archive() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let release = release.lines().find_map(|it| it.strip_prefix("VERSION_CODENAME=")).unwrap();
    let archive = folder.join(format!("bare-{release}.tar"));
    let lock = File::create(folder.join("bare.lock")).unwrap();
    lock.lock().unwrap();
    if !archive.exists() {
        let part = folder.join("bare.part.tar");
        let made = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--include", PACKAGES, release])
            .arg(&part)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::rename(part, &archive).unwrap();
    }
    archive
}
