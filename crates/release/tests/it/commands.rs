//! The program itself: JSON on stdout, talk on stderr, exit codes, and no secret anywhere.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use release::{Digest, Repository};
use serde_json::Value;
use tempfile::TempDir;

use scratch_registry::{ScratchRegistry, Settings, Tunnels};

use crate::{
    record,
    world::{USER, at, client_with, hasty, login, push},
};

/// A folder in which commands are given, and the environment of each.
struct Desk {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What a command came to.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn says(&self, arguments: &[&str]) -> Said {
        self.given(arguments, "")
    }

    fn given(&self, arguments: &[&str], stdin: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_release"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The JSON that a command writes that is done.
    fn does(&self, arguments: &[&str]) -> Value {
        let said = self.says(arguments);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    }
}

#[test]
fn a_key_is_made_for_its_owner_alone_and_never_overwritten() {
    let desk = Desk::new();
    let said = desk.says(&["keys", "new", "key"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.starts_with("WARNING: the key in `key` is NOT encrypted"), "{}", said.stderr);
    let made: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((made["public"].as_str(), made["encrypted"].as_bool()), (Some("key.pub"), Some(false)));
    let mode = fs::metadata(desk.path().join("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = desk.says(&["keys", "public", "--signing-key", "key"]).stdout;
    assert_eq!(public, fs::read_to_string(desk.path().join("key.pub")).unwrap());
    let again = desk.says(&["keys", "new", "key"]);
    assert_eq!(again.code, Some(2));
    insta::assert_snapshot!(again.stderr, @"error: `key` is there already; a key is not overwritten, choose another name");

    let said = desk.given(&["keys", "new", "other", "--passphrase-stdin"], "correct horse\n");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(fs::read_to_string(desk.path().join("other")).unwrap().contains("ENCRYPTED"));
    let opened =
        desk.given(&["keys", "public", "--signing-key", "other", "--passphrase-stdin"], "correct horse");
    assert_eq!(opened.code, Some(0), "{}", opened.stderr);
    assert_eq!(desk.says(&["keys", "public", "--signing-key", "other"]).code, Some(2));
}

#[test]
fn wrong_usage_is_exit_2_and_says_what_would_be_right() {
    let desk = Desk::new();
    for arguments in [&["resolve", "gateway"][..], &["sign"], &["verify"], &["resolve", "a.b/c"]] {
        assert_eq!(desk.says(arguments).code, Some(2), "{arguments:?}");
    }
    let said = desk.says(&["sign", "a.b/c:v1", "--signing-key", "none"]);
    insta::assert_snapshot!(said.stderr, @"error: `a.b/c:v1` has no digest, and a tag may name another image tomorrow; `release resolve a.b/c:v1` tells it");
    assert_eq!(said.code, Some(2));
}

/// An image on a registry with a login, and a desk whose environment knows it.
struct World {
    real: ScratchRegistry,
    desk: Desk,
    repository: Repository,
    image: Digest,
    password: String,
}

impl World {
    async fn new() -> Self {
        let password = format!("pw-{}", std::process::id());
        let real = ScratchRegistry::for_one(USER, &password).unwrap();
        let repository = at(real.address());
        let client = client_with(login(real.address(), &password), hasty());
        let image = push(&client, &repository, "v1", "hello").await;
        let mut desk = Desk::new();
        desk.environment.push(("SLIPWAY_REGISTRY_USER", USER.to_owned()));
        desk.environment.push(("SLIPWAY_REGISTRY_PASSWORD", password.clone()));
        desk.does(&["keys", "new", "key"]);
        Self { real, desk, repository, image, password }
    }

    fn pinned(&self) -> String {
        self.repository.at_digest(&self.image).to_string()
    }
}

#[tokio::test]
async fn an_image_is_signed_with_its_sbom_and_verified() {
    let world = World::new().await;
    let (desk, image) = (&world.desk, world.pinned());
    let resolved = desk.does(&["resolve", &format!("{}:v1", world.repository)]);
    assert_eq!(resolved["digest"], world.image.to_string());

    let verify = ["verify", &image, "--key", "key.pub"];
    let said = desk.says(&verify);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("is not signed"), "{}", said.stderr);

    let signed = desk.does(&["sign", &image, "--signing-key", "key"]);
    assert_eq!(signed["signed"], "added");
    assert_eq!(desk.does(&["sign", &image, "--signing-key", "key"])["signed"], "already");
    fs::write(desk.path().join("sbom.json"), "{}").unwrap();
    desk.does(&["attach", "sbom", &image, "sbom.json"]);
    let verified = desk.does(&verify);
    assert_eq!(verified["signed_by"][0], signed["key"]);
    assert_eq!(verified["sbom"], Digest::of(b"{}").to_string());
}

#[tokio::test]
async fn a_password_that_is_wrong_or_on_standard_input_is_never_shown() {
    let mut world = World::new().await;
    let resolve = ["resolve", &world.pinned(), "--password-stdin"].map(str::to_owned);
    let resolve: Vec<&str> = resolve.iter().map(String::as_str).collect();
    world.desk.environment.retain(|(name, _)| *name == "SLIPWAY_REGISTRY_USER");
    let said = world.desk.given(&resolve, &world.password);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let wrong = format!("{}x", world.password);
    let said = world.desk.given(&resolve, &wrong);
    assert_eq!(said.code, Some(3));
    assert!(!said.stderr.contains(&world.password), "{}", said.stderr);
    assert!(said.stderr.contains("of `ann` from standard input"), "{}", said.stderr);
    world.desk.environment.clear();
    let said = world.desk.says(&resolve[..2]);
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.contains("wants to know who asks"), "{}", said.stderr);
}

#[tokio::test]
async fn a_record_is_signed_attached_fetched_and_every_image_of_it_verified() {
    let world = World::new().await;
    let (desk, image) = (&world.desk, world.pinned());
    let service = record::service(&world.repository.to_string(), world.image.clone());
    fs::write(desk.path().join("release.json"), record::of(service).to_bytes()).unwrap();
    desk.does(&["record", "sign", "release.json", "--signing-key", "key"]);
    let shown = desk.does(&["record", "verify", "release.json", "--key", "key.pub"]);
    assert_eq!(shown["version"], "1.4.0");
    desk.does(&["attach", "record", &image, "release.json"]);
    let fetched = desk.says(&["record", "fetch", &image, "--key", "key.pub"]);
    assert_eq!(fetched.stdout, fs::read_to_string(desk.path().join("release.json")).unwrap());

    desk.does(&["keys", "new", "eve"]);
    for arguments in [&["record", "fetch", &image][..], &["record", "verify", "release.json"]] {
        let said = desk.says(&[arguments, &["--key", "eve.pub"]].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        assert!(
            said.stderr.contains("none of the trusted keys signed this release record"),
            "{}",
            said.stderr
        );
    }

    // The image lacks the labels that the record tells of: what verifies each image says so.
    desk.does(&["sign", &image, "--signing-key", "key"]);
    let said = desk.says(&["verify", "--record", "release.json", "--key", "key.pub"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("has the label `dev.slipway.fingerprint` not at all"), "{}", said.stderr);
    drop(world.real);
}

#[test]
fn a_registry_is_reached_through_the_hosts_proxy_and_trusted_by_its_private_authority() {
    let real = ScratchRegistry::with(Settings { tls_name: Some("registry.example"), ..Settings::default() })
        .unwrap();
    let tunnels = Tunnels::to(real.address()).unwrap();
    let mut desk = Desk::new();
    desk.environment.push(("HTTPS_PROXY", format!("http://proxy-user:proxy-word@{}", tunnels.address())));
    let resolve = ["resolve", "registry.example/team/gateway:v1"];
    let said = desk.says(&resolve);
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.contains("its certificate is not trusted here"), "{}", said.stderr);
    assert!(!said.stderr.contains("proxy-word"), "{}", said.stderr);
    desk.environment.push(("SSL_CERT_FILE", real.authority().display().to_string()));
    assert_eq!(desk.does(&resolve), Value::Null);
    let asked = tunnels.asked();
    assert!(asked[0].starts_with("connect registry.example:443 "), "{}", asked[0]);
    assert!(asked[0].contains("proxy-authorization: basic "), "{}", asked[0]);
}

#[test]
fn a_registry_without_tls_is_spoken_to_only_where_it_is_named() {
    let real = ScratchRegistry::start().unwrap();
    let tunnels = Tunnels::to(real.address()).unwrap();
    let mut desk = Desk::new();
    desk.environment.push(("HTTPS_PROXY", format!("http://{}", tunnels.address())));
    let said = desk.says(&["resolve", "registry.example/team/gateway:v1"]);
    assert_eq!(said.code, Some(3));
    let advice = "it does not speak TLS; `--insecure-registry registry.example` lets it be asked without";
    assert!(said.stderr.contains(advice), "{}", said.stderr);
    // Loopback needs neither a proxy nor to be named.
    let asked = tunnels.asked().len();
    assert_eq!(desk.does(&["resolve", &format!("{}/team/gateway:v1", real.address())]), Value::Null);
    assert_eq!(tunnels.asked().len(), asked);
}
