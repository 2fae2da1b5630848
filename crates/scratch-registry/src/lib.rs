//! A real registry on loopback for tests: the distribution's `docker-registry`, with a folder of its own, which ends with its value.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry that runs until this is dropped.
#[derive(Debug)]
pub struct ScratchRegistry {
    child: Child,
    address: String,
    folder: TempDir,
}

/// Who may use it.
#[derive(Clone, Copy, Debug)]
pub enum Users<'a> {
    /// Everybody.
    Anybody,
    /// Who shows this name and this password.
    One(&'a str, &'a str),
}

impl ScratchRegistry {
    /// A registry for everybody.
    ///
    /// # Errors
    /// As [`ScratchRegistry::with`].
    pub fn start() -> io::Result<Self> {
        Self::with(Users::Anybody, None)
    }

    /// A registry for these users, which keeps its data in `storage` where a folder is given.
    ///
    /// # Errors
    /// `docker-registry` is not installed (`cargo xtask test --setup` does it), or does not come to listen.
    pub fn with(users: Users<'_>, storage: Option<&Path>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let data = storage.map_or_else(|| folder.path().join("data"), Path::to_owned);
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, \
             delete: {{ enabled: true }} }}\nhttp: {{ addr: \"{address}\" }}\n",
            data.display()
        );
        if let Users::One(user, password) = users {
            let file = folder.path().join("htpasswd");
            fs::write(&file, format!("{user}:{}\n", bcrypt(password)?))?;
            config.push_str(&format!("auth: {{ htpasswd: {{ realm: it, path: {} }} }}\n", file.display()));
        }
        let file = folder.path().join("config.yml");
        fs::write(&file, config)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut registry = Self { child: command.spawn()?, address, folder };
        registry.wait_until_it_listens()?;
        Ok(registry)
    }

    /// Host and port, as they stand before an image's path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it keeps the bytes of a blob, given as 64 hex digits: to spoil them.
    pub fn stored(&self, hex: &str) -> PathBuf {
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    fn wait_until_it_listens(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&self.address).is_err() {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(io::Error::other(format!("docker-registry does not listen on {}", self.address)));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for ScratchRegistry {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a password becomes in a registry's list of users: the system's own `crypt`, as Perl hands it on.
fn bcrypt(password: &str) -> io::Result<String> {
    let program = r#"print crypt($ENV{IT}, "\$2y\$05\$abcdefghijklmnopqrstuu")"#;
    let output = Command::new("perl").args(["-e", program]).env("IT", password).output()?;
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
