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
pub(super) struct Private {
    path: PathBuf,
    // The guardian removes; the lock is held until it has.
    _guardian: Guardian,
    _lock: File,
}

impl Private {
    /// Makes one in the first place that serves: the socket's path must fit, and the server's user must get there.
    pub(super) fn create(candidates: &[PathBuf], user: Option<User>) -> Result<Self, Lack> {
        let mut reasons: Vec<String> = Vec::new();
        for root in candidates {
            match create_in(root, user) {
                Ok(private) => return Ok(private),
                Err(reason) => reasons.push(format!("`{}` {reason}", root.display())),
            }
        }
        Err(lack(
            format!("no place for a private directory: {}", reasons.join(", ")),
            "set `XTASK_POSTGRES_DIR` to a short path with room, which every user may traverse",
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The data directory, only the server's.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The socket's directory. Others may traverse it, so that it can be mounted into a container.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("s")
    }

    /// What the server printed.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// Removes what runs left whose holder and guardian were both killed.
pub(super) fn reap(roots: &[PathBuf]) {
    let own = rustix::process::geteuid().as_raw();
    for entry in roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.uid() == own && metadata.is_dir() {
            let old =
                metadata.modified().ok().and_then(|it| it.elapsed().ok()).is_some_and(|age| age > ABANDONED);
            reap_one(&entry.path(), name.ends_with(UNFINISHED) && old);
        }
    }
}

fn reap_one(path: &Path, abandoned: bool) {
    let lock = File::open(path.join("lock"));
    let free = lock.as_ref().is_ok_and(|lock| lock.try_lock().is_ok());
    if abandoned || (free && !path.to_string_lossy().ends_with(UNFINISHED)) {
        end_postmaster(&path.join("data"));
        // What is left is left for the next start.
        fs::remove_dir_all(path).unwrap_or_default();
    }
}

/// Ends the server of a data directory. It is known by its working directory: its number may be another's by now.
fn end_postmaster(data: &Path) {
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

fn create_in(root: &Path, user: Option<User>) -> Result<Private, String> {
    let root = fs::canonicalize(root).map_err(|e| format!("cannot be used ({e})"))?;
    let socket = root.join(format!("{PREFIX}12345678/s/.s.PGSQL.5432"));
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(format!("makes a socket path longer than {SOCKET_PATH_MAX} bytes"));
    }
    if user.is_some() && !traversable(&root) {
        return Err("is closed to the unprivileged user that the server runs as".to_owned());
    }
    populate(&root, user).map_err(|e| format!("cannot be written ({e})"))
}

fn traversable(directory: &Path) -> bool {
    directory.ancestors().all(|it| it.metadata().is_ok_and(|it| it.mode() & 0o001 != 0))
}

/// Finished and locked under another name, then renamed: nobody sees one that has no lock.
fn populate(root: &Path, user: Option<User>) -> io::Result<Private> {
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
    let name = unfinished.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = root.join(name.trim_end_matches(UNFINISHED));
    let guardian = Guardian::of(&path)?;
    let unfinished = unfinished.keep();
    fs::rename(&unfinished, &path)?;
    Ok(Private { path, _guardian: guardian, _lock: lock })
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
