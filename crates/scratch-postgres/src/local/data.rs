//! The data directory: initialised once per exact server version and kept in the user's cache, then only copied.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::Lack,
    local::{
        binaries::Binaries,
        directory::Private,
        lack,
        user::{Launcher, User},
    },
    options::Tls,
};

/// Changes when what is stored changes: older copies are not used any more.
const LAYOUT: u32 = 1;
const STAGING: &str = ".staging-";
const ABANDONED: Duration = Duration::from_secs(600);

/// Nothing survives a crash of the host, and nothing needs to. No TCP port, no background work that blurs measurements,
/// one time zone and one language everywhere.
const CONFIGURATION: &str = "\
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 300
max_locks_per_transaction = 256
shared_buffers = 128MB
fsync = off
synchronous_commit = off
full_page_writes = off
dynamic_shared_memory_type = mmap
wal_level = minimal
max_wal_senders = 0
min_wal_size = 4MB
max_wal_size = 512MB
checkpoint_timeout = 1h
autovacuum = off
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, mdy'
lc_messages = 'C.UTF-8'
lc_monetary = 'C.UTF-8'
lc_numeric = 'C.UTF-8'
lc_time = 'C.UTF-8'
default_text_search_config = 'pg_catalog.english'
";

/// Where a server's data came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataSource {
    /// A copy of what an earlier run initialised.
    Cache,
    /// Initialised now.
    Fresh,
}

/// What a complete copy consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Extent {
    files: u64,
    bytes: u64,
}

/// Fills the private data directory.
pub(super) fn provide(
    binaries: &Binaries,
    launcher: &Launcher,
    cache: Option<&Path>,
    private: &Private,
) -> Result<DataSource, Lack> {
    let kept = cache.map(|cache| kept_in(cache, binaries));
    if let Some(kept) = kept.as_deref().filter(|kept| kept.exists()) {
        match restore(kept, &private.data(), launcher.user()) {
            Ok(true) => return Ok(DataSource::Cache),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(no_room(private, &error)),
            Ok(false) | Err(_) => {
                forget(cache.unwrap_or(kept), binaries);
                clear(private)?;
            }
        }
    }
    initialise(binaries, launcher, private)?;
    if let Some(kept) = kept {
        // Without a cache the next start is slower, nothing else.
        keep(&private.data(), &kept).unwrap_or_default();
    }
    Ok(DataSource::Fresh)
}

/// Has the server listen on loopback with TLS, and let nobody in there without.
pub(super) fn encrypt(private: &Private, user: Option<User>, tls: &Tls) -> Result<(), Lack> {
    let rules = "local all all trust\nhostssl all all samehost trust\n";
    let files = [("server.crt", tls.certificate.as_str()), ("server.key", &tls.key), ("pg_hba.conf", rules)];
    let written = files.into_iter().try_for_each(|(name, text)| {
        let path = private.data().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        user.map_or(Ok(()), |User { uid, gid }| chown(&path, Some(uid), Some(gid)))
    });
    let settings = format!("listen_addresses = 'localhost'\nport = {}\nssl = on\n", tls.port);
    let configuration = private.data().join("postgresql.conf");
    let appended = written
        .and_then(|()| fs::OpenOptions::new().append(true).open(configuration))
        .and_then(|mut file| file.write_all(settings.as_bytes()));
    appended.map_err(|e| no_room(private, &e))
}

/// Empties the private data directory.
pub(super) fn clear(private: &Private) -> Result<(), Lack> {
    let emptied = fs::read_dir(private.data()).and_then(|entries| {
        entries.into_iter().try_for_each(|entry| {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            }
        })
    });
    emptied
        .map_err(|e| lack(format!("cannot empty `{}`: {e}", private.data().display()), "remove it by hand"))
}

/// Takes a broken original away, out of the way of those who are copying.
pub(super) fn forget(cache: &Path, binaries: &Binaries) {
    let aside = cache.join(format!("{STAGING}{}", uuid::Uuid::new_v4()));
    if fs::rename(kept_in(cache, binaries), &aside).is_ok() {
        fs::remove_dir_all(aside).unwrap_or_default();
    }
}

/// Removes what killed runs left in the cache.
pub(super) fn reap(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
        if entry.file_name().to_string_lossy().starts_with(STAGING) && age.is_some_and(|it| it > ABANDONED) {
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
}

fn kept_in(cache: &Path, binaries: &Binaries) -> PathBuf {
    cache.join(format!("{}-{LAYOUT}", binaries.slug()))
}

/// Copies the original; false when it is not all there.
fn restore(kept: &Path, data: &Path, user: Option<User>) -> io::Result<bool> {
    let extent: Extent = serde_json::from_str(&fs::read_to_string(kept.join("extent.json"))?)?;
    Ok(copy(&kept.join("data"), data, user)? == extent)
}

fn initialise(binaries: &Binaries, launcher: &Launcher, private: &Private) -> Result<(), Lack> {
    let output = launcher
        // It would finish what it is at; the directory is removed anyway.
        .command(&binaries.initdb(), "KILL")
        .arg("--pgdata")
        .arg(private.data())
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
        .args(["--wal-segsize=1", "--no-sync", "--no-instructions"])
        .output()
        .map_err(|e| lack(format!("cannot run `initdb`: {e}"), "run `apt-get install util-linux`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if said.contains("No space left on device") {
            return Err(no_room(private, &io::ErrorKind::StorageFull.into()));
        }
        return Err(lack(
            format!("`initdb` failed in `{}`: {said}", private.path().display()),
            "mend what it names, or set `XTASK_POSTGRES=container`",
        ));
    }
    fs::write(private.data().join("postgresql.conf"), CONFIGURATION).map_err(|e| no_room(private, &e))
}

/// Puts a copy beside and renames it: whoever looks finds all of it or nothing. Of two at once, the first wins.
fn keep(data: &Path, kept: &Path) -> io::Result<()> {
    let cache = kept.parent().unwrap_or(kept);
    fs::create_dir_all(cache)?;
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(cache)?;
    fs::create_dir(staging.path().join("data"))?;
    let extent = copy(data, &staging.path().join("data"), None)?;
    fs::write(staging.path().join("extent.json"), serde_json::to_string(&extent)?)?;
    fs::rename(staging.path(), kept)
}

/// Copies the contents of a directory, and gives them to `user`.
fn copy(from: &Path, to: &Path, user: Option<User>) -> io::Result<Extent> {
    let give = |path: &Path| match user {
        Some(User { uid, gid }) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    };
    let mut extent = Extent::default();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            fs::set_permissions(&target, Permissions::from_mode(0o700))?;
            let inner = copy(&entry.path(), &target, user)?;
            extent = Extent { files: extent.files + inner.files, bytes: extent.bytes + inner.bytes };
        } else {
            let bytes = fs::copy(entry.path(), &target)?;
            extent = Extent { files: extent.files + 1, bytes: extent.bytes + bytes };
        }
        give(&target)?;
    }
    Ok(extent)
}

fn no_room(private: &Private, error: &io::Error) -> Lack {
    lack(
        format!("cannot fill `{}`: {error}", private.path().display()),
        "free 100 MB there, or set `XTASK_POSTGRES_DIR` to a place with room",
    )
}
