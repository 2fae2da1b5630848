//! Signatures: who signs adds, who verifies accepts just what was signed, and others read the same.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use release::{
    At, Digest, Error, Policy, PublicKey, Refusal, Registry, Repository, SigningKey, TrustedKeys,
    registry::{Blob, Manifest, OCI_MANIFEST},
    sign::{Signed, sign},
    signature::{KEY_ANNOTATION, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, statement},
    verify::{self, Sbom},
};

use scratch_registry::ScratchRegistry;

use crate::world::{at, client, push, skopeo, tag};

fn policy(keys: &[&SigningKey]) -> Policy {
    Policy { keys: trusted(keys), sbom: Sbom::Optional, ..Policy::default() }
}

fn trusted(keys: &[&SigningKey]) -> TrustedKeys {
    TrustedKeys::new(keys.iter().map(|it| it.public().clone()).collect())
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

/// What verifying came to, with digests and addresses of the day taken out.
async fn refused(client: &Registry, repository: &Repository, image: &Digest, policy: &Policy) -> String {
    let error = verify::verify(client, repository, image, policy).await.unwrap_err();
    assert_eq!(error.exit_code(), 1, "{error}");
    error
        .to_string()
        .replace(&repository.at_digest(image).to_string(), "IMAGE")
        .replace(repository.registry(), "HOST")
}

fn sig_tag(image: &Digest) -> At {
    tag(&format!("sha256-{}.sig", image.hex()))
}

/// Puts a signature where one belongs, whatever it says.
async fn forge(
    client: &Registry,
    repository: &Repository,
    image: &Digest,
    layer: (&[u8], &str, Option<&PublicKey>),
) {
    let (said, signature, key) = layer;
    let (said, config) = (Blob::of(said.to_vec()), Blob::of("{}"));
    client.push_blob(repository, &said).await.unwrap();
    client.push_blob(repository, &config).await.unwrap();
    let mut annotations = serde_json::json!({ SIGNATURE_ANNOTATION: signature });
    if let Some(key) = key {
        annotations[KEY_ANNOTATION] = key.id().to_string().into();
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": config.size },
        "layers": [{ "mediaType": SIMPLE_SIGNING, "digest": said.digest, "size": said.size, "annotations": annotations }],
    });
    let manifest = Manifest { media_type: OCI_MANIFEST.to_owned(), bytes: manifest.to_string().into() };
    client.put_manifest(repository, &sig_tag(image), &manifest).await.unwrap();
}

fn signed(key: &SigningKey, said: &[u8]) -> String {
    BASE64.encode(key.sign(said).unwrap())
}

#[tokio::test]
async fn what_a_trusted_key_signed_is_accepted() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository, ann) = (client(), at(real.address()), key());
    let image = push(&client, &repository, "v1", "hello").await;
    assert_eq!(sign(&client, &repository, &image, &ann).await.unwrap(), Signed::Added);
    let verified = verify::verify(&client, &repository, &image, &policy(&[&ann])).await.unwrap();
    assert_eq!(verified.signed_by, [ann.public().id()]);
    assert_eq!(verified.labels["it"], "hello");
    assert_eq!(verified.digest, image);
}

#[tokio::test]
async fn a_key_signs_once_and_keys_sign_beside_each_other() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let (old, new, other) = (key(), key(), key());
    let image = push(&client, &repository, "v1", "hello").await;
    sign(&client, &repository, &image, &old).await.unwrap();
    let first = client.resolve(&repository, &sig_tag(&image)).await.unwrap();
    assert_eq!(sign(&client, &repository, &image, &old).await.unwrap(), Signed::Already);
    assert_eq!(client.resolve(&repository, &sig_tag(&image)).await.unwrap(), first);
    assert_eq!(sign(&client, &repository, &image, &new).await.unwrap(), Signed::Added);
    for keys in [&[&old][..], &[&new], &[&other, &new]] {
        verify::verify(&client, &repository, &image, &policy(keys)).await.unwrap();
    }
    let both = verify::verify(&client, &repository, &image, &policy(&[&old, &new])).await.unwrap();
    assert_eq!(both.signed_by.len(), 2);
}

