//! A real registry on loopback, which ends with the test, and an image for it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use release::{
    At, Credentials, Digest, Logins, Registry, Repository, Tag,
    credentials::Secret,
    registry::{Blob, Limits, Manifest, OCI_MANIFEST, Options},
};
use tempfile::TempDir;

/// Who may use a registry with a login.
pub(crate) const USER: &str = "ann";

/// `docker-registry` with a folder of its own.
pub(crate) struct Real {
    child: Child,
    pub(crate) address: String,
    pub(crate) folder: TempDir,
}

/// A registry's users.
#[derive(Clone, Copy)]
pub(crate) enum Users<'a> {
    Anybody,
    /// [`USER`] with this password.
    One(&'a str),
}

impl Real {
    pub(crate) fn start() -> Self {
        Self::with(Users::Anybody, None)
    }

    /// A registry with these users, which keeps its data in `storage` where one is given.
    pub(crate) fn with(users: Users<'_>, storage: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let data = storage.map_or_else(|| folder.path().join("data"), Path::to_owned);
        let mut text = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, \
             delete: {{ enabled: true }} }}\nhttp: {{ addr: \"{address}\" }}\n",
            data.display()
        );
        if let Users::One(password) = users {
            let file = folder.path().join("htpasswd");
            fs::write(&file, format!("{USER}:{}\n", bcrypt(password))).unwrap();
            text.push_str(&format!("auth: {{ htpasswd: {{ realm: it, path: {} }} }}\n", file.display()));
        }
        Self::serve(folder, address, &text)
    }

    fn serve(folder: TempDir, address: String, settings: &str) -> Self {
        fs::write(folder.path().join("config.yml"), settings).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(folder.path().join("config.yml"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("`cargo xtask test --setup` installs docker-registry");
        let real = Self { child, address, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&real.address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        real
    }

    /// A registry that speaks TLS as `registry.example`, with a certificate of an authority of its own in `ca.pem`.
    pub(crate) fn with_tls() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2",
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout it.key -out it.csr -subj /CN=it \
             -addext subjectAltName=DNS:registry.example",
            "x509 -req -in it.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out it.pem -days 2 -copy_extensions copy",
        ] {
            let mut command = Command::new("openssl");
            let output =
                command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let at = |file: &str| folder.path().join(file).display().to_string();
        let text = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"{address}\", tls: {{ certificate: {}, key: {} }} }}\n",
            at("data"),
            at("it.pem"),
            at("it.key")
        );
        Self::serve(folder, address, &text)
    }

    pub(crate) fn repository(&self) -> Repository {
        at(&self.address)
    }

    /// Where the registry keeps a blob's bytes.
    pub(crate) fn stored(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a password becomes in a registry's list of users: the system's own `crypt`, as Perl hands it on.
fn bcrypt(password: &str) -> String {
    let program = r#"print crypt($ENV{IT}, "\$2y\$05\$abcdefghijklmnopqrstuu")"#;
    let output = Command::new("perl").args(["-e", program]).env("IT", password).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The repository of the tests at an address.
pub(crate) fn at(address: &str) -> Repository {
    format!("{address}/team/gateway").parse().unwrap()
}

pub(crate) fn tag(text: &str) -> At {
    At::Tag(text.parse::<Tag>().unwrap())
}

pub(crate) fn digest(digest: &Digest) -> At {
    At::Digest(digest.clone())
}

/// Limits with which a test need not wait.
pub(crate) fn hasty() -> Limits {
    Limits {
        attempts: 4,
        pause: Duration::from_millis(10),
        pause_max: Duration::from_millis(50),
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        operation: Duration::from_secs(30),
        bytes_per_s_min: 1024 * 1024,
        chunk_bytes: 256 * 1024,
    }
}

pub(crate) fn client() -> Registry {
    client_with(Logins::none(), hasty())
}

pub(crate) fn client_with(logins: Logins, limits: Limits) -> Registry {
    Registry::new(Options { logins, limits, ..Options::default() }).unwrap()
}

pub(crate) fn login(address: &str, password: &str) -> Logins {
    let (user, password) = (USER.to_owned(), Secret::new(password));
    Logins::fixed(address, Credentials { user, password, source: "the test".to_owned() })
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Pushes an image of one layer, a file named `file` with that text, under a tag, and returns its manifest's digest.
pub(crate) async fn push(client: &Registry, repository: &Repository, name: &str, text: &str) -> Digest {
    let layer = Blob::of(tar(text));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"it":"{text}"}}}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.digest
    );
    let config = Blob::of(config);
    for blob in [&layer, &config] {
        client.push_blob(repository, blob).await.unwrap();
    }
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        config.digest, config.size, layer.digest, layer.size
    );
    let manifest = Manifest { media_type: OCI_MANIFEST.to_owned(), bytes: manifest.into() };
    client.put_manifest(repository, &tag(name), &manifest).await.unwrap()
}

fn tar(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), text).unwrap();
    let mut command = Command::new("tar");
    command.args(["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "-C"]);
    command.arg(folder.path()).arg("file").output().unwrap().stdout
}

/// Runs skopeo without anything of the caller's, and gives what it said.
pub(crate) fn skopeo(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new("skopeo").args(arguments).env_remove("REGISTRY_AUTH_FILE").output();
    let output = output.expect("`cargo xtask test --setup` installs skopeo");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// A proxy that takes every `CONNECT` to one address, and what it was asked.
pub(crate) struct Tunnels {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    pub(crate) fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, upstream) = (listener.local_addr().unwrap().to_string(), upstream.to_owned());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && (&client).read_exact(&mut byte).is_ok() {
                    head.extend(byte);
                }
                noted.lock().unwrap().push(String::from_utf8_lossy(&head).to_lowercase());
                let server = TcpStream::connect(&upstream).unwrap();
                (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    thread::spawn(move || {
                        std::io::copy(&mut from, &mut to).ok();
                        to.shutdown(Shutdown::Write).ok();
                    });
                }
            }
        });
        Self { address, asked }
    }
}
