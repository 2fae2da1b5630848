//! A workspace with one service, programs that stand before the real ones, and a registry on loopback.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use scratch_registry::ScratchRegistry;
use tempfile::TempDir;

/// A service without dependencies: it listens, asks itself for its health by connecting, and ends on TERM. As the first
/// process of its container it must ask for that signal.
const EDGE: &str = r#"//! edge
unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(code: i32) -> !;
}
extern "C" fn end(_: i32) {
    unsafe { _exit(0) }
}
fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "yes" => return,
        "probes" => {
            // Every folder is tried, and only what was declared may take a file.
            let mut folders = vec![std::path::PathBuf::from("/")];
            let mut taken = Vec::new();
            while let Some(folder) = folders.pop() {
                let kernel = ["/dev", "/proc", "/sys"].iter().any(|it| folder.starts_with(it));
                let Ok(entries) = (if kernel { continue } else { std::fs::read_dir(&folder) }) else { continue };
                if std::fs::write(folder.join("probe"), "x").is_ok() {
                    taken.push(folder.display().to_string());
                }
                folders.extend(entries.flatten().filter(|it| it.file_type().unwrap().is_dir()).map(|it| it.path()));
            }
            assert_eq!(taken, std::env::args().skip(2).collect::<Vec<_>>());
            unsafe { signal(15, end) };
        }
        "random" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            std::fs::write("/random", format!("{:020}", now.as_nanos())).unwrap();
            return;
        }
        "writes" => std::fs::write("/state", "x").unwrap(),
        "stubborn" => {}
        _ => drop(unsafe { signal(15, end) }),
    }
    let listen = std::env::var("LISTEN").unwrap();
    if mode == "healthcheck" {
        let there = std::net::TcpStream::connect(listen).is_ok();
        std::process::exit(if there { 0 } else { 1 });
    }
    let listener = std::net::TcpListener::bind(listen).unwrap();
    for mut stream in listener.incoming().flatten() {
        use std::io::{Read, Write};
        // A check only connects; whoever asks gets an answer.
        if matches!(stream.read(&mut [0; 512]), Ok(1..)) && mode != "deaf" {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok();
        }
    }
}
"#;

const MANIFEST: &str = "[package]\nname = \"edge\"\nversion = \"1.2.3\"\nedition = \"2024\"\n\n\
    [package.metadata.service]\nkind = \"service\"\nimage = \"edge-runtime\"\nport = 4711\nhealth = \"/\"\n";

/// A Containerfile as it should be, on what `World::compile` lays out.
pub(crate) const GOOD: &str = "FROM scratch AS edge-runtime\nCOPY root/ /\n\
    LABEL org.opencontainers.image.title=\"edge\" org.opencontainers.image.licenses=\"MIT\"\n\
    USER 65532:65532\nEXPOSE 4711\nHEALTHCHECK CMD [\"/edge\", \"healthcheck\"]\nENTRYPOINT [\"/edge\"]\n";

/// Stages as those of a real workspace, with a program in place of the compiler.
pub(crate) const STAGES: &str = "FROM scratch AS dependencies\nENV LISTEN=127.0.0.1:0\nCOPY root/ /\nRUN [\"/edge\", \"yes\"]\n\
                      FROM dependencies AS builder\nCOPY edge/src/ /src/\nRUN [\"/edge\", \"yes\"]\n\
                      FROM scratch AS edge-runtime\nCOPY --from=builder / /\nUSER 65532:65532\nENTRYPOINT [\"/edge\"]\n";

/// A workspace in a folder that removes itself.
pub(crate) struct World {
    folder: TempDir,
    /// The folder's own name, which is a part of its images' names.
    pub(crate) name: String,
}

