//! A workspace with one job that becomes an image, in git, with a key to sign it; and a registry on loopback.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// The user of a registry with a login.
pub(crate) const USER: &str = "ann";

/// A workspace in a folder that removes itself, and its images with it.
pub(crate) struct World {
    folder: TempDir,
    /// The folder's own name, which is a part of its images' names.
    name: String,
    key: Option<String>,
}

/// How a run ended and what it said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Self { code: output.status.code().unwrap_or(-1), text }
    }
}

impl World {
    /// At version 0.1.0, with an entry under `Unreleased`, all of it committed on `main`.
    pub(crate) fn new(release: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("xtask-test-{}", folder.path().file_name().unwrap().to_string_lossy());
        let name = name.to_lowercase().replace(['.', '_'], "");
        let world = Self { folder, name, key: None };
        world.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"edge\"]\n\n[workspace.package]\nversion = \"0.1.0\"\n",
        );
        world.write(
            "edge/Cargo.toml",
            "[package]\nname = \"edge\"\nversion.workspace = true\nedition = \"2024\"\n\n\
             [package.metadata.service]\nkind = \"job\"\nimage = \"edge-runtime\"\n",
        );
        let source =
            "//! Edge.\nfn main() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn holds() {}\n}\n";
        world.write("edge/src/main.rs", source);
        world.write(".gitignore", "/target\n/root\n/bin\n");
        world.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- Something new.\n");
        world.write(".config/release.pub", "not read by a plan\n");
        world.configure(release);
        let mut lock = Command::new("cargo");
        lock.args(["generate-lockfile", "--offline", "--quiet"]).current_dir(world.root());
        assert!(lock.status().unwrap().success());
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.git(&["config", "user.name", "Test"]);
        world.git(&["config", "user.email", "test@example.com"]);
        world.commit("Begin");
        world
    }

    /// The same, ready to be published to a registry.
    pub(crate) fn published_to(address: &str) -> Self {
        let mut world =
            Self::new(&format!("publisher = \"local\"\nregistry = \"{address}\"\npath = \"team/product\"\n"));
        world.write(
            "Containerfile",
            "FROM scratch AS edge-runtime\nCOPY root/ /\nLABEL org.opencontainers.image.title=\"edge\" \
             org.opencontainers.image.licenses=\"MIT\"\nUSER 65532:65532\nHEALTHCHECK NONE\nENTRYPOINT [\"/edge\"]\n",
        );
        world.compile();
        let (key, public) = keys();
        world.write(".config/release.pub", &public);
        world.key = Some(key);
        world.commit("Make an image");
        world
    }

    /// Replaces `[release]` in the configuration.
    pub(crate) fn configure(&self, release: &str) {
        let trusted =
            if release.contains("trusted-keys") { "" } else { "trusted-keys = [\".config/release.pub\"]\n" };
        self.write(".config/xtask.toml", &format!("[release]\n{release}{trusted}"));
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Compiles a job here and lays it out, with the libraries that it needs, below `root/`.
    fn compile(&self) {
        let binary = self.root().join("root/edge");
        fs::create_dir_all(binary.parent().unwrap()).unwrap();
        // Not of Rust: what it is made of would change with the version, and nothing here compiles it again.
        let source = self.root().join("root/edge.c");
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        assert!(
            Command::new("cc")
                .args(["-Os", "-s", "-o"])
                .arg(&binary)
                .arg(&source)
                .status()
                .unwrap()
                .success()
        );
        fs::remove_file(source).unwrap();
        let needed = Command::new("ldd").arg(&binary).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        for library in needed.split_whitespace().filter(|it| it.starts_with('/')) {
            let copy = self.root().join("root").join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").current_dir(self.root()).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// A program that is found before the system's own.
    pub(crate) fn program(&self, name: &str, script: &str) {
        self.write(&format!("bin/{name}"), script);
        let path = self.root().join("bin").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `cargo xtask release`, with the key and without anybody's login.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("release").args(arguments).arg("-C").arg(self.root()).stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.root().join("bin").display()));
        for name in [
            "XTASK_POSTGRES_URL",
            "CARGO_TARGET_DIR",
            "REGISTRY_AUTH_FILE",
            "SLIPWAY_REGISTRY_USER",
            "SLIPWAY_REGISTRY_PASSWORD",
            "SLIPWAY_SIGNING_KEY",
            "SLIPWAY_SIGNING_PASSPHRASE",
            "SLIPWAY_URL",
            "SLIPWAY_TOKEN",
            "GITEA_ACTIONS",
            "GITHUB_ACTIONS",
        ] {
            command.env_remove(name);
        }
        if let Some(key) = &self.key {
            command.env("SLIPWAY_SIGNING_KEY", key);
        }
        command
    }

    pub(crate) fn release(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// A version, executed, with what no test workspace has accepted.
    pub(crate) fn execute(&self, version: &str) -> Said {
        self.release(&[version, "--execute", "--accept-no-advisories"])
    }

    /// The plan, as programs read it, and its exit code.
    pub(crate) fn plan(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.command(arguments).args(["--message-format", "json"]).output().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        });
        (value, output.status.code().unwrap())
    }

    /// The codes of what refuses a plan, and its exit code.
    pub(crate) fn refused(&self, arguments: &[&str]) -> (Vec<String>, i32) {
        let (plan, code) = self.plan(arguments);
        let checks = plan["checks"].as_array().unwrap().iter();
        (checks.filter_map(|it| it["code"].as_str().map(str::to_owned)).collect(), code)
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.read("target/xtask/report.json")).unwrap()
    }

    /// How a step of the last run ended, and the codes of what it found.
    pub(crate) fn step(&self, name: &str) -> (String, Vec<String>) {
        let report = self.report();
        let step = report["steps"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        let codes =
            step["findings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap().to_owned());
        (step["status"].as_str().unwrap().to_owned(), codes.collect())
    }
}

impl Drop for World {
    /// Images of this workspace, which nobody else has.
    fn drop(&mut self) {
        let filter = format!("reference=localhost/{}/*", self.name);
        let images = podman(&["images", "--quiet", "--filter", &filter]);
        for image in images.split_whitespace() {
            podman(&["rmi", "--force", image]);
        }
    }
}

/// Asks podman; what it says matters, whether it agrees does not.
pub(crate) fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output();
    output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default()
}

/// A key made for this process's tests: the private half and the public one, as PEM.
fn keys() -> (String, String) {
    static KEYS: OnceLock<(String, String)> = OnceLock::new();
    let make = || {
        // A plan has the gate's own tools compiled, whatever comes of it.
        World::new("publisher = \"local\"\nregistry = \"127.0.0.1:1\"\npath = \"a/b\"\n").release(&["9.0.0"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let made = tool().args(["keys", "new"]).arg(&file).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        (read(&file), read(&folder.path().join("key.pub")))
    };
    KEYS.get_or_init(make).clone()
}

/// The binary `release`, which a plan has had compiled.
pub(crate) fn tool() -> Command {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(home.join("target/debug/release"))
}

/// A registry on loopback that speaks HTTP.
pub(crate) struct Registry {
    child: Child,
    pub(crate) address: String,
    _folder: TempDir,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::with_login(None)
    }

    /// A registry that knows [`USER`] with this password, and nobody else.
    pub(crate) fn with_login(password: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let data = folder.path().join("data");
        let mut text = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, \
             delete: {{ enabled: true }} }}\nhttp: {{ addr: \"{address}\" }}\n",
            data.display()
        );
        if let Some(password) = password {
            let users = folder.path().join("users");
            fs::write(&users, format!("{USER}:{}\n", bcrypt(password))).unwrap();
            text += &format!("auth: {{ htpasswd: {{ realm: it, path: {} }} }}\n", users.display());
        }
        fs::write(folder.path().join("config.yml"), text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(folder.path().join("config.yml"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let registry = Self { child, address, _folder: folder };
        until("the registry", || TcpStream::connect(&registry.address).is_ok());
        registry
    }

    /// What a tag leads to, if to anything.
    pub(crate) fn digest(&self, tag: &str) -> Option<String> {
        let answer = self.ask("HEAD", tag, "", "");
        let line = answer.lines().find(|it| it.to_lowercase().starts_with("docker-content-digest:"))?;
        Some(line.split_once(':').unwrap().1.trim().to_owned())
    }

    /// All tags of the image, sorted.
    pub(crate) fn tags(&self) -> Vec<String> {
        let answer = self.http("GET", "/v2/team/product/edge/tags/list", "", "");
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let value: Value = serde_json::from_str(body).unwrap_or_default();
        let mut tags: Vec<String> = value["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect();
        tags.sort();
        tags
    }

    /// Puts another image, the one of `from` with an annotation, under a tag.
    pub(crate) fn overwrite(&self, tag: &str, manifest: &str) {
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let answer = self.ask("PUT", tag, kind, manifest);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    /// The manifest under a tag, or with a digest.
    pub(crate) fn manifest(&self, tag: &str) -> String {
        let answer = self.ask("GET", tag, "", "");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub(crate) fn delete(&self, digest: &str) {
        let answer = self.ask("DELETE", digest, "", "");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    fn ask(&self, method: &str, tag: &str, kind: &str, body: &str) -> String {
        self.http(method, &format!("/v2/team/product/edge/manifests/{tag}"), kind, body)
    }

    fn http(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, application/json";
        let kind = if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\naccept: {accept}\r\n{kind}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).ok();
        answer
    }
}

impl Drop for Registry {
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

#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(10));
    }
}
