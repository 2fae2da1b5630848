//! What a registry is for: what is pushed is what is pulled.

use std::{fs, time::Duration};

use release::{
    Digest,
    registry::{Blob, Content, Descriptor, Limits, Pushed},
};

use scratch_registry::{Fault, Faulty, ScratchRegistry};

use crate::world::{at, client, client_with, digest, hasty, noise, push, skopeo, tag};

fn described(blob: &Blob) -> Descriptor {
    Descriptor {
        media_type: "application/octet-stream".to_owned(),
        digest: blob.digest.clone(),
        size: blob.size,
        artifact_type: None,
        annotations: [].into(),
    }
}

#[tokio::test]
async fn skopeo_pulls_what_was_pushed() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let pushed = push(&client, &repository, "v1.0.0", "hello").await;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) =
        (format!("docker://{}", repository.at_digest(&pushed)), format!("dir:{}", folder.path().display()));
    let (done, _, said) = skopeo(&["--insecure-policy", "copy", "--src-tls-verify=false", &from, &to]);
    assert!(done, "{said}");
    let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
    assert_eq!(Digest::of(&manifest), pushed);
    client.check(&repository).await.unwrap();
    assert_eq!(client.tags(&repository).await.unwrap(), ["v1.0.0".parse().unwrap()]);
}

#[tokio::test]
async fn a_tag_tells_what_it_names_now_and_a_deleted_manifest_is_gone() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    assert_eq!(client.resolve(&repository, &tag("v1")).await.unwrap(), None);
    assert_eq!(client.tags(&repository).await.unwrap(), []);
    let first = push(&client, &repository, "v1", "first").await;
    let resolved = client.resolve(&repository, &tag("v1")).await.unwrap().unwrap();
    assert_eq!(resolved.digest, first);
    let manifest = client.manifest(&repository, &digest(&first)).await.unwrap().unwrap();
    assert_eq!((manifest.digest(), manifest.descriptor()), (first.clone(), resolved));

    let second = push(&client, &repository, "v1", "second").await;
    assert_eq!(client.resolve(&repository, &tag("v1")).await.unwrap().unwrap().digest, second);
    assert!(client.delete_manifest(&repository, &second).await.unwrap());
    assert_eq!(client.resolve(&repository, &tag("v1")).await.unwrap(), None);
    assert_eq!(client.manifest(&repository, &digest(&second)).await.unwrap(), None);
    assert!(!client.delete_manifest(&repository, &second).await.unwrap());
    assert!(client.manifest(&repository, &digest(&first)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_large_blob_goes_from_a_file_in_chunks_and_comes_back_whole() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let bytes = noise(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, [b"header".as_slice(), &bytes, b"trailer"].concat()).unwrap();
    let blob = Blob { content: Content::File { path, offset: 6 }, ..Blob::of(bytes.clone()) };
    assert_eq!(client.push_blob(&repository, &blob).await.unwrap(), Pushed::Uploaded);
    assert_eq!(client.push_blob(&repository, &blob).await.unwrap(), Pushed::Present);
    assert_eq!(client.blob_bytes(&repository, &described(&blob), 2_000_000).await.unwrap(), bytes);
    let refused = client.blob_bytes(&repository, &described(&blob), 10).await.unwrap_err().to_string();
    assert!(refused.ends_with("sent more than 10 bytes"), "{refused}");
}

#[tokio::test]
async fn an_empty_blob_can_be_pushed_and_read() {
    let real = ScratchRegistry::start().unwrap();
    let (client, repository) = (client(), at(real.address()));
    let blob = Blob::of("");
    assert_eq!(client.push_blob(&repository, &blob).await.unwrap(), Pushed::Uploaded);
    assert_eq!(client.blob_bytes(&repository, &described(&blob), 10).await.unwrap(), "");
}

/// Uploads through a fault on the second chunk and sees that it arrives, in how many uploads.
async fn cut_at_the_second_chunk(fault: Fault) -> usize {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let (client, repository) = (client(), at(faulty.address()));
    let blob = Blob::of(noise(1_000_000));
    // The first chunk gets through.
    faulty.on("PATCH", "/uploads/", 1, Fault::ForgetRange);
    faulty.on("PATCH", "/uploads/", 1, fault);
    assert_eq!(client.push_blob(&repository, &blob).await.unwrap(), Pushed::Uploaded);
    let stored = fs::read(real.stored(blob.digest.hex())).unwrap();
    assert_eq!(Digest::of(&stored), blob.digest);
    faulty.seen("POST", "/uploads/")
}

#[tokio::test]
async fn an_upload_goes_on_where_the_connection_closed() {
    assert_eq!(cut_at_the_second_chunk(Fault::CloseUploadAfter(0)).await, 1);
}

#[tokio::test]
async fn an_upload_that_the_registry_gave_up_begins_anew() {
    assert_eq!(cut_at_the_second_chunk(Fault::CloseUploadAfter(100_000)).await, 2);
}

#[tokio::test]
async fn a_chunk_whose_answer_was_lost_is_not_stored_twice() {
    cut_at_the_second_chunk(Fault::LoseAnswer).await;
}

#[tokio::test]
async fn an_upload_whose_last_answer_was_lost_is_done() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let (client, repository) = (client(), at(faulty.address()));
    faulty.on("PUT", "/uploads/", 1, Fault::LoseAnswer);
    assert_eq!(client.push_blob(&repository, &Blob::of("it")).await.unwrap(), Pushed::Uploaded);
    assert_eq!(faulty.seen("PUT", "/uploads/"), 1);
}