/// How a run ended and what it said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl World {
    /// A workspace with the service `edge`, and its configuration.
    pub(crate) fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("xtask-test-{}", folder.path().file_name().unwrap().to_string_lossy());
        let name = name.to_lowercase().replace(['.', '_'], "");
        let world = Self { folder, name };
        world.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"edge\"]\n");
        world.write("edge/Cargo.toml", MANIFEST);
        world.write("edge/src/main.rs", EDGE);
        world.write(".config/xtask.toml", configuration);
        world.write("Containerfile", "FROM scratch AS edge-runtime\n");
        let mut lock = Command::new("cargo");
        lock.args(["generate-lockfile", "--offline", "--quiet"]).current_dir(world.root());
        assert!(lock.status().unwrap().success());
        world.write(".gitignore", "/target\n/bin\n");
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.commit("begin");
        world
    }

    /// Runs git in the workspace and returns what it says.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]);
        let output = git.args(arguments).current_dir(self.root()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits all that lies there and returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A second service beside `edge`, of the same code.
    pub(crate) fn with_twin(configuration: &str) -> Self {
        let world = Self::new(configuration);
        world.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"edge\", \"twin\"]\n");
        world.write("twin/Cargo.toml", &MANIFEST.replace("edge", "twin"));
        world.write("twin/src/main.rs", EDGE);
        let target = GOOD.replace("edge-runtime", "twin-runtime").replace("title=\"edge\"", "title=\"twin\"");
        world.write("Containerfile", &format!("{GOOD}{target}"));
        let mut lock = Command::new("cargo");
        lock.args(["generate-lockfile", "--offline", "--quiet"]).current_dir(world.root());
        assert!(lock.status().unwrap().success());
        world.compile();
        world.commit("a twin");
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Compiles the service here and lays it out, with the libraries that it needs, below `root/`.
    pub(crate) fn compile(&self) {
        let (bare, whole) = (self.root().join("bare"), self.root().join("root"));
        let binary = bare.join("edge");
        for folder in [&bare, &whole] {
            fs::create_dir_all(folder).unwrap();
        }
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "-Copt-level=s", "-Cstrip=symbols", "-o"]);
        let status = rustc.arg(&binary).arg(self.root().join("edge/src/main.rs")).status().unwrap();
        assert!(status.success());
        dependency_list::embed(&self.root(), &["edge".to_owned()], &bare, &whole).unwrap();
        fs::remove_dir_all(bare).unwrap();
        let binary = whole.join("edge");
        let needed = Command::new("ldd").arg(&binary).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        for library in needed.split_whitespace().filter(|it| it.starts_with('/')) {
            let copy = self.root().join("root").join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
    }

    /// A program that is found before the system's own.
    pub(crate) fn program(&self, name: &str, script: &str) {
        self.write(&format!("bin/{name}"), script);
        let path = self.root().join("bin").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn xtask(&self, arguments: &[&str]) -> Said {
        self.run(&mut self.command(arguments))
    }

    /// The command, for runs in an environment of their own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).arg("-C").arg(self.root()).stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.root().join("bin").display()));
        command
    }

    pub(crate) fn run(&self, command: &mut Command) -> Said {
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap().replace(&self.name, "WORLD");
        Said { code: output.status.code().unwrap(), text }
    }

    /// The codes of the findings in the report.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.findings().iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
    }

    /// The findings in the report, as they are.
    pub(crate) fn findings(&self) -> Vec<serde_json::Value> {
        let report = fs::read_to_string(self.root().join("target/xtask/report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        report["steps"][0]["findings"].as_array().unwrap().clone()
    }

    /// The images that were built last, as the record has them.
    pub(crate) fn images(&self) -> Vec<serde_json::Value> {
        let record = fs::read_to_string(self.root().join("target/xtask/images.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["images"].as_array().unwrap().clone()
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
    let output = Command::new("podman").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A registry on loopback, and images on it that podman never keeps.
pub(crate) struct Registry {
    server: ScratchRegistry,
    pub(crate) address: String,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::of(ScratchRegistry::start().unwrap())
    }

    /// One that wants this user and password, which are made for one test.
    pub(crate) fn with_login(user: &str, password: &str) -> Self {
        Self::of(ScratchRegistry::for_one(user, password).unwrap())
    }

    fn of(server: ScratchRegistry) -> Self {
        Self { address: server.address().to_owned(), server }
    }

    /// A file with the login, as `podman login` writes it.
    pub(crate) fn login(&self, user: &str, password: &str) -> PathBuf {
        self.server.auth_file(user, password).unwrap()
    }

    /// The digest that the registry knows what was offered last by.
    pub(crate) fn digest(&self) -> String {
        fs::read_to_string(self.server.folder().join("digest")).unwrap()
    }

    /// Stores an image of one file on the registry, and nowhere else.
    pub(crate) fn offer(&self, name: &str) -> String {
        self.offer_as(name, None)
    }

    /// The same where the registry wants a login.
    pub(crate) fn offer_as(&self, name: &str, login: Option<&Path>) -> String {
        let (image, folder) = (format!("{}/{name}", self.address), self.server.folder());
        let content = folder.join("content");
        fs::create_dir_all(&content).unwrap();
        fs::write(content.join("file"), &image).unwrap();
        let archive = folder.join("image.tar");
        let pack = Command::new("tar").arg("-C").arg(&content).arg("-cf").arg(&archive).arg(".").status();
        assert!(pack.unwrap().success());
        podman(&["import", "--quiet", &archive.to_string_lossy(), &image]);
        let mut push = Command::new("podman");
        push.args(["push", "--quiet", "--tls-verify=false", "--digestfile"]).arg(folder.join("digest"));
        if let Some(login) = login {
            push.arg("--authfile").arg(login);
        }
        assert!(push.arg(&image).stdout(Stdio::null()).status().unwrap().success());
        podman(&["rmi", "--force", &image]);
        image
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.server.registries_conf().unwrap()
    }
}

/// A folder with links to the named programs only.
pub(crate) fn only(programs: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in programs {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|it| it.join(program))
            .find(|it: &PathBuf| Path::exists(it));
        std::os::unix::fs::symlink(found.unwrap(), folder.path().join(program)).unwrap();
    }
    folder
}
