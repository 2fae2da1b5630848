//! A workspace with one job that becomes an image, in git, with a key to sign it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// Where its image lies on a registry.
pub(crate) const EDGE: &str = "team/product/edge";

/// What openssl encrypts a key with.
pub(crate) const PASSPHRASE: &str = "made-of-words";
/// What a run finds out about podman here: the verdict, and the settings that it is about.
const PODMAN: [&str; 2] = ["containers.conf", "podman.json"];

/// A workspace in a folder that removes itself, and its images with it.
pub(crate) struct World {
    folder: TempDir,
    /// The folder's own name, which is a part of its images' names.
    name: String,
    key: Option<String>,
    /// It shares cargo's target folder with the workspace of these tests.
    shares_target: bool,
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
        let world = Self { folder, name, key: None, shares_target: false };
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
        world.write(".gitignore", "/target\n/bin\n");
        world.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- Something new.\n");
        world.write(".config/release.pub", "not read by a plan\n");
        world.configure(release);
        let mut lock = Command::new("cargo");
        lock.args(["generate-lockfile", "--offline", "--quiet"]).current_dir(world.root());
        assert!(lock.status().unwrap().success());
        world.begin();
        world
    }

    /// A repository of its own, with all that lies there as the first commit.
    fn begin(&self) {
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        self.git(&["config", "user.name", "Test"]);
        self.git(&["config", "user.email", "test@example.com"]);
        self.commit("Begin");
    }

    /// The same, ready to be published to a registry.
    pub(crate) fn published_to(address: &str) -> Self {
        let mut world =
            Self::new(&format!("publisher = \"local\"\nregistry = \"{address}\"\npath = \"team/product\"\n"));
        // With a line of its own: an image that another test left behind is not this one's.
        let own = format!("# {}\n", world.name);
        world.write(
            "Containerfile",
            &(own + "FROM scratch AS edge-runtime\nCOPY root/ /\nLABEL org.opencontainers.image.title=\"edge\" \
             org.opencontainers.image.licenses=\"MIT\"\nUSER 65532:65532\nHEALTHCHECK NONE\nENTRYPOINT [\"/edge\"]\n"),
        );
        world.compile();
        let (key, public) = keys();
        world.write(".config/release.pub", &public);
        world.know_podman();
        world.key = Some(key);
        world.commit("Make an image");
        world
    }

    /// A copy of the workspace that these tests are of, without its tests, at the same version.
    pub(crate) fn of_this_workspace(address: &str, path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, public) = keys();
        let name = "slipway-release-test".to_owned();
        let world = Self { folder, name, key: Some(key), shares_target: true };
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = Command::new("git").current_dir(home()).args(arguments).output().unwrap();
        let files = String::from_utf8(output.stdout).unwrap();
        for file in files.split('\0').filter(|it| !it.is_empty() && !it.contains("/tests/")) {
            let to = world.root().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(home().join(file), to).unwrap();
        }
        // Its settings speak of tests that the copy does without.
        world.write(".config/nextest.toml", "[profile.default]\n");
        world.write(".config/release.pub", &public);
        let settings = world.read(".config/xtask.toml");
        let release = format!(
            "\n[release]\npublisher = \"local\"\nregistry = \"{address}\"\npath = \"{path}\"\n\
             trusted-keys = [\".config/release.pub\"]\n"
        );
        world.write(".config/xtask.toml", &(settings + &release));
        world.know_podman();
        world.begin();
        world
    }

    /// Has every run sign with this key from now on, given as the environment gives it.
    pub(crate) fn sign_with(&mut self, key: Option<String>) {
        self.key = key;
    }

    /// Hands on what an earlier test's run found out about podman: it holds as long as podman and the host are the same,
    /// which the run looks at.
    fn know_podman(&self) {
        for file in PODMAN {
            if let Ok(text) = fs::read_to_string(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file)) {
                self.write(&format!("target/xtask/{file}"), &text);
            }
        }
    }

    /// Keeps it for later tests.
    fn keep_podman(&self) {
        for file in PODMAN {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            let part = kept.with_extension(std::process::id().to_string());
            let found = fs::copy(self.root().join("target/xtask").join(file), &part);
            // A world whose podman is no podman found out nothing.
            found.and_then(|_| fs::rename(&part, &kept)).ok();
        }
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
        self.xtask(&[&["release"], arguments].concat())
    }

    /// `cargo xtask`, in the same way.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).arg("-C").arg(self.root()).stdin(Stdio::null());
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
        if self.shares_target {
            command.env("CARGO_TARGET_DIR", home().join("target"));
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
        if self.key.is_some() && !self.root().join("bin/podman").exists() {
            self.keep_podman();
        }
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

/// A key of one test's own: the private half and the public one, as PEM.
pub(crate) fn keys() -> (String, String) {
    let private = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "");
    let public = openssl(&["pkey", "-pubout"], &private);
    (private, public)
}

/// What openssl makes of its standard input; a passphrase is in `IT`.
pub(crate) fn openssl(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(arguments).env("IT", PASSPHRASE).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The binary `release`, which a plan has had compiled.
pub(crate) fn tool() -> Command {
    Command::new(home().join("target/debug/release"))
}

/// The workspace that these tests are of.
pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
