//! Slipway as processes of this machine: the built binaries, each told where the one behind it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use scratch_store::ScratchStore;
use service::testing::{Binary, Running};

use crate::door::Door;
use crate::project::Project;
use crate::receiver::Receiver;
use crate::{binary, home};

/// Proxy, gateway, control and worker on loopback, over a migrated database.
pub(crate) struct Processes {
    proxy: Running,
    gateway: Running,
    control: Running,
    worker: Running,
    token_keys: PathBuf,
    _scratch: ScratchStore,
}

impl Processes {
    pub(crate) async fn start(project: &Project, receiver: &Receiver) -> Self {
        let scratch = ScratchStore::migrated().await;
        let secrets = secrets(&project.beside("slipway"));
        let (identity_key, token_keys) = (secrets.join("identity-key"), secrets.join("token-keys"));
        let control = service("control")
            .env("DATABASE_URL", &scratch.app_url())
            .env("IDENTITY_KEY_FILE", text(&identity_key))
            .start()
            .await;
        let gateway = service("gateway")
            .env("CONTROL_URL", &control.url())
            .env("IDENTITY_KEY_FILE", text(&identity_key))
            .env("TOKEN_KEYS_FILE", text(&token_keys))
            .start()
            .await;
        let proxy = service("proxy").env("UPSTREAM_URL", &gateway.url()).start().await;
        let folder = project.beside("worker");
        let worker = service("worker")
            .env("DATABASE_URL", &scratch.app_url())
            .env("WORKER_POLL_MS", "50")
            .env("WEBHOOKS_FILE", text(&receiver.introduce(&folder, &folder)))
            .env("RELEASE_KEYS_FILE", text(&project.public_key()))
            .start()
            .await;
        Self { proxy, gateway, control, worker, token_keys, _scratch: scratch }
    }

    pub(crate) fn door(&self) -> Door {
        let keys = self.token_keys.clone();
        let mint = move |subject: &str, role: &str| {
            let mut command = Command::new(binary("gateway"));
            command.args(["token", "--subject", subject, "--role", role]).env("TOKEN_KEYS_FILE", &keys);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        Door { url: self.proxy.url(), mint: Box::new(mint) }
    }

    /// Stops all, the edge first; none has to be killed.
    pub(crate) async fn stop(self) {
        for running in [self.proxy, self.gateway, self.control, self.worker] {
            let finished = running.stop().await;
            assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        }
    }
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
