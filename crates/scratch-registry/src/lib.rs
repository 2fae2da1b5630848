//! A real registry on loopback for tests: the distribution's `docker-registry`, with a folder of its own, which ends with its value.
//!
//! Beside it stands what tests do to registries: `ask` looks into one by plain HTTP, [`Faulty`] is a proxy before it that
//! does what registries do on bad days, [`Tunnels`] the proxy of a closed network, [`SmallDisk`] a disk that fills up.

mod ask;
mod authority;
mod disk;
mod faulty;
mod tunnels;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::{
    ask::Shelf,
    disk::SmallDisk,
    faulty::{Fault, Faulty},
    tunnels::Tunnels,
};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// What it writes into its log once it listens; the address follows.
const LISTENS: &str = "listening on ";

/// A registry that runs until this is dropped.
#[derive(Debug)]
pub struct ScratchRegistry {
    child: Child,
    address: String,
    data: PathBuf,
    folder: TempDir,
}

/// What a registry is like; by default everybody may use it, without TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    pub users: Users<'a>,
    /// Where it keeps its data; else in its own folder.
    pub storage: Option<&'a Path>,
    /// The address of this machine that it listens at; loopback without one.
    pub host: Option<IpAddr>,
    /// It speaks TLS, as the host of this name: [`ScratchRegistry::authority`] vouches for it.
    pub tls_name: Option<&'a str>,
}

/// Who may use it.
#[derive(Clone, Copy, Debug, Default)]
pub enum Users<'a> {
    /// Everybody.
    #[default]
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
        Self::with(Settings::default())
    }

    /// A registry for one user, who shows this password.
    ///
    /// # Errors
    /// As [`ScratchRegistry::with`].
    pub fn for_one(user: &str, password: &str) -> io::Result<Self> {
        Self::with(Settings { users: Users::One(user, password), ..Settings::default() })
    }

    /// A registry as it is described.
    ///
    /// # Errors
    /// `docker-registry` is not installed (`cargo xtask test --setup` does it), or does not come to listen.
    pub fn with(settings: Settings<'_>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = settings.storage.map_or_else(|| folder.path().join("data"), Path::to_owned);
        // It takes a free port by itself, so no other test can take it in between.
        let host = settings.host.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let mut http = format!("addr: \"{}\"", SocketAddr::new(host, 0));
        if let Some(name) = settings.tls_name {
            let (certificate, key) = authority::vouch_for(name, folder.path())?;
            http += &format!(", tls: {{ certificate: {}, key: {} }}", certificate.display(), key.display());
        }
        let mut config = format!(
            "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\nhttp: {{ {http} }}\n",
            data.display()
        );
        if let Users::One(user, password) = settings.users {
            let file = folder.path().join("htpasswd");
            fs::write(&file, format!("{user}:{}\n", bcrypt(password)?))?;
            config.push_str(&format!("auth: {{ htpasswd: {{ realm: it, path: {} }} }}\n", file.display()));
        }
        let (file, log) = (folder.path().join("config.yml"), folder.path().join("log"));
        fs::write(&file, config)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().map_err(|error| {
            io::Error::other(format!("docker-registry: {error}; `cargo xtask test --setup` installs it"))
        })?;
        let mut registry = Self { child, address: String::new(), data, folder };
        registry.address = registry.listens(&log)?;
        Ok(registry)
    }

    /// Host and port, as they stand before an image's path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its own folder, which goes with it: a place for what is only needed beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps the bytes of a blob, given as 64 hex digits: to spoil them.
    pub fn stored(&self, hex: &str) -> PathBuf {
        let blobs = self.data.join("docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// The certificate of the authority that vouches for a registry with TLS.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join(authority::FILE)
    }

    /// A file with a login, as `podman login` writes it; nobody is asked whether it is right.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn auth_file(&self, user: &str, password: &str) -> io::Result<PathBuf> {
        let file = self.folder.path().join(format!("auth-{user}-{password}.json"));
        let auth = base64(&format!("{user}:{password}"))?;
        fs::write(&file, serde_json::json!({ "auths": { &self.address: { "auth": auth } } }).to_string())?;
        Ok(file)
    }

    /// A file for `CONTAINERS_REGISTRIES_CONF`, with which podman speaks to it without TLS.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn registries_conf(&self) -> io::Result<PathBuf> {
        let file = self.folder.path().join("registries.conf");
        fs::write(&file, format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", self.address))?;
        Ok(file)
    }

    /// The address that it tells in its log.
    fn listens(&mut self, log: &Path) -> io::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = fs::read_to_string(log)?;
            let address = told.split(LISTENS).nth(1).and_then(|it| it.split([',', '"']).next());
            if let Some(address) = address {
                return Ok(address.to_owned());
            }
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(io::Error::other(format!("docker-registry does not come to listen: {told}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
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

fn base64(text: &str) -> io::Result<String> {
    let mut command = Command::new("base64");
    let mut child = command.arg("--wrap=0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    String::from_utf8(child.wait_with_output()?.stdout).map_err(io::Error::other)
}
