//! Slipway as a checkout brings it up: `cargo xtask up`, with images and containers of its own name.

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::door::Door;
use crate::{binary, home};

/// A clone of this workspace, with the stack that it has started; both go with the value.
pub(crate) struct Checkout {
    folder: TempDir,
    name: String,
    port: u16,
}

/// What a run said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Checkout {
    /// Holds what the working tree holds, committed or not: images that were built of the same sources are found, and
    /// only others are built.
    pub(crate) fn of_this_tree() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let name = format!("slipway-{}", name.replace(['.', '_'], ""));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let checkout = Self { folder, name, port };
        let cloned =
            Command::new("git").args(["clone", "--quiet"]).args([&home(), &checkout.root()]).status();
        assert!(cloned.unwrap().success(), "git clone");
        let (now, then) = (listed(&home()), listed(&checkout.root()));
        for gone in then.iter().filter(|it| !now.contains(it)) {
            fs::remove_file(checkout.root().join(gone)).unwrap();
        }
        for file in &now {
            let (from, to) = (home().join(file), checkout.root().join(file));
            if fs::read(&from).ok() != fs::read(&to).ok() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        let address = format!("PROXY_ADDRESS=127.0.0.1:{port}\n");
        checkout.write(".env", &address);
        checkout.write(".env.external", &address);
        checkout
    }

    /// `cargo xtask up`, which must succeed.
    pub(crate) fn up(&self, arguments: &[&str]) -> Said {
        let said = self.xtask(&[&["up"], arguments].concat());
        assert_eq!(said.code, Some(0), "{}", said.text);
        said
    }

    /// `cargo xtask …` in this checkout.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Said {
        xtask(&self.root(), arguments)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn append(&self, path: &str, content: &str) {
        let old = fs::read_to_string(self.root().join(path)).unwrap();
        self.write(path, &(old + content));
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// A folder that goes with the checkout, and is no part of it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The address that this host has on the stack's own network, as long as a container is on it.
    pub(crate) fn host(&self) -> IpAddr {
        let format = "{{(index .Subnets 0).Gateway}}";
        let said = podman(&["network", "inspect", "--format", format, &format!("{}_default", self.name)]);
        said.trim().parse().unwrap_or_else(|_| panic!("no gateway: {said}"))
    }

    /// The proxy's, with tokens that the gateway's own container makes.
    pub(crate) fn door(&self) -> Door {
        let gateway = self.container("gateway");
        let mint = move |subject: &str, role: &str| {
            let program = ["exec", gateway.as_str(), "/usr/bin/gateway", "token"];
            podman(&[&program[..], &["--subject", subject, "--role", role]].concat()).trim().to_owned()
        };
        Door { url: format!("http://127.0.0.1:{}", self.port), mint: Box::new(mint) }
    }

    /// The first container of a service.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}_{service}_1", self.name)
    }

    /// Names of what podman has of this checkout: `ps`, `volume ls`, `network ls`.
    pub(crate) fn has(&self, listing: &[&str], column: &str) -> Vec<String> {
        let format = format!("{{{{.{column}}}}}");
        let said = podman(&[listing, &["--format", &format]].concat());
        let prefix = format!("{}_", self.name);
        let mut names: Vec<String> =
            said.lines().filter_map(|it| it.strip_prefix(&prefix)).map(Into::into).collect();
        names.sort();
        names
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.xtask(&["down", "--volumes"]);
        forget_images(&self.name);
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Self { code: output.status.code(), text }
    }
}

/// `cargo xtask …` in a workspace.
pub(crate) fn xtask(root: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(binary("xtask"));
    command.args(arguments).arg("-C").arg(root).stdin(Stdio::null());
    for name in ["XTASK_POSTGRES_URL", "CARGO_TARGET_DIR", "REGISTRY_AUTH_FILE", "GITEA_ACTIONS"] {
        command.env_remove(name);
    }
    command.output().unwrap().into()
}

/// Asks podman, which must know.
pub(crate) fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "podman {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Takes away the names that a workspace gave to images; what others named too stays.
fn forget_images(workspace: &str) {
    let filter = format!("reference=localhost/{workspace}/*");
    let format = "{{.Repository}}:{{.Tag}}";
    let listed = Command::new("podman").args(["images", "--filter", &filter, "--format", format]).output();
    let images = listed.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    for image in images.split_whitespace() {
        // The last name of an image takes the image with it.
        Command::new("podman").args(["rmi", image]).output().ok();
    }
}

/// The files of a working tree, tracked or not, without what is ignored.
fn listed(root: &Path) -> Vec<String> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0').filter(|it| !it.is_empty() && root.join(it).is_file()).map(Into::into).collect()
}
