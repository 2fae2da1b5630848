//! A registry on its bad days: bounded retries, then an error that says what to do.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use release::{
    Logins,
    registry::{Blob, Limits},
};

use crate::{
    faults::{Fault, Faulty},
    world::{Real, at, client, client_with, digest, hasty, push, tag},
};

/// An error with the addresses of the day taken out.
fn told(error: &release::registry::RegistryError, address: &str) -> String {
    error.to_string().replace(address, "HOST")
}

fn status(status: u16) -> Fault {
    Fault::Answer(status, Vec::new(), "")
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let real = Real::start();
    let faulty = Faulty::before(&real.address).await;
    let pushed = push(&client(), &real.repository(), "v1", "it").await;
    for fault in [status(500), status(502), status(503)] {
        faulty.on("GET", "/manifests/", 1, fault);
    }
    let manifest = client().manifest(&at(&faulty.address), &tag("v1")).await.unwrap().unwrap();
    assert_eq!((manifest.digest(), faulty.seen("GET", "/manifests/")), (pushed, 4));
    faulty.on("GET", "/manifests/", 1, Fault::LoseAnswer);
    faulty.on("GET", "/manifests/", 1, Fault::CloseDownloadAfter(20));
    assert!(client().manifest(&at(&faulty.address), &tag("v1")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_registry_that_never_recovers_is_given_up() {
    let real = Real::start();
    let faulty = Faulty::before(&real.address).await;
    let body = r#"{"errors":[{"code":"UNKNOWN","message":"storage is away"}]}"#;
    faulty.on("GET", "/manifests/", usize::MAX, Fault::Answer(500, Vec::new(), body));
    let error = client().manifest(&at(&faulty.address), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, &faulty.address), @"cannot read `HOST/team/gateway:v1`: `HOST` answered 500 Internal Server Error: UNKNOWN storage is away, in 4 attempts; try again when `HOST` is well");
    assert_eq!((error.exit_code(), faulty.seen("GET", "/manifests/")), (3, 4));
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_given_up() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let error = client().resolve(&at(&address), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, &address), @"cannot look up `HOST/team/gateway:v1`: `HOST` cannot be reached: client error (Connect): tcp connect error: Connection refused (os error 111), in 4 attempts; try again when `HOST` is well");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let real = Real::start();
    let faulty = Faulty::before(&real.address).await;
    let body = r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#;
    faulty.on("PUT", "/manifests/", 1, Fault::Answer(403, Vec::new(), body));
    let manifest = release::registry::Manifest { media_type: "it".to_owned(), bytes: "{}".into() };
    let error = client().put_manifest(&at(&faulty.address), &tag("v1"), &manifest).await.unwrap_err();
    insta::assert_snapshot!(told(&error, &faulty.address), @"cannot store `HOST/team/gateway:v1`: `HOST` does not let somebody without a name do that (403 Forbidden: DENIED not yours); ask its owner for the right to");
    let error = client().put_manifest(&at(&faulty.address), &tag("v1"), &manifest).await.unwrap_err();
    assert!(error.to_string().contains("refused with 400"), "{error}");
    assert_eq!((error.exit_code(), faulty.seen("PUT", "/manifests/")), (3, 2));
}

#[tokio::test]
async fn a_pause_that_the_registry_asks_for_is_kept() {
    let real = Real::start();
    let faulty = Faulty::before(&real.address).await;
    push(&client(), &real.repository(), "v1", "it").await;
    let busy = |seconds: &str| Fault::Answer(429, vec![("retry-after", seconds.to_owned())], "");
    faulty.on("GET", "/manifests/", 1, busy("1"));
    let begun = Instant::now();
    client().manifest(&at(&faulty.address), &tag("v1")).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());

    faulty.on("GET", "/manifests/", 1, busy("3600"));
    let error = client().manifest(&at(&faulty.address), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, &faulty.address), @"cannot read `HOST/team/gateway:v1`: `HOST` answered 429 Too Many Requests and asks to wait 3600 s, in 1 attempts; try again when `HOST` is well");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn a_manifest_a_byte_at_a_time_ends_at_the_deadline() {
    let real = Real::start();
    let faulty = Faulty::before(&real.address).await;
    push(&client(), &real.repository(), "v1", "it").await;
    faulty.on("GET", "/manifests/", 1, Fault::Drip(Duration::from_millis(50)));
    let limits = Limits { operation: Duration::from_secs(1), ..hasty() };
    let error =
        client_with(Logins::none(), limits).manifest(&at(&faulty.address), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, &faulty.address), @"cannot read `HOST/team/gateway:v1`: `HOST` was not done with it after 1 s; it, or the network to it, is too slow");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn other_content_than_was_asked_for_is_refused() {
    let real = Real::start();
    let faulty = Faulty::before(&real.address).await;
    let (repository, client) = (at(&faulty.address), client());
    let pushed = push(&client, &real.repository(), "v1", "it").await;
    for at in [digest(&pushed), tag("v1")] {
        faulty.on("GET", "/manifests/", 1, Fault::Forge);
        let error = client.manifest(&repository, &at).await.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let said = error.to_string();
        assert!(said.contains(&format!("for {pushed}; what it has was changed or is damaged")), "{said}");
    }
    let blob = Blob::of("some content");
    client.push_blob(&real.repository(), &blob).await.unwrap();
    faulty.on("GET", "/blobs/", 1, Fault::Forge);
    let descriptor = release::registry::Descriptor {
        media_type: String::new(),
        digest: blob.digest.clone(),
        size: blob.size,
        artifact_type: None,
        annotations: [].into(),
    };
    let error = client.blob_bytes(&repository, &descriptor, 100).await.unwrap_err();
    assert!(error.to_string().contains(&format!("for {}", blob.digest)), "{error}");
    let descriptor = release::registry::Descriptor { size: 5, ..descriptor };
    let error = client.blob_bytes(&repository, &descriptor, 100).await.unwrap_err();
    assert!(error.to_string().contains("12 bytes instead of 5"), "{error}");
}

#[tokio::test]
async fn a_full_disk_of_the_registry_is_told_as_one() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root mounts a small file system");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::tmpfs(folder.path(), "size=1m");
    let Some(mounted) = mounted else {
        println!("skipped: this machine lets nobody mount a file system");
        return;
    };
    let real = Real::with(crate::world::Users::Anybody, Some(folder.path()));
    let error =
        client().push_blob(&real.repository(), &Blob::of(crate::world::noise(3_000_000))).await.unwrap_err();
    let said = told(&error, &real.address);
    assert!(said.ends_with("`HOST` has no space left; free some, or run its garbage collection"), "{said}");
    assert_eq!(error.exit_code(), 3);
    drop(real);
    drop(mounted);
}

/// A file system that is gone after the test.
struct Mounted<'a>(&'a std::path::Path);

impl<'a> Mounted<'a> {
    fn tmpfs(at: &'a std::path::Path, options: &str) -> Option<Self> {
        let mut command = std::process::Command::new("mount");
        let status = command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status();
        status.is_ok_and(|it| it.success()).then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("umount");
        command.arg("--lazy").arg(self.0).status().ok();
    }
}
