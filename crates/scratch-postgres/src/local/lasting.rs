//! A server that stays: its data lies in a folder of its own, and it goes on when whoever started it is gone.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    error::Lack,
    local::{
        binaries::Binaries,
        directory::{end_postmaster, suited},
        lack, postmaster,
        user::{Launcher, User},
    },
    options::Options,
};

const READY_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
/// What is written survives a crash, but for the last moment; nobody reaches it but over the socket.
const CONFIGURATION: &str = "\
listen_addresses = ''
unix_socket_permissions = 0777
synchronous_commit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C.UTF-8'
";

/// A lasting server that runs.
#[derive(Debug)]
pub struct Lasting {
    address: Address,
    /// Where its data lies.
    pub folder: PathBuf,
    /// Whether it was started now.
    pub started: bool,
}

impl Lasting {
    /// The superuser's URL, database `postgres`.
    pub fn admin_url(&self) -> &str {
        self.address.admin()
    }

    /// The server of the first of these folders that has one; where none has, nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn existing(options: &Options, folders: &[PathBuf]) -> Result<Option<Self>, Lack> {
        let Some(folder) = folders.iter().find(|it| has_data(it)) else { return Ok(None) };
        let binaries = Binaries::find(options)?;
        let launcher = Launcher::find(&options.search_path)?;
        start(&binaries, &launcher, folder).map(Some)
    }

    /// The same; where none has one, it is made in the first that serves.
    ///
    /// # Errors
    /// When it cannot be made or started.
    pub fn start(options: &Options, folders: &[PathBuf]) -> Result<Self, Lack> {
        if let Some(there) = Self::existing(options, folders)? {
            return Ok(there);
        }
        let binaries = Binaries::find(options)?;
        let launcher = Launcher::find(&options.search_path)?;
        let mut reasons = Vec::new();
        for folder in folders {
            match make(&binaries, &launcher, folder) {
                Ok(()) => return start(&binaries, &launcher, folder),
                Err(reason) => reasons.push(format!("`{}`: {reason}", folder.display())),
            }
        }
        Err(lack(format!("no place for a database: {}", reasons.join("; ")), "mend what is named"))
    }

    /// Ends the servers of these folders and removes their data; tells which had some.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn remove(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Lack> {
        let mut removed = Vec::new();
        for folder in folders.iter().filter(|it| it.join("data").exists()) {
            end_postmaster(&folder.join("data"));
            fs::remove_dir_all(folder).map_err(|e| {
                lack(format!("cannot remove `{}`: {e}", folder.display()), "remove it by hand")
            })?;
            removed.push(folder.clone());
        }
        Ok(removed)
    }
}

/// Whether a folder of this user's holds a whole data directory.
fn has_data(folder: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(folder).is_ok_and(|it| it.uid() == own) && folder.join("data/made").exists()
}

fn make(binaries: &Binaries, launcher: &Launcher, folder: &Path) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(text)?;
    suited(parent, launcher.user())?;
    // What an interrupted attempt left.
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(text)?;
    }
    fs::create_dir(folder).map_err(text)?;
    fs::set_permissions(folder, Permissions::from_mode(0o711)).map_err(text)?;
    for (name, mode) in [("data", 0o700), ("s", 0o711)] {
        let path = folder.join(name);
        fs::create_dir(&path).map_err(text)?;
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(text)?;
        if let Some(User { uid, gid }) = launcher.user() {
            chown(&path, Some(uid), Some(gid)).map_err(text)?;
        }
    }
    let data = folder.join("data");
    let output = launcher
        .command(&binaries.initdb(), "KILL")
        .arg("--pgdata")
        .arg(&data)
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
        ])
        .output()
        .map_err(text)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let configuration = data.join("postgresql.conf");
    fs::write(configuration, CONFIGURATION).map_err(text)?;
    // Last: a data directory without it was not finished.
    fs::write(data.join("made"), "").map_err(text)
}

fn start(binaries: &Binaries, launcher: &Launcher, folder: &Path) -> Result<Lasting, Lack> {
    let folder = fs::canonicalize(folder)
        .map_err(|e| lack(format!("cannot use `{}`: {e}", folder.display()), "remove it by hand"))?;
    let (data, socket) = (folder.join("data"), folder.join("s"));
    let address = Address::of_socket(&socket, None);
    if postmaster::runs(&data) && postmaster::says_ready(&data) {
        return Ok(Lasting { address, folder, started: false });
    }
    let failed = |e: std::io::Error| lack(format!("cannot start the server: {e}"), "try again");
    let log = File::create(folder.join("log")).map_err(failed)?;
    let mut process = launcher
        .lasting(&binaries.postgres())
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&socket)
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + READY_DEADLINE;
    while !(postmaster::runs(&data) && postmaster::says_ready(&data)) {
        if let Ok(Some(status)) = process.try_wait() {
            return Err(postmaster::died(&status.to_string(), &folder.join("log")));
        }
        if Instant::now() > deadline {
            return Err(postmaster::died("still not ready after a minute", &folder.join("log")));
        }
        thread::sleep(POLL);
    }
    Ok(Lasting { address, folder, started: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_server_is_made_once_starts_again_and_is_removed_whole() {
        let options = Options::from_env().expect("the tests' environment is in order");
        let place = tempfile::Builder::new().prefix("lasting").tempdir_in("/tmp").expect("a folder");
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("its owner may");
        let folders = [place.path().join("db")];
        assert!(Lasting::existing(&options, &folders).expect("nothing is wrong").is_none());
        let first = Lasting::start(&options, &folders).expect("it is made");
        assert!(first.started);
        let second = Lasting::start(&options, &folders).expect("it runs");
        assert!(!second.started && second.admin_url() == first.admin_url());
        // As a reboot leaves it.
        end_postmaster(&first.folder.join("data"));
        let third = Lasting::existing(&options, &folders).expect("it starts").expect("it is there");
        assert!(third.started);
        let data = third.folder.join("data");
        assert_eq!(Lasting::remove(&folders).expect("it is removed"), folders);
        assert!(!postmaster::runs(&data) && !folders[0].exists());
    }
}
