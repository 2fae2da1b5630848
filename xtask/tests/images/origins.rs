//! Where crates come from on a host behind a proxy: a mirror of crates.io and a private registry that wants a token. None
//! of them has a name that anyone else could resolve.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;

pub(crate) const TOKEN: &str = "token-of-acme-4711";
pub(crate) const PASSWORD: &str = "word-of-acme-4711";
/// `user:` and the password, as a proxy wants them.
const LOGIN: &str = "dXNlcjp3b3JkLW9mLWFjbWUtNDcxMQ==";
const AUTHORITY: &str = "authority-of-acme-4711";
const MIRROR: &str = "mirror.acme.example";
const PRIVATE: &str = "registry.acme.example";

/// A proxy that answers for the hosts behind it, and the folder of a user's cargo that knows them.
pub(crate) struct Origins {
    home: TempDir,
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Origins {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let files = home.path().join("served");
        let entry = |name: &str| {
            let packed = crate_file(&files, name);
            let sum =
                String::from_utf8(Command::new("sha256sum").arg(&packed).output().unwrap().stdout).unwrap();
            let sum = sum.split(' ').next().unwrap().to_owned();
            format!(
                r#"{{"name":"{name}","vers":"1.0.0","deps":[],"cksum":"{sum}","features":{{}},"yanked":false}}"#
            )
        };
        let serve = |path: &str, text: &str| {
            let path = files.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        serve("mirror/config.json", &format!(r#"{{"dl":"http://{MIRROR}"}}"#));
        serve("private/config.json", &format!(r#"{{"dl":"http://{PRIVATE}","auth-required":true}}"#));
        serve("mirror/ou/te/outer-lib", &entry("outer-lib"));
        serve("private/in/ne/inner-lib", &entry("inner-lib"));
        fs::write(
            home.path().join("config.toml"),
            format!(
                "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"sparse+http://{MIRROR}/mirror/\"\n\
                 [registries.acme]\nindex = \"sparse+http://{PRIVATE}/private/\"\n\
                 [registry]\nglobal-credential-providers = [\"cargo:token\"]\n"
            ),
        )
        .unwrap();
        // Found by the search of a test that must find it.
        fs::write(home.path().join("note"), TOKEN).unwrap();
        let bundle = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
        fs::write(home.path().join("authorities.pem"), format!("# {AUTHORITY}\n{bundle}")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, heard) = (files.clone(), Arc::clone(&heard));
                thread::spawn(move || answer(stream, &files, &heard));
            }
        });
        Self { home, address, asked }
    }

    /// A command in the environment of such a host.
    pub(crate) fn around<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let proxy = format!("http://user:{PASSWORD}@{}", self.address);
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] {
            command.env(name, &proxy);
        }
        let authorities = self.home.path().join("authorities.pem");
        command.env("SSL_CERT_FILE", &authorities).env("CARGO_HTTP_CAINFO", &authorities);
        command.env("CARGO_REGISTRIES_ACME_TOKEN", TOKEN).env("CARGO_HOME", self.home.path())
    }

    /// A command that knows what the manifests call a registry, and has no way to it.
    pub(crate) fn named<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("CARGO_REGISTRIES_ACME_INDEX", format!("sparse+http://{PRIVATE}/private/"))
    }

    /// Whether something below a path was asked for, with what it asks for in return.
    pub(crate) fn asked_for(&self, path: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|it| it.contains(path))
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What must be nowhere.
    pub(crate) fn traces(&self) -> Vec<String> {
        let home = self.home.path().file_name().unwrap().to_string_lossy().into_owned();
        let named = [TOKEN, PASSWORD, LOGIN, AUTHORITY, MIRROR, self.address.as_str()].map(str::to_owned);
        named.into_iter().chain([home]).collect()
    }
}

/// Packs a crate of one function that can panic, and of a build script that names its files, all of them new.
fn crate_file(files: &Path, name: &str) -> PathBuf {
    let folder = files.join(format!("{name}-1.0.0"));
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), "#[inline(never)]\npub fn at(i: usize) -> u32 { [1, 2, 3][i] }\n")
        .unwrap();
    fs::write(folder.join("build.rs"), "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n")
        .unwrap();
    let packed = files.join(name).join("1.0.0/download");
    fs::create_dir_all(packed.parent().unwrap()).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(files).arg("-czf").arg(&packed).arg(format!("{name}-1.0.0"));
    assert!(tar.status().unwrap().success());
    packed
}

/// One request a connection. A proxy is asked for whole addresses.
fn answer(mut stream: TcpStream, files: &Path, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|it| !it.is_empty()).collect();
    let says = |name: &str, value: &str| {
        headers
            .iter()
            .filter_map(|it| it.split_once(": "))
            .any(|(key, it)| key.eq_ignore_ascii_case(name) && it == value)
    };
    let address = request.split(' ').nth(1).unwrap_or_default();
    let (host, path) = address.trim_start_matches("http://").split_once('/').unwrap_or_default();
    let content = fs::read(files.join(path));
    let (status, content) = match content {
        _ if !says("proxy-authorization", &format!("Basic {LOGIN}")) => {
            ("407 Proxy Authentication Required", Vec::new())
        }
        _ if host == PRIVATE && !says("authorization", TOKEN) => ("401 Unauthorized", Vec::new()),
        Ok(content) => ("200 OK", content),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    if status == "200 OK" {
        asked.lock().unwrap().push(format!("/{path}"));
    }
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content)).ok();
}
