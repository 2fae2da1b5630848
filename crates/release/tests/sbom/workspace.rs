//! A workspace with every kind of dependency, compiled by the first test that wants it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// What the manifests name and no build here compiles: for tests, for another system, for a feature that is off.
pub(crate) const STRANGER: &[&str] = &["tested", "elsewhere", "spare"];

/// Each crate's folder, what stands in its manifest after the name, and its source.
const CRATES: &[(&str, &str, &str)] = &[
    (
        "edge",
        "version = \"0.1.0\"\n[dependencies]\nlinked = { path = \"../linked\" }\nmacros = { path = \"../macros\" }\n\
         spare = { path = \"../spare\", optional = true }\n[build-dependencies]\nscripts = { path = \"../scripts\" }\n\
         [dev-dependencies]\ntested = { path = \"../tested\" }\n[target.'cfg(windows)'.dependencies]\n\
         elsewhere = { path = \"../elsewhere\" }\n",
        "fn main() { println!(\"{}\", linked::deep()); }",
    ),
    (
        "linked",
        "version = \"1.2.3\"\n[dependencies]\ndeeper = { path = \"../deeper\" }\n",
        "pub use deeper::deep;",
    ),
    ("deeper", "version = \"0.4.0\"\n", "pub fn deep() -> u32 { std::env::args().count() as u32 }"),
    (
        "macros",
        "version = \"0.1.0\"\n[lib]\nproc-macro = true\n[dependencies]\nof-macros = { path = \"../of-macros\" }\n",
        "",
    ),
    ("of-macros", "version = \"0.1.0\"\n", ""),
    ("scripts", "version = \"0.1.0\"\n", ""),
    ("spare", "version = \"0.1.0\"\n", ""),
    ("tested", "version = \"0.1.0\"\n", ""),
    ("elsewhere", "version = \"0.1.0\"\n", ""),
];

pub(crate) struct Workspace {
    root: PathBuf,
    bare: Vec<u8>,
    listed: Vec<u8>,
}

/// The workspace.
pub(crate) fn workspace() -> &'static Workspace {
    static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
    WORKSPACE.get_or_init(Workspace::compile)
}

/// Its program, with the list of its crates.
pub(crate) fn edge() -> &'static [u8] {
    &workspace().listed
}

impl Workspace {
    fn compile() -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sbom-workspace");
        fs::create_dir_all(&root).unwrap();
        // Each test is a process: one compiles, the others find it compiled.
        let lock = File::create(root.join("lock")).unwrap();
        lock.lock().unwrap();
        let root = root.as_path();
        write(&root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n");
        for (name, manifest, source) in CRATES {
            let file = if *name == "edge" { "main.rs" } else { "lib.rs" };
            let head = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
            write(&root.join(format!("crates/{name}/Cargo.toml")), &(head + manifest));
            write(&root.join(format!("crates/{name}/src/{file}")), source);
        }
        write(&root.join("crates/edge/build.rs"), "fn main() {}");
        run(cargo(root).args(["generate-lockfile", "--offline", "--quiet"]));
        run(cargo(root).args([
            "build",
            "--release",
            "--locked",
            "--offline",
            "--quiet",
            "--package",
            "edge",
        ]));
        let (from, to) = (root.join("target/release"), root.join("listed"));
        fs::create_dir_all(&to).unwrap();
        dependency_list::embed(root, &["edge".to_owned()], &from, &to).unwrap();
        let (bare, listed) = (fs::read(from.join("edge")).unwrap(), fs::read(to.join("edge")).unwrap());
        assert!(Command::new(to.join("edge")).status().unwrap().success(), "the list broke the program");
        Self { root: root.to_owned(), bare, listed }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// The program as cargo left it.
    pub(crate) fn bare(&self) -> &[u8] {
        &self.bare
    }

    /// Names of the crates that `cargo tree` tells of along these edges.
    pub(crate) fn tree(&self, edges: &str) -> BTreeSet<String> {
        let mut tree = cargo(&self.root);
        tree.args(["tree", "--offline", "--package", "edge", "--prefix", "none", "--edges", edges]);
        let output = tree.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|it| it.split(' ').next()).map(str::to_owned).collect()
    }
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root).env_remove("CARGO_TARGET_DIR");
    command
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// What is written already keeps its time, and cargo what it made of it.
fn write(path: &Path, content: &str) {
    if fs::read_to_string(path).is_ok_and(|it| it == content) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