#[tokio::test]
async fn each_thing_that_is_wrong_has_its_own_message() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let (ann, eve) = (key(), key());
    let image = push(&client, &repository, "v1", "hello").await;
    let another = push(&client, &repository, "v2", "another").await;
    let good = policy(&[&ann]);

    insta::assert_snapshot!(refused(&client, &repository, &image, &good).await, @"`IMAGE` is not signed; `release sign IMAGE` signs it with the releaser's key");
    let gone = Digest::of(b"gone");
    insta::assert_snapshot!(refused(&client, &repository, &gone, &good).await, @"`IMAGE` is not there: it was deleted, or never pushed");

    sign(&client, &repository, &image, &eve).await.unwrap();
    let told = refused(&client, &repository, &image, &good).await;
    insta::assert_snapshot!(told.replace(&eve.public().id().to_string(), "EVE"), @"`IMAGE` is signed by the key EVE, and by none of the trusted keys; `--key FILE` names those");

    let said = statement(&repository, &image);
    forge(&client, &repository, &image, (&said, &signed(&eve, &said), None)).await;
    insta::assert_snapshot!(refused(&client, &repository, &image, &good).await, @"`IMAGE` is signed, and by none of the trusted keys; `--key FILE` names those");

    // The statement is another one than ann signed.
    let old = statement(&repository, &another);
    forge(&client, &repository, &image, (&said, &signed(&ann, &old), Some(ann.public()))).await;
    insta::assert_snapshot!(refused(&client, &repository, &image, &good).await, @"what is signed for `IMAGE` was changed after it was signed; do not use the image, and look who can write there");

    // Her signature of another image, moved here.
    forge(&client, &repository, &image, (&old, &signed(&ann, &old), Some(ann.public()))).await;
    let told = refused(&client, &repository, &image, &good).await;
    insta::assert_snapshot!(told.replace(&another.to_string(), "ANOTHER"), @"the signature at `IMAGE` is one of ANOTHER; it was put there for an image that nobody signed");

    let elsewhere = statement(&"registry.example/team/gateway".parse().unwrap(), &image);
    forge(&client, &repository, &image, (&elsewhere, &signed(&ann, &elsewhere), None)).await;
    insta::assert_snapshot!(refused(&client, &repository, &image, &good).await, @"`IMAGE` is signed as part of `registry.example/team/gateway`, not of `HOST/team/gateway`; `--identity registry.example/team/gateway` accepts a copy of it");
    let copy = Policy { identity: Some("registry.example/team/gateway".parse().unwrap()), ..policy(&[&ann]) };
    verify::verify(&client, &repository, &image, &copy).await.unwrap();

    forge(&client, &repository, &image, (b"{}", &signed(&ann, b"{}"), None)).await;
    insta::assert_snapshot!(refused(&client, &repository, &image, &good).await, @"what a trusted key signed for `IMAGE` is no statement about an image");

    let manifest = client.manifest(&repository, &tag("v1")).await.unwrap().unwrap();
    client.put_manifest(&repository, &sig_tag(&image), &manifest).await.unwrap();
    let told = refused(&client, &repository, &image, &good).await;
    insta::assert_snapshot!(told.replace(image.hex(), "HEX"), @"what lies at `HOST/team/gateway:sha256-HEX.sig` is no list of signatures; somebody else uses that tag, remove it");
    assert!(
        sign(&client, &repository, &image, &ann).await.is_err(),
        "an image was made a list of signatures"
    );
}

#[tokio::test]
async fn a_statement_that_was_changed_where_it_is_stored_does_not_count() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository, ann) = (client(), at(real.address()), key());
    let image = push(&client, &repository, "v1", "hello").await;
    sign(&client, &repository, &image, &ann).await.unwrap();
    let said = statement(&repository, &image);
    let stored = real.stored(Digest::of(&said).hex());
    fs::write(&stored, vec![b' '; said.len()]).unwrap();
    let error = verify::verify(&client, &repository, &image, &policy(&[&ann])).await.unwrap_err();
    assert!(matches!(error, Error::Refusal(Refusal::Tampered { .. })), "{error}");
}

#[tokio::test]
async fn labels_and_sboms_that_lack_are_told() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository, ann) = (client(), at(real.address()), key());
    let image = push(&client, &repository, "v1", "hello").await;
    sign(&client, &repository, &image, &ann).await.unwrap();
    let labelled = |label: &str, value: &str| Policy {
        labels: [(label.to_owned(), value.to_owned())].into(),
        ..policy(&[&ann])
    };
    verify::verify(&client, &repository, &image, &labelled("it", "hello")).await.unwrap();
    insta::assert_snapshot!(refused(&client, &repository, &image, &labelled("it", "bye")).await, @"`IMAGE` has the label `it` = `hello`, which should be `bye`");
    insta::assert_snapshot!(refused(&client, &repository, &image, &labelled("that", "bye")).await, @"`IMAGE` has the label `that` not at all, which should be `bye`");
    let with_sbom = Policy { sbom: Sbom::Required, ..policy(&[&ann]) };
    insta::assert_snapshot!(refused(&client, &repository, &image, &with_sbom).await, @"`IMAGE` has no SBOM; `release attach sbom` attaches one");
}

#[tokio::test]
async fn skopeo_finds_the_signature_where_it_looks_for_one() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository, ann) = (client(), at(real.address()), key());
    let image = push(&client, &repository, "v1", "hello").await;
    sign(&client, &repository, &image, &ann).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("key.pub"), ann.public().to_pem()).unwrap();
    let policy = serde_json::json!({
        "default": [{ "type": "reject" }],
        "transports": { "docker": { repository.to_string(): [{
            "type": "sigstoreSigned", "keyPath": path("key.pub"), "signedIdentity": { "type": "matchRepository" },
        }] } },
    });
    fs::write(path("policy.json"), policy.to_string()).unwrap();
    fs::create_dir(path("registries.d")).unwrap();
    let found = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", repository.registry());
    fs::write(path("registries.d") + "/it.yaml", found).unwrap();
    let (from, to) = (format!("docker://{}", repository.at_digest(&image)), format!("dir:{}", path("image")));
    let (policy, places) = (path("policy.json"), path("registries.d"));
    let (done, _, said) = skopeo(&[
        "--debug",
        "--policy",
        &policy,
        "--registries.d",
        &places,
        "copy",
        "--src-tls-verify=false",
        &from,
        &to,
    ]);
    assert!(said.contains("Found a sigstore attachment manifest with 1 layers"), "{said}");
    // Debian's build finds it, and then refuses to look at it.
    assert!(done || said.contains("sigstore disabled"), "{said}");
}
