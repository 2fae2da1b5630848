//! A host that has nothing of ours but the public key: it pulls by digest and verifies, by the very lines that are documented.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::{fs, path::PathBuf, process::Command};

use release::{Digest, Repository, SigningKey, registry::Manifest};
use scratch_registry::{ScratchRegistry, Settings};
use tempfile::TempDir;

use crate::world::{at, client, digest, push, tag};

/// What the registry is called on the hosts of this test.
const NAME: &str = "registry.example";

/// A machine whose name service, home, store and trust are its own.
struct Host {
    folder: TempDir,
    address: String,
}

impl Host {
    /// It reaches the registry by name, and trusts the authority that vouches for it.
    fn of(registry: &ScratchRegistry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home", "bin", "store", "tmp"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::copy(registry.authority(), at("ca.pem")).unwrap();
        fs::write(at("hosts"), format!("127.0.0.1 localhost {NAME}\n")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_release"), at("bin/release")).unwrap();
        let [store, run] = ["store", "tmp/run"].map(|it| at(it).display().to_string());
        let store = format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{store}\"\nrunroot = \"{run}\"\n");
        fs::write(at("storage.conf"), store).unwrap();
        let port = registry.address().rsplit(':').next().unwrap();
        Self { address: format!("{NAME}:{port}"), folder }
    }

    fn repository(&self) -> Repository {
        at(&self.address)
    }

    /// Runs lines in a folder of their own, which holds the key; gives whether they end well, and what they say.
    fn runs(&self, lines: &str, key: &SigningKey, image: &Digest) -> (bool, String) {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        fs::write(folder.path().join("release.pub"), key.public().to_pem()).unwrap();
        let mut command = self.command(&["bash", "-ec", lines]);
        command.current_dir(folder.path());
        command.env("IMAGE", self.repository().to_string()).env("DIGEST", image.to_string());
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    }

    /// A command with names of its own, by a mount that nobody else sees.
    fn command(&self, words: &[&str]) -> Command {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
        command.arg(at("hosts")).args(words).env_clear();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([at("bin")].into_iter().chain(std::env::split_paths(&path))).unwrap();
        command.env("PATH", path).env("HOME", at("home")).env("TMPDIR", at("tmp"));
        command.env("SSL_CERT_FILE", at("ca.pem")).env("CONTAINERS_STORAGE_CONF", at("storage.conf"));
        command
    }

    /// The machine that releases is a host like any other.
    fn releases(&self, image: &Digest, key: &SigningKey) {
        let file = |name: &str, text: &str| -> PathBuf {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let key = file("key", key.to_pem(None).unwrap().reveal());
        let sbom = file("sbom.json", "{}");
        let image = self.repository().at_digest(image).to_string();
        let [key, sbom] = [key, sbom].map(|it| it.display().to_string());
        for words in [
            &["release", "sign", &image, "--signing-key", &key][..],
            &["release", "attach", "sbom", &image, &sbom],
        ] {
            let output = self.command(words).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The ways to verify that `docs/verifying.md` tells.
fn documented() -> Vec<String> {
    let text = include_str!("../../../../docs/verifying.md");
    let blocks = text.split("```").skip(1).step_by(2);
    let lines: Vec<String> = blocks.map(|it| it.split_once('\n').unwrap().1.to_owned()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    lines
}

#[tokio::test]
async fn a_fresh_host_pulls_by_digest_and_verifies_with_nothing_but_the_public_key() {
    let storage = tempfile::tempdir().unwrap();
    let settings = Settings { storage: Some(storage.path()), ..Settings::default() };
    // Two doors to one registry: by the other one people write there behind its back.
    let (behind, registry) = (
        ScratchRegistry::with(settings).unwrap(),
        ScratchRegistry::with(Settings { tls_name: Some(NAME), ..settings }).unwrap(),
    );
    let host = Host::of(&registry);
    if !host.command(&["true"]).status().unwrap().success() {
        println!("skipped: this user may not give a process names of its own");
        return;
    }
    let (ann, eve) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let (client, back) = (client(), at(behind.address()));
    let image = push(&client, &back, "v1", "hello").await;
    let unsigned = push(&client, &back, "v2", "another").await;
    let swapped = push(&client, &back, "v3", "a third one").await;
    host.releases(&image, &ann);
    // Ann's signature, put where one of the third image belongs.
    let place = |image: &Digest| tag(&format!("sha256-{}.sig", image.hex()));
    let signatures: Manifest = client.manifest(&back, &place(&image)).await.unwrap().unwrap();
    client.put_manifest(&back, &place(&swapped), &signatures).await.unwrap();

    let refused = [(&eve, &image), (&ann, &unsigned), (&ann, &swapped)];
    let words = [
        ["by none of the trusted keys", "is not signed", "it was put there for an image that nobody signed"],
        ["is not signed by this key", "manifest unknown", "is not signed by this key"],
    ];
    for (lines, words) in documented().iter().zip(words) {
        let (done, said) = host.runs(lines, &ann, &image);
        assert!(done, "{lines}: {said}");
        for ((key, image), words) in refused.into_iter().zip(words) {
            let (done, said) = host.runs(lines, key, image);
            assert!(!done && said.contains(words), "{lines}: {said}");
        }
    }
    // What lies under the digest is another thing now: a host that has nothing yet gets nothing.
    let fresh = Host::of(&registry);
    let manifest = client.manifest(&back, &digest(&image)).await.unwrap().unwrap();
    fs::write(registry.stored(image.hex()), vec![b' '; manifest.bytes.len()]).unwrap();
    for lines in documented() {
        let (done, said) = fresh.runs(&lines, &ann, &image);
        assert!(!done, "{lines}: {said}");
    }
}
