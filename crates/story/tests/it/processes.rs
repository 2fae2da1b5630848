//! Slipway as processes of this machine: the built binaries, each told where the one behind it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use scratch_store::ScratchStore;
use service::testing::{Binary, Running};

use crate::door::Door;
use crate::{binary, home};

/// Proxy, gateway, control and worker on loopback, over a migrated database.
pub(crate) struct Processes {
    proxy: Running,
    gateway: Running,
    control: Running,
    worker: Running,
    secrets: PathBuf,
    given: Given,
    _scratch: ScratchStore,
}

/// What the services are told beside where the others are.
#[derive(Default)]
pub(crate) struct Given {
    /// A folder of their own, for the secrets that they share.
    pub(crate) folder: PathBuf,
    /// The worker's settings.
    pub(crate) worker: Vec<(&'static str, PathBuf)>,
    /// Every service's settings.
    pub(crate) all: Vec<(&'static str, &'static str)>,
}

impl Processes {
    pub(crate) async fn start(given: Given) -> Self {
        let scratch = ScratchStore::migrated().await;
        let secrets = secrets(&given.folder);
        let control = given
            .service("control")
            .env("DATABASE_URL", &scratch.app_url())
            .env("IDENTITY_KEY_FILE", text(&secrets.join("identity-key")))
            .start()
            .await;
        let gateway = given.gateway(&secrets, &control.url()).await;
        let proxy = given.service("proxy").env("UPSTREAM_URL", &gateway.url()).start().await;
        let mut worker = given.service("worker").env("DATABASE_URL", &scratch.app_url());
        worker = worker.env("WORKER_POLL_MS", "50");
        for (name, path) in &given.worker {
            worker = worker.env(name, text(path));
        }
        let worker = worker.start().await;
        Self { proxy, gateway, control, worker, secrets, given, _scratch: scratch }
    }

    /// A gateway like this one before another control, or none.
    pub(crate) async fn gateway_before(&self, control: &str) -> Running {
        self.given.gateway(&self.secrets, control).await
    }

    /// The services by name, each with where its figures are.
    pub(crate) fn admin(&self) -> [(&'static str, SocketAddr); 4] {
        let services = [
            ("proxy", &self.proxy),
            ("gateway", &self.gateway),
            ("control", &self.control),
            ("worker", &self.worker),
        ];
        services.map(|(name, running)| (name, running.admin_address()))
    }

    pub(crate) fn door(&self) -> Door {
        self.door_at(&self.proxy)
    }

    /// The same people, who come in elsewhere.
    pub(crate) fn door_at(&self, running: &Running) -> Door {
        let keys = self.secrets.join("token-keys");
        let mint = move |subject: &str, role: &str| mint(&keys, subject, role);
        Door { url: running.url(), mint: Box::new(mint) }
    }

    /// Stops all, the edge first; none has to be killed.
    pub(crate) async fn stop(self) {
        for running in [self.proxy, self.gateway, self.control, self.worker] {
            let finished = running.stop().await;
            assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        }
    }
}

impl Given {
    fn service(&self, name: &str) -> Binary {
        self.all.iter().fold(service(name), |service, (name, value)| service.env(name, value))
    }

    async fn gateway(&self, secrets: &Path, control: &str) -> Running {
        let gateway = self.service("gateway").env("CONTROL_URL", control);
        let gateway = gateway.env("IDENTITY_KEY_FILE", text(&secrets.join("identity-key")));
        gateway.env("TOKEN_KEYS_FILE", text(&secrets.join("token-keys"))).start().await
    }
}

/// A token that the keys of that file sign.
pub(crate) fn mint(keys: &Path, subject: &str, role: &str) -> String {
    let mut command = Command::new(binary("gateway"));
    command.args(["token", "--subject", subject, "--role", role]).env("TOKEN_KEYS_FILE", keys);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn service(name: &str) -> Binary {
    Binary::new(text(&binary(name)))
}

/// The secrets of the compose file, made in a folder of their own by what makes them there.
pub(crate) fn secrets(folder: &Path) -> PathBuf {
    let script = folder.join(".config/compose/secrets.sh");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::copy(home().join(".config/compose/secrets.sh"), &script).unwrap();
    assert!(Command::new("sh").arg(&script).arg("external").status().unwrap().success());
    folder.join(".env.secrets")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
