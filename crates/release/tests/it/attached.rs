//! Documents beside an image: attached once, found from the image, and believed only where they say the same.

use release::{
    At, Policy, Repository, SigningKey, TrustedKeys,
    attach::{Document, SBOM_TYPE, attach, attached},
    registry::{Manifest, OCI_INDEX},
    sign::sign,
    verify::{self, Sbom},
};

use scratch_registry::{Fault, Faulty, ScratchRegistry};

use crate::world::{at, client, push, tag};

fn fallback(image: &release::Digest) -> At {
    tag(&format!("sha256-{}", image.hex()))
}

#[tokio::test]
async fn an_sbom_is_attached_once_and_found_from_the_image() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let image = push(&client, &repository, "v1", "hello").await;
    assert_eq!(attached(&client, &repository, &image, SBOM_TYPE).await.unwrap(), []);
    let sbom = Document::sbom(r#"{"bomFormat":"CycloneDX"}"#);
    let first = attach(&client, &repository, &image, &sbom).await.unwrap();
    let list = client.resolve(&repository, &fallback(&image)).await.unwrap();
    assert_eq!(attach(&client, &repository, &image, &sbom).await.unwrap(), first);
    assert_eq!(client.resolve(&repository, &fallback(&image)).await.unwrap(), list);

    attach(&client, &repository, &image, &Document::record("{}", "it")).await.unwrap();
    let found = attached(&client, &repository, &image, SBOM_TYPE).await.unwrap();
    assert_eq!((found.len(), &found[0].digest), (1, &first));
    let read = client.blob_bytes(&repository, &found[0].parts[0], 1000).await.unwrap();
    assert_eq!(read, r#"{"bomFormat":"CycloneDX"}"#);

    let ann = SigningKey::generate().unwrap();
    sign(&client, &repository, &image, &ann).await.unwrap();
    let keys = TrustedKeys::new(vec![ann.public().clone()]);
    let policy = |sbom| Policy { keys: keys.clone(), sbom, ..Policy::default() };
    let parts = found[0].parts[0].digest.clone();
    let verified =
        verify::verify(&client, &repository, &image, &policy(Sbom::Exactly(parts.clone()))).await.unwrap();
    assert_eq!(verified.sbom, Some(parts));
    let other = policy(Sbom::Exactly(release::Digest::of(b"other")));
    assert!(verify::verify(&client, &repository, &image, &other).await.is_err());
}

#[tokio::test]
async fn what_is_listed_and_is_about_another_image_does_not_count() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let image = push(&client, &repository, "v1", "hello").await;
    let another = push(&client, &repository, "v2", "another").await;
    attach(&client, &repository, &another, &Document::sbom("{}")).await.unwrap();
    let list = client.manifest(&repository, &fallback(&another)).await.unwrap().unwrap();
    client.put_manifest(&repository, &fallback(&image), &list).await.unwrap();
    assert_eq!(attached(&client, &repository, &image, SBOM_TYPE).await.unwrap(), []);
}

#[tokio::test]
async fn documents_of_others_stay_listed() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let image = push(&client, &repository, "v1", "hello").await;
    let theirs = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image, "size": 2,
            "artifactType": "application/x", "annotations": { "a": "b" } }],
    });
    let theirs = Manifest { media_type: OCI_INDEX.to_owned(), bytes: theirs.to_string().into() };
    client.put_manifest(&repository, &fallback(&image), &theirs).await.unwrap();
    attach(&client, &repository, &image, &Document::sbom("{}")).await.unwrap();
    let all = client.referrers(&repository, &image, None).await.unwrap();
    assert_eq!((all.len(), all[0].annotations["a"].as_str()), (2, "b"));
}

#[tokio::test]
async fn nothing_is_attached_to_what_is_not_there() {
    let real = ScratchRegistry::start().unwrap();
    let repository: Repository = at(real.address());
    let image = release::Digest::of(b"gone");
    let error = attach(&client(), &repository, &image, &Document::sbom("{}")).await.unwrap_err();
    assert!(error.to_string().ends_with("is not there: it was deleted, or never pushed"), "{error}");
}

#[tokio::test]
async fn a_registry_with_the_referrers_api_keeps_the_list_itself() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let (client, repository) = (client(), at(faulty.address()));
    let image = push(&client, &repository, "v1", "hello").await;
    faulty.on(
        "PUT",
        "/manifests/sha256:",
        1,
        Fault::Answer(201, vec![("oci-subject", image.to_string())], String::new()),
    );
    attach(&client, &repository, &image, &Document::sbom("{}")).await.unwrap();
    assert_eq!(client.resolve(&repository, &fallback(&image)).await.unwrap(), None);

    let entry =
        |kind: &str| format!(r#"{{"mediaType":"x","digest":"{image}","size":2,"artifactType":"{kind}"}}"#);
    let list = format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, entry("a/b"), entry("c/d"));
    faulty.on("GET", "/referrers/sha256:", 2, Fault::Answer(200, Vec::new(), list));
    assert_eq!(client.referrers(&repository, &image, None).await.unwrap().len(), 2);
    let found = client.referrers(&repository, &image, Some("c/d")).await.unwrap();
    assert_eq!(found[0].artifact_type.as_deref(), Some("c/d"));
    assert_eq!(found.len(), 1);
}
