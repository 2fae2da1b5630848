//! podman's storage is one for all checkouts of a user: builds share it, and whoever removes images has it to himself.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    interrupt,
    process::{Log, ProcessError},
    tools::machine::tools_folder,
};

const POLL: Duration = Duration::from_millis(100);

/// Held while images are built or removed; the operating system lets go of it, however the process ends.
#[derive(Debug)]
pub(super) struct Held {
    _file: Option<File>,
}

/// Where the storage's lock lies: one for all checkouts of the user.
pub(super) fn folder() -> PathBuf {
    tools_folder().with_file_name("podman")
}

/// For a build: waits for whoever removes images just now.
///
/// # Errors
/// When the wait is interrupted.
pub(super) fn shared(folder: &Path, log: &Log) -> Result<Held, ProcessError> {
    let Some(file) = open(folder) else { return Ok(Held { _file: None }) };
    let mut wait = None;
    while matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        wait = wait.or_else(|| log.wait("podman's storage, which another run clears"));
        if interrupt::requested() {
            return Err(ProcessError::Interrupted);
        }
        thread::sleep(POLL);
    }
    Ok(Held { _file: Some(file) })
}

/// For a removal, if nobody builds now.
pub(super) fn alone(folder: &Path) -> Option<Held> {
    let Some(file) = open(folder) else { return Some(Held { _file: None }) };
    let builds = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    (!builds).then_some(Held { _file: Some(file) })
}

/// Where the file cannot be made, everyone goes without, as podman itself does.
fn open(folder: &Path) -> Option<File> {
    fs::create_dir_all(folder).ok()?;
    File::options().create(true).truncate(false).write(true).open(folder.join("lock")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_removes_images_while_somebody_builds() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&folder.path().join("log")).unwrap();
        let one = shared(folder.path(), &log).unwrap();
        let two = shared(folder.path(), &log).unwrap();
        drop(one);
        assert!(alone(folder.path()).is_none());
        drop(two);
        assert!(alone(folder.path()).is_some());
    }
}
