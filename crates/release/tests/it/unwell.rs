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

use scratch_registry::{Fault, Faulty, ScratchRegistry, Settings, SmallDisk};

use crate::world::{at, client, client_with, digest, hasty, noise, push, tag};

/// An error with the addresses of the day taken out.
fn told(error: &release::registry::RegistryError, address: &str) -> String {
    error.to_string().replace(address, "HOST")
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let pushed = push(&client(), &at(real.address()), "v1", "it").await;
    for fault in [500, 502, 503].map(Fault::status) {
        faulty.on("GET", "/manifests/", 1, fault);
    }
    let manifest = client().manifest(&at(faulty.address()), &tag("v1")).await.unwrap().unwrap();
    assert_eq!((manifest.digest(), faulty.seen("GET", "/manifests/")), (pushed, 4));
    faulty.on("GET", "/manifests/", 1, Fault::LoseAnswer);
    faulty.on("GET", "/manifests/", 1, Fault::CloseDownloadAfter(20));
    assert!(client().manifest(&at(faulty.address()), &tag("v1")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_registry_that_never_recovers_is_given_up() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let body = r#"{"errors":[{"code":"UNKNOWN","message":"storage is away"}]}"#;
    faulty.on("GET", "/manifests/", usize::MAX, Fault::Answer(500, Vec::new(), body.to_owned()));
    let error = client().manifest(&at(faulty.address()), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, faulty.address()), @"cannot read `HOST/team/gateway:v1`: `HOST` answered 500 Internal Server Error: UNKNOWN storage is away, in 4 attempts; try again when `HOST` is well");
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
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let body = r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#;
    faulty.on("PUT", "/manifests/", 1, Fault::Answer(403, Vec::new(), body.to_owned()));
    let manifest = release::registry::Manifest { media_type: "it".to_owned(), bytes: "{}".into() };
    let error = client().put_manifest(&at(faulty.address()), &tag("v1"), &manifest).await.unwrap_err();
    insta::assert_snapshot!(told(&error, faulty.address()), @"cannot store `HOST/team/gateway:v1`: `HOST` does not let somebody without a name do that (403 Forbidden: DENIED not yours); ask its owner for the right to");
    let error = client().put_manifest(&at(faulty.address()), &tag("v1"), &manifest).await.unwrap_err();
    assert!(error.to_string().contains("refused with 400"), "{error}");
    assert_eq!((error.exit_code(), faulty.seen("PUT", "/manifests/")), (3, 2));
}

#[tokio::test]
async fn a_pause_that_the_registry_asks_for_is_kept() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    push(&client(), &at(real.address()), "v1", "it").await;
    let busy = |seconds: &str| Fault::Answer(429, vec![("retry-after", seconds.to_owned())], String::new());
    faulty.on("GET", "/manifests/", 1, busy("1"));
    let begun = Instant::now();
    client().manifest(&at(faulty.address()), &tag("v1")).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());

    faulty.on("GET", "/manifests/", 1, busy("3600"));
    let error = client().manifest(&at(faulty.address()), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, faulty.address()), @"cannot read `HOST/team/gateway:v1`: `HOST` answered 429 Too Many Requests and asks to wait 3600 s, in 1 attempts; try again when `HOST` is well");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn a_manifest_a_byte_at_a_time_ends_at_the_deadline() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    push(&client(), &at(real.address()), "v1", "it").await;
    faulty.on("GET", "/manifests/", 1, Fault::Drip(Duration::from_millis(50)));
    let limits = Limits { operation: Duration::from_secs(1), ..hasty() };
    let error =
        client_with(Logins::none(), limits).manifest(&at(faulty.address()), &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(&error, faulty.address()), @"cannot read `HOST/team/gateway:v1`: `HOST` was not done with it after 1 s; it, or the network to it, is too slow");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn an_upload_that_is_slow_is_waited_for_within_its_time_and_given_up_after() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let (repository, blob) = (at(faulty.address()), Blob::of(noise(600_000)));
    for method in ["PATCH", "PUT"] {
        faulty.on(method, "/uploads/", usize::MAX, Fault::Slow(400_000));
    }
    // Such a registry is given a second for these bytes, or half a minute.
    let limits = Limits { operation: Duration::from_millis(500), ..hasty() };
    let error = client_with(Logins::none(), limits).push_blob(&repository, &blob).await.unwrap_err();
    let said = told(&error, faulty.address());
    assert!(
        said.ends_with("was not done with it after 0 s; it, or the network to it, is too slow"),
        "{said}"
    );
    assert_eq!(error.exit_code(), 3);
    client().push_blob(&repository, &blob).await.unwrap();
}

#[tokio::test]
async fn a_web_page_is_taken_for_no_answer_of_a_registry() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let repository = at(faulty.address());
    let page = vec![("content-type", "text/html; charset=utf-8".to_owned())];
    for method in ["GET", "HEAD", "POST", "PUT"] {
        let page = Fault::Answer(200, page.clone(), "<h1>Welcome to our hotel</h1>".to_owned());
        faulty.on(method, "/v2/", usize::MAX, page);
    }
    let client = client();
    let manifest = release::registry::Manifest { media_type: "it".to_owned(), bytes: "{}".into() };
    let blob = Blob::of("it");
    for error in [
        client.check(&repository).await.unwrap_err(),
        client.resolve(&repository, &tag("v1")).await.unwrap_err(),
        client.manifest(&repository, &tag("v1")).await.unwrap_err(),
        client.put_manifest(&repository, &tag("v1"), &manifest).await.unwrap_err(),
        client.push_blob(&repository, &blob).await.unwrap_err(),
        client.has_blob(&repository, &blob.digest).await.unwrap_err(),
        client.tags(&repository).await.unwrap_err(),
    ] {
        let said = told(&error, faulty.address());
        assert_eq!(
            said,
            "`HOST` does not answer as a registry does: what it sends is a web page, as a network's that \
                          wants a login first; see what `HOST` shows in a browser"
        );
        assert_eq!(error.exit_code(), 3);
    }
}

#[tokio::test]
async fn other_content_than_was_asked_for_is_refused() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let (repository, client) = (at(faulty.address()), client());
    let pushed = push(&client, &at(real.address()), "v1", "it").await;
    for at in [digest(&pushed), tag("v1")] {
        faulty.on("GET", "/manifests/", 1, Fault::Forge);
        let error = client.manifest(&repository, &at).await.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let said = error.to_string();
        assert!(said.contains(&format!("for {pushed}; what it has was changed or is damaged")), "{said}");
    }
    let blob = Blob::of("some content");
    client.push_blob(&at(real.address()), &blob).await.unwrap();
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
    let Some(disk) = SmallDisk::of_kib(1024).unwrap() else {
        println!("skipped: this user may not mount a file system");
        return;
    };
    let settings = Settings { storage: Some(disk.path()), ..Settings::default() };
    let real = ScratchRegistry::with(settings).unwrap();
    let error = client().push_blob(&at(real.address()), &Blob::of(noise(3_000_000))).await.unwrap_err();
    let said = told(&error, real.address());
    assert!(said.ends_with("`HOST` has no space left; free some, or run its garbage collection"), "{said}");
    assert_eq!(error.exit_code(), 3);
}
