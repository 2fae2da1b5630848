//! A recorded release is looked at where it lies: digest, signature, SBOM.

use std::fs;

use release::attach::{Document, attach};
use release::registry::{Blob, Manifest, OCI_MANIFEST, Options};
use release::sign::sign;
use release::{At, Digest, Registry, Repository, SigningKey};
use scratch_registry::ScratchRegistry;
use serde_json::{Value, json};
use store::Origin;
use store::jobs::Outcome;
use store::releases::{Image, NewRelease, Release};
use tempfile::TempDir;

use crate::World;

/// A registry, a key that is trusted, and a file that says so.
struct Shelf {
    server: ScratchRegistry,
    client: Registry,
    key: SigningKey,
    folder: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let shelf = Self {
            server: ScratchRegistry::start().unwrap(),
            client: Registry::new(Options::default()).unwrap(),
            key: SigningKey::generate().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(shelf.folder.path().join("keys.pem"), shelf.key.public().to_pem()).unwrap();
        shelf
    }

    fn keys(&self) -> String {
        self.folder.path().join("keys.pem").to_str().unwrap().to_owned()
    }

    fn repository(&self, service: &str) -> Repository {
        format!("{}/team/{service}", self.server.address()).parse().unwrap()
    }

    /// Pushes an image of no layer that says to be of this service.
    async fn push(&self, service: &str) -> Digest {
        let repository = self.repository(service);
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] },
            "config": { "Labels": { "dev.slipway.service": service } } });
        let config = Blob::of(config.to_string());
        self.client.push_blob(&repository, &config).await.unwrap();
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config.digest.to_string(), "size": config.size } });
        let manifest = Manifest { media_type: OCI_MANIFEST.to_owned(), bytes: manifest.to_string().into() };
        let at = At::Tag("v1.4.0".parse().unwrap());
        self.client.put_manifest(&repository, &at, &manifest).await.unwrap()
    }

    /// Pushes an image as a release does: with its SBOM, signed by that key.
    async fn publish(&self, service: &str, key: &SigningKey) -> Digest {
        let (repository, digest) = (self.repository(service), self.push(service).await);
        attach(&self.client, &repository, &digest, &Document::sbom("{}")).await.unwrap();
        sign(&self.client, &repository, &digest, key).await.unwrap();
        digest
    }

    fn image(&self, service: &str, digest: &Digest) -> Image {
        Image {
            service: service.to_owned(),
            repository: self.repository(service).to_string(),
            digest: digest.to_string(),
        }
    }
}

impl World {
    async fn record(&self, images: Vec<Image>) -> Release {
        let new = NewRelease {
            version: "1.4.0".to_owned(),
            commit_id: "c0ffee00".repeat(5),
            images,
            signing_key_id: None,
            evidence: None,
        };
        self.store.releases().record(&new, None, &Origin::of("ann")).await.unwrap().value
    }

    /// What is on the record about a release once no job is left.
    async fn verdict(&self, release: &Release) -> Value {
        self.wait_for_all().await;
        let mut verdicts = self.verdicts(release).await;
        assert_eq!(verdicts.len(), 1);
        verdicts.remove(0).details
    }
}

#[tokio::test]
async fn a_release_whose_images_are_signed_by_a_trusted_key_is_verified() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let digest = shelf.publish("gateway", &shelf.key).await;
    let release = world.record(vec![shelf.image("gateway", &digest)]).await;
    let _worker = world.worker_with(&[("RELEASE_KEYS_FILE", &shelf.keys())]);

    let verdict = world.verdict(&release).await;

    let signed_by = json!([shelf.key.public().id().to_string()]);
    assert_eq!(verdict["verdict"], "verified");
    assert_eq!(verdict["images"]["gateway"], json!({ "state": "verified", "signed_by": signed_by }));
    let told =
        sqlx::query_scalar::<_, String>("SELECT payload ->> 'verdict' FROM webhook_outbox WHERE event = $1")
            .bind("release.verified")
            .fetch_one(&mut world.admin().await)
            .await
            .unwrap();
    assert_eq!(told, "verified", "the outside world hears of it");
}

#[tokio::test]
async fn every_image_that_is_not_what_was_released_is_told_with_the_reason() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let stranger = SigningKey::generate().unwrap();
    let unsigned = shelf.push("control").await;
    let foreign = shelf.publish("gateway", &stranger).await;
    let gone: Digest = format!("sha256:{}", "b".repeat(64)).parse().unwrap();
    let images = vec![
        shelf.image("control", &unsigned),
        shelf.image("gateway", &foreign),
        shelf.image("worker", &gone),
        // The image of another service, signed as that.
        Image {
            service: "proxy".to_owned(),
            ..shelf.image("migrator", &shelf.publish("migrator", &shelf.key).await)
        },
    ];
    let release = world.record(images).await;
    let _worker = world.worker_with(&[("RELEASE_KEYS_FILE", &shelf.keys())]);

    let verdict = world.verdict(&release).await;

    let text = serde_json::to_string_pretty(&verdict["images"]).unwrap();
    let text =
        text.replace(shelf.server.address(), "REGISTRY").replace(&stranger.public().id().to_string(), "KEY");
    let text =
        text.replace(unsigned.hex(), "CONTROL").replace(foreign.hex(), "GATEWAY").replace(gone.hex(), "GONE");
    let migrator = verdict["images"]["proxy"]["why"].as_str().unwrap().split_once("sha256:").unwrap().1;
    let text = text.replace(&migrator[..64], "MIGRATOR");
    assert_eq!(verdict["verdict"], "refused");
    insta::assert_snapshot!(text, @r#"
    {
      "control": {
        "state": "refused",
        "why": "`REGISTRY/team/control@sha256:CONTROL` is not signed; `release sign REGISTRY/team/control@sha256:CONTROL` signs it with the releaser's key"
      },
      "gateway": {
        "state": "refused",
        "why": "`REGISTRY/team/gateway@sha256:GATEWAY` is signed by the key KEY, and by none of the trusted keys; `--key FILE` names those"
      },
      "proxy": {
        "state": "refused",
        "why": "`REGISTRY/team/migrator@sha256:MIGRATOR` has the label `dev.slipway.service` = `migrator`, which should be `proxy`"
      },
      "worker": {
        "state": "refused",
        "why": "`REGISTRY/team/worker@sha256:GONE` is not there: it was deleted, or never pushed"
      }
    }
    "#);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_asked_again_and_the_release_is_not_judged() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let digest = shelf.publish("gateway", &shelf.key).await;
    let image = shelf.image("gateway", &digest);
    let (keys, address) = (shelf.keys(), shelf.server.address().to_owned());
    let Shelf { server, folder: _folder, .. } = shelf;
    drop(server);
    let release = world.record(vec![image]).await;
    let _worker = world.worker_with(&[("RELEASE_KEYS_FILE", &keys)]);

    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM jobs").fetch_one(&mut world.admin().await).await.unwrap();
    let job = world.wait_for_job(id, |job| job.last_error.is_some()).await;

    assert_eq!(job.outcome, None::<Outcome>);
    assert_eq!(world.verdicts(&release).await, []);
    let text = job.last_error.unwrap().replace(&address, "REGISTRY").replace(digest.hex(), "DIGEST");
    insta::assert_snapshot!(text, @"cannot read `REGISTRY/team/gateway@sha256:DIGEST`: `REGISTRY` cannot be reached: client error (Connect): tcp connect error: Connection refused (os error 111), in 6 attempts; try again when `REGISTRY` is well");
}
