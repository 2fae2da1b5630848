//! What is released: a workspace with one service that becomes an image, in git, with a key to sign it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::binary;

/// A workspace in a folder that removes itself, and its images with it.
pub(crate) struct Project {
    folder: TempDir,
    /// The name of the workspace's folder, which is a part of its images' names.
    name: String,
    key: String,
    /// Certificate authorities, where the system's are not enough for the registry.
    authorities: Option<PathBuf>,
}

/// What a release is told of Slipway.
pub(crate) struct Recorder<'a> {
    pub(crate) url: &'a str,
    pub(crate) token: &'a str,
}

const CONTAINERFILE: &str = "\
FROM scratch AS edge-runtime
COPY root/ /
LABEL org.opencontainers.image.title=\"edge\" org.opencontainers.image.licenses=\"MIT\"
USER 65532:65532
HEALTHCHECK NONE
ENTRYPOINT [\"/edge\"]
";

const SOURCE: &str = "\
//! Edge.
fn main() {}

#[cfg(test)]
mod tests {
    #[test]
    fn holds() {}
}
";

impl Project {
    /// Version 1.4.0 but for its changelog, which does not say so yet; all of it is committed.
    pub(crate) fn published_to(registry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("story-{}", folder.path().file_name().unwrap().to_string_lossy());
        let name = name.to_lowercase().replace(['.', '_'], "");
        let (key, public) = keys(folder.path());
        let project = Self { folder, name, key, authorities: None };
        project.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"edge\"]\n\n[workspace.package]\nversion = \"1.4.0\"\n",
        );
        project.write(
            "edge/Cargo.toml",
            "[package]\nname = \"edge\"\nversion.workspace = true\nedition = \"2024\"\n\n\
             [package.metadata.service]\nkind = \"job\"\nimage = \"edge-runtime\"\n",
        );
        project.write("edge/src/main.rs", SOURCE);
        project.write("Containerfile", CONTAINERFILE);
        project.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- Something new.\n");
        project.write(".gitignore", "/target\n/root\n");
        project.write(".config/release.pub", &public);
        let release = format!(
            "[release]\npublisher = \"local\"\nregistry = \"{registry}\"\npath = \"team/product\"\n\
             trusted-keys = [\".config/release.pub\"]\n"
        );
        project.write(".config/xtask.toml", &release);
        project.does("cargo", &["generate-lockfile", "--offline", "--quiet"]);
        project.compile();
        project.does("git", &["init", "--quiet", "--initial-branch=main"]);
        project.does("git", &["config", "user.name", "Ann"]);
        project.does("git", &["config", "user.email", "ann@example.com"]);
        project.does("git", &["add", "--all"]);
        project.does("git", &["commit", "--quiet", "--message", "Begin"]);
        project
    }

    /// Believes a registry whose certificate is of one of these authorities, a PEM file.
    pub(crate) fn trusting(mut self, authorities: &Path) -> Self {
        self.authorities = Some(authorities.to_owned());
        self
    }

    /// `cargo xtask release VERSION --execute`, recorded at Slipway.
    pub(crate) async fn releases(&self, version: &str, recorder: &Recorder<'_>) {
        let mut command = tokio::process::Command::new(binary("xtask"));
        command.args(["release", version, "--execute", "--accept-no-advisories", "-C"]).arg(self.root());
        for name in ["XTASK_POSTGRES_URL", "CARGO_TARGET_DIR", "REGISTRY_AUTH_FILE", "GITEA_ACTIONS"] {
            command.env_remove(name);
        }
        command.env("SLIPWAY_SIGNING_KEY", &self.key);
        if let Some(authorities) = &self.authorities {
            command.env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
        }
        command.env("SLIPWAY_URL", recorder.url).env("SLIPWAY_TOKEN", recorder.token);
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(!said.contains(recorder.token), "the token is never shown");
    }

    /// The public half of the key that signs its images.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.root().join(".config/release.pub")
    }

    /// A folder that goes with the project, and is no part of it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join("beside").join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The commit at hand.
    pub(crate) fn commit(&self) -> String {
        self.does("git", &["rev-parse", "HEAD"])
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn does(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).current_dir(self.root()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Compiles the service here and lays it out below `root/`, with the list of its crates and the libraries that it needs.
    fn compile(&self) {
        let [built, root] = [self.beside("built"), self.root().join("root")];
        fs::create_dir_all(&root).unwrap();
        let (built_binary, binary) = (built.join("edge"), root.join("edge"));
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "-Copt-level=s", "-Cstrip=symbols", "-o"]).arg(&built_binary);
        assert!(rustc.arg(self.root().join("edge/src/main.rs")).status().unwrap().success());
        dependency_list::embed(&self.root(), &["edge".to_owned()], &built, &root).unwrap();
        let needed = Command::new("ldd").arg(&binary).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        for library in needed.split_whitespace().filter(|it| it.starts_with('/')) {
            let copy = self.root().join("root").join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
    }
}

impl Drop for Project {
    /// Images of this workspace, which nobody else has.
    fn drop(&mut self) {
        let filter = format!("reference=localhost/{}/*", self.name);
        let listed = Command::new("podman").args(["images", "--quiet", "--filter", &filter]).output();
        let images = listed.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
        for image in images.split_whitespace() {
            Command::new("podman").args(["rmi", "--force", image]).output().ok();
        }
    }
}

/// A key made for this test: the private half and the public one, as PEM.
fn keys(folder: &Path) -> (String, String) {
    let file = folder.join("key");
    let made = Command::new(binary("release")).args(["keys", "new"]).arg(&file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    (read(&file), read(&folder.join("key.pub")))
}
