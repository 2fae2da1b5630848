//! Clients with little patience, and an image for a registry.

use std::{fs, process::Command, time::Duration};

use bytes::Bytes;
use release::{
    At, Credentials, Digest, Logins, Registry, Repository, Tag,
    credentials::Secret,
    registry::{Blob, Limits, Manifest, OCI_MANIFEST, Options},
};

/// Who may use a registry with a login.
pub(crate) const USER: &str = "ann";

/// The repository of the tests at an address.
pub(crate) fn at(address: &str) -> Repository {
    format!("{address}/team/gateway").parse().unwrap()
}

pub(crate) fn tag(text: &str) -> At {
    At::Tag(text.parse::<Tag>().unwrap())
}

pub(crate) fn digest(digest: &Digest) -> At {
    At::Digest(digest.clone())
}

/// Limits with which a test need not wait.
pub(crate) fn hasty() -> Limits {
    Limits {
        attempts: 4,
        pause: Duration::from_millis(10),
        pause_max: Duration::from_millis(50),
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        operation: Duration::from_secs(30),
        bytes_per_s_min: 1024 * 1024,
        chunk_bytes: 256 * 1024,
    }
}

pub(crate) fn client() -> Registry {
    client_with(Logins::none(), hasty())
}

pub(crate) fn client_with(logins: Logins, limits: Limits) -> Registry {
    Registry::new(Options { logins, limits, ..Options::default() }).unwrap()
}

pub(crate) fn login(address: &str, password: &str) -> Logins {
    let (user, password) = (USER.to_owned(), Secret::new(password));
    Logins::fixed(address, Credentials { user, password, source: "the test".to_owned() })
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Pushes an image of one layer, a file named `file` with that text, under a tag, and returns its manifest's digest.
pub(crate) async fn push(client: &Registry, repository: &Repository, name: &str, text: &str) -> Digest {
    let layer = Blob::of(tar(text));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"it":"{text}"}}}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.digest
    );
    let config = Blob::of(config);
    for blob in [&layer, &config] {
        client.push_blob(repository, blob).await.unwrap();
    }
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        config.digest, config.size, layer.digest, layer.size
    );
    let manifest = Manifest { media_type: OCI_MANIFEST.to_owned(), bytes: manifest.into() };
    client.put_manifest(repository, &tag(name), &manifest).await.unwrap()
}

fn tar(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), text).unwrap();
    let mut command = Command::new("tar");
    command.args(["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "-C"]);
    command.arg(folder.path()).arg("file").output().unwrap().stdout
}

/// Runs skopeo without anything of the caller's, and gives what it said.
pub(crate) fn skopeo(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new("skopeo").args(arguments).env_remove("REGISTRY_AUTH_FILE").output();
    let output = output.expect("`cargo xtask test --setup` installs skopeo");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}
