//! Publishing what is on a registry already: two who do it at the same moment, under the same names.

use std::{fs, path::Path, time::Duration};

use release::{Digest, SigningKey, sign::sign};
use scratch_registry::{Fault, Faulty, ScratchRegistry};
use tempfile::TempDir;
use tokio::process::Command;

use crate::world::{at, client, push};

/// A host that has pushed its image, and is about to tag it `v1.0.0`.
struct Host {
    folder: TempDir,
    image: Digest,
}

impl Host {
    /// Its image is of its own; it asks the registry through `address`.
    async fn pushed(real: &ScratchRegistry, address: &str, name: &str, key: &SigningKey) -> Self {
        let (client, repository) = (client(), at(real.address()));
        let image = push(&client, &repository, &format!("build-{name}"), name).await;
        // Signed as what it is called there.
        sign(&client, &at(address), &image, key).await.unwrap();
        let manifest = client.manifest(&repository, &crate::world::digest(&image)).await.unwrap().unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
        let id = &manifest["config"]["digest"];
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: String| fs::write(folder.path().join(file), text).unwrap();
        write("key", key.to_pem(None).unwrap().reveal().to_owned());
        write("key.pub", key.public().to_pem());
        let pushed =
            serde_json::json!({ "images": { "gateway": { "digest": image, "id": id, "sbom": null } } });
        write("pushed.json", pushed.to_string());
        let order = serde_json::json!({
            "version": "1.0.0", "commit": "c0ffee".repeat(7)[..40], "created_at": "2026-03-04T05:06:07Z",
            "registry": address, "path": "team", "immutable": ["v1.0.0"], "moving": ["latest"],
            "images": [{ "service": "gateway", "reference": null, "id": id }],
            "trusted_keys": [folder.path().join("key.pub")], "evidence": {}, "folder": folder.path(),
            "accepted": { "no_advisories": false, "stand_in_bases": [] },
        });
        write("order.json", order.to_string());
        Self { folder, image }
    }

    async fn publishes(&self) -> (Option<i32>, String) {
        let file = |name: &str| -> std::path::PathBuf { Path::new(self.folder.path()).join(name) };
        let mut command = Command::new(env!("CARGO_BIN_EXE_release"));
        command.args(["publish", "publish", "--order"]).arg(file("order.json"));
        command.arg("--signing-key").arg(file("key")).env_clear();
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

#[tokio::test]
async fn of_two_who_tag_at_the_same_moment_one_is_told_that_the_other_was_quicker() {
    let real = ScratchRegistry::start().unwrap();
    let (quick, slow) = (Faulty::before(real.address()).unwrap(), Faulty::before(real.address()).unwrap());
    let key = SigningKey::generate().unwrap();
    let ann = Host::pushed(&real, quick.address(), "ann", &key).await;
    let bob = Host::pushed(&real, slow.address(), "bob", &key).await;
    // Both see that the tag is free. Ann's is put first, and Bob's over it while Ann's record is on its way.
    slow.on("PUT", "/manifests/v1.0.0", 1, Fault::Late(Duration::from_secs(1)));
    quick.on("PUT", "/manifests/sha256:", 1, Fault::Late(Duration::from_secs(2)));
    let ((ann_ended, ann_said), (bob_ended, bob_said)) = tokio::join!(ann.publishes(), bob.publishes());
    assert_eq!((ann_ended, bob_ended), (Some(1), Some(0)), "{ann_said}{bob_said}");
    let refusals: serde_json::Value = serde_json::from_str(&ann_said).unwrap();
    assert_eq!(refusals["refusals"][0]["code"], "release-registry-tag", "{ann_said}");
    let shelf = real.shelf("team/gateway");
    for tag in ["v1.0.0", "latest"] {
        assert_eq!(shelf.digest(tag), Some(bob.image.to_string()), "{tag}");
    }

    // Doing it again changes nothing on either side.
    assert_eq!((ann.publishes().await.0, bob.publishes().await.0), (Some(1), Some(0)));
    assert_eq!(shelf.digest("v1.0.0"), Some(bob.image.to_string()));
}