#[tokio::test]
async fn an_upload_that_is_cut_again_and_again_ends_in_an_error() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    faulty.on("PATCH", "/uploads/", usize::MAX, Fault::CloseUploadAfter(0));
    let error = client().push_blob(&at(faulty.address()), &Blob::of(noise(1_000_000))).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("closed the connection"), "{error}");
    assert_eq!(faulty.seen("PATCH", "/uploads/"), 4);
}

/// Downloads through a fault and sees that it arrives; gives how many requests that took.
async fn broken_download(second: Option<Fault>) -> usize {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let (client, bytes) = (client(), noise(700_000));
    let blob = Blob::of(bytes.clone());
    client.push_blob(&at(real.address()), &blob).await.unwrap();
    faulty.on("GET", "/blobs/", 1, Fault::CloseDownloadAfter(300_000));
    if let Some(fault) = second {
        faulty.on("GET", "/blobs/", 1, fault);
    }
    let read = client.blob_bytes(&at(faulty.address()), &described(&blob), 1_000_000).await.unwrap();
    assert!(read == bytes, "other bytes arrived");
    faulty.seen("GET", "/blobs/")
}

#[tokio::test]
async fn a_download_goes_on_where_the_connection_closed() {
    assert_eq!(broken_download(None).await, 2);
}

#[tokio::test]
async fn a_download_from_a_registry_without_ranges_is_whole_too() {
    assert_eq!(broken_download(Some(Fault::ForgetRange)).await, 2);
}

#[tokio::test]
async fn a_download_at_a_byte_a_moment_ends_at_its_deadline() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let blob = Blob::of(noise(100_000));
    client().push_blob(&at(real.address()), &blob).await.unwrap();
    faulty.on("GET", "/blobs/", 1, Fault::Drip(Duration::from_millis(20)));
    let limits = Limits { operation: Duration::from_secs(1), ..hasty() };
    let client = client_with(release::Logins::none(), limits);
    let error = client.blob_bytes(&at(faulty.address()), &described(&blob), 100_000).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let said = error.to_string();
    assert!(
        said.ends_with("was not done with it after 1 s; it, or the network to it, is too slow"),
        "{said}"
    );
}
