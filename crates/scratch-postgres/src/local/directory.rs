//! The private directory of one server: data, socket, log, and the lock that says that its holder lives.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::Lack,
    guardian::Guardian,
    local::{lack, user::User},
};

const PREFIX: &str = "spg-";
/// A directory under this suffix is not finished and has no lock yet.
const UNFINISHED: &str = ".new";
/// How old an unfinished directory is before nobody can be at work on it.
const ABANDONED: Duration = Duration::from_secs(600);
/// What a socket's address holds, without the final zero.
const SOCKET_PATH_MAX: usize = 107;
/// How long a postmaster that lost its holder may take to end.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// A directory that its guardian removes when the holder is done or dead.
#[derive(Debug)]
pub(crate) struct Private {
    path: PathBuf,
    // The guardian removes; the lock is held until it has.
    _guardian: Guardian,
    _lock: File,
}

impl Private {
    /// Makes one in the first place that serves.
    pub(super) fn create(candidates: &[PathBuf], user: Option<User>) -> Result<Self, Lack> {
        Self::create_at(&choose(candidates, user)?, user)
    }

    /// Makes one at a path that was [chosen](choose) before.
    pub(crate) fn create_at(path: &Path, user: Option<User>) -> Result<Self, Lack> {
        let root = path.parent().unwrap_or(path);
        populate(root, path, user)
            .map_err(|e| no_place(&[format!("`{}` cannot be written ({e})", root.display())]))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The data directory, only the server's.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The socket's directory. Others may traverse it, so that it can be mounted into a container.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("s")
    }

    /// What the server printed.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// The path of a directory to be made, in the first place that serves: the socket's path must fit, and the server's
/// user must get there.
pub(crate) fn choose(candidates: &[PathBuf], user: Option<User>) -> Result<PathBuf, Lack> {
    let mut reasons: Vec<String> = Vec::new();
    for root in candidates {
        match suited(root, user) {
            Ok(root) => {
                let unique = uuid::Uuid::new_v4().simple().to_string();
                return Ok(root.join(format!("{PREFIX}{}", &unique[..8])));
            }
            Err(reason) => reasons.push(format!("`{}` {reason}", root.display())),
        }
    }
    Err(no_place(&reasons))
}

/// Whether the holder of a directory lives.
pub(crate) fn is_held(path: &Path) -> bool {
    File::open(path.join("lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

/// Removes what runs left whose holder and guardian were both killed.
pub(super) fn reap(roots: &[PathBuf]) {
    let own = rustix::process::geteuid().as_raw();
    for entry in roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.uid() != own || !metadata.is_dir() {
            continue;
        }
        let age = metadata.modified().ok().and_then(|it| it.elapsed().ok());
        // What cannot be removed is left for the next start.
        if !name.ends_with(UNFINISHED) {
            remove_if_free(&entry.path());
        } else if age.is_some_and(|age| age > ABANDONED) {
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
}

/// Ends the server of a directory that nobody holds any more, and removes the directory while holding its lock.
fn remove_if_free(path: &Path) {
    let Ok(lock) = File::open(path.join("lock")) else { return };
    if lock.try_lock().is_ok() {
        end_postmaster(&path.join("data"));
        fs::remove_dir_all(path).unwrap_or_default();
    }
}

/// Ends the server of a data directory. It is known by its working directory: its number may be another's by now.
pub(super) fn end_postmaster(data: &Path) {
    let number = fs::read_to_string(data.join("postmaster.pid"))
        .ok()
        .and_then(|text| text.lines().next().and_then(|line| line.trim().parse().ok()));
    let Some(pid) = number.and_then(rustix::process::Pid::from_raw) else { return };
    let runs = || fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == data);
    let deadline = Instant::now() + END_DEADLINE;
    let mut signal = rustix::process::Signal::QUIT;
    while runs() {
        // It may have ended in between, which is what is wanted.
        rustix::process::kill_process(pid, signal).unwrap_or_default();
        if Instant::now() > deadline {
            signal = rustix::process::Signal::KILL;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The place itself, or why it does not serve.
pub(super) fn suited(root: &Path, user: Option<User>) -> Result<PathBuf, String> {
    let root = fs::canonicalize(root).map_err(|e| format!("cannot be used ({e})"))?;
    let socket = root.join(format!("{PREFIX}12345678/s/.s.PGSQL.5432"));
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(format!("makes a socket path longer than {SOCKET_PATH_MAX} bytes"));
    }
    if user.is_some() && !traversable(&root) {
        return Err("is closed to the unprivileged user that the server runs as".to_owned());
    }
    rustix::fs::access(&root, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|e| format!("cannot be written ({})", io::Error::from(e)))?;
    Ok(root)
}

fn no_place(reasons: &[String]) -> Lack {
    lack(
        format!("no place for a private directory: {}", reasons.join(", ")),
        "set `XTASK_POSTGRES_DIR` to a short path with room, which every user may traverse",
    )
}

fn traversable(directory: &Path) -> bool {
    directory.ancestors().all(|it| it.metadata().is_ok_and(|it| it.mode() & 0o001 != 0))
}

/// Finished and locked under another name, then renamed: nobody sees one that has no lock.
fn populate(root: &Path, path: &Path, user: Option<User>) -> io::Result<Private> {
    let unfinished =
        tempfile::Builder::new().prefix(PREFIX).suffix(UNFINISHED).rand_bytes(8).tempdir_in(root)?;
    let at = |name: &str| unfinished.path().join(name);
    let lock = File::create(at("lock"))?;
    lock.try_lock()?;
    fs::create_dir(at("data"))?;
    fs::create_dir(at("s"))?;
    fs::set_permissions(at("data"), Permissions::from_mode(0o700))?;
    fs::set_permissions(at("s"), Permissions::from_mode(0o711))?;
    fs::set_permissions(unfinished.path(), Permissions::from_mode(0o711))?;
    if let Some(User { uid, gid }) = user {
        chown(at("data"), Some(uid), Some(gid))?;
        chown(at("s"), Some(uid), Some(gid))?;
    }
    let guardian = Guardian::of(path)?;
    let unfinished = unfinished.keep();
    fs::rename(&unfinished, path)?;
    Ok(Private { path: path.to_owned(), _guardian: guardian, _lock: lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_whose_socket_path_is_too_long_is_told_and_passed_over() {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let deep = scratch.path().join("d".repeat(90));
        fs::create_dir(&deep).expect("a directory");
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).expect("its owner may");
        let refused = Private::create(std::slice::from_ref(&deep), None).expect_err("the path is too long");
        let told = refused.to_string().replace(&deep.display().to_string(), "DEEP");
        insta::assert_snapshot!(told, @"local: no place for a private directory: `DEEP` makes a socket path longer than 107 bytes; set `XTASK_POSTGRES_DIR` to a short path with room, which every user may traverse");
        let private = Private::create(&[deep, "/tmp".into()], None).expect("there is room in /tmp");
        assert!(private.path().starts_with("/tmp"));
        let path = private.path().to_owned();
        drop(private);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_reaped_and_what_lives_is_not() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let living = Private::create(&[root.path().to_owned()], None).expect("a private directory");
        let dead = root.path().join("spg-abcdefgh");
        fs::create_dir(&dead).expect("a directory");
        File::create(dead.join("lock")).expect("a file");
        let fresh = root.path().join("spg-ijklmnop.new");
        fs::create_dir(&fresh).expect("a directory");
        reap(&[root.path().to_owned()]);
        assert!(!dead.exists());
        assert!(living.path().exists());
        assert!(fresh.exists());
    }
}
