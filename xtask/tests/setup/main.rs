//! What a newcomer meets on a bare machine: a root file system with git, a C linker, the toolchain and nothing else.
//!
//! Names that begin with `long_` are the longer forms: `cargo xtask test --profile long`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by its panic")]

mod bare;

use std::fs;

use bare::{Bare, Network, Said};

/// Steps that lack something on a bare machine.
const LACKING: &str = "test sqlx migrations images";

#[test]
fn on_a_bare_machine_everything_missing_is_told_at_once_and_nothing_is_changed_unasked() {
    let bare = Bare::with_workspace();
    doctor_tells_everything(&bare);
    the_gate_is_environment_and_names_the_same(&bare);
    a_set_up_without_a_network_fails_and_leaves_nothing(&bare);
    a_user_without_root_is_told_what_to_run(&bare);
}

fn doctor_tells_everything(bare: &Bare) {
    let said = bare.run("xtask doctor", Network::Shared);
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    let tools = said.stdout.split("\nHost\n").next().unwrap();
    insta::assert_snapshot!(tools, @"
    Tools
      ok       git              /usr/bin/git
      ok       cc               /usr/bin/cc
      ok       ca-certificates  /etc/ssl/certs/ca-certificates.crt
      ok       rustfmt          /usr/local/toolchain/bin/cargo-fmt
      missing  ripsecrets       looks for credentials
                                cargo install --locked ripsecrets@0.1.11
      missing  cargo-deny       judges licences, sources and advisories
                                cargo install --locked cargo-deny@0.20.2
      ok       clippy           /usr/local/toolchain/bin/cargo-clippy
      missing  cargo-nextest    runs the tests
                                cargo install --locked cargo-nextest@0.9.143 --no-default-features --features default-no-update
      missing  cargo-sqlx       compares the queries with the schema
                                cargo install --locked sqlx-cli@0.9.0 --no-default-features --features postgres
      missing  postgres         is the scratch database
                                cargo xtask doctor --fix, or apt-get install --no-install-recommends postgresql-15 (which also starts a cluster)
      ok       setpriv          /usr/bin/setpriv
      missing  podman           builds and runs the images
                                apt-get install --no-install-recommends podman
      missing  runc             starts containers, also with hybrid cgroups
                                apt-get install --no-install-recommends runc
      missing  mmdebstrap       makes base images where none can be pulled
                                apt-get install --no-install-recommends mmdebstrap
      ok       debian-keyring   /usr/share/keyrings/debian-archive-keyring.gpg
      missing  python3-yaml     reads the compose file
                                apt-get install --no-install-recommends python3 python3-yaml
      missing  podman-compose   is the other reader of the compose file, in tests
                                apt-get install --no-install-recommends podman-compose
      missing  docker-registry  is the registry of the tests
                                apt-get install --no-install-recommends docker-registry
      missing  skopeo           pulls what the tests pushed, as a host does
                                apt-get install --no-install-recommends skopeo
      missing  jq               reads signatures as a host without ours does
                                apt-get install --no-install-recommends jq
      missing  promtool         tries the alert rules in the tests
                                apt-get install --no-install-recommends prometheus
      missing  kill             sends the signals of the tests
                                apt-get install --no-install-recommends procps
    ");
    assert!(said.stdout.ends_with("`cargo xtask doctor --fix` gets them all.\n"), "{}", said.stdout);
}

fn the_gate_is_environment_and_names_the_same(bare: &Bare) {
    let doctor = bare.run("xtask doctor", Network::Shared);
    let gate = bare.run(&format!("xtask ci --keep-going {LACKING}"), Network::Shared);
    assert_eq!(gate.code, Some(3), "{}{}", gate.stdout, gate.stderr);
    let missing = doctor.missing();
    assert!(missing.len() > 5, "{}", doctor.stdout);
    // The queries are judged without the one until one cannot be; the gate needs no compose file.
    let waived = ["cargo-sqlx", "python3-yaml"];
    for (name, command) in missing.into_iter().filter(|(name, _)| !waived.contains(&name.as_ref())) {
        assert!(gate.stdout.contains(&format!("`{name}` is missing: {command}")), "{name}: {}", gate.stdout);
    }
    assert!(gate.stdout.contains("cargo xtask ci --setup"), "{}", gate.stdout);
}

fn a_set_up_without_a_network_fails_and_leaves_nothing(bare: &Bare) {
    let said = bare.run("xtask ci --setup migrations", Network::None);
    assert_eq!(said.code, Some(3), "{}{}", said.stdout, said.stderr);
    assert!(
        said.stderr.contains("apt-get install --yes --no-install-recommends postgresql-15"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("error: `apt-get update` failed"), "{}", said.stderr);
    assert!(said.stderr.contains("target/xtask/logs/setup.log"), "{}", said.stderr);
    assert!(!bare.exists("/usr/sbin/policy-rc.d"));
    assert!(!bare.exists("/etc/postgresql-common"));
}

fn a_user_without_root_is_told_what_to_run(bare: &Bare) {
    bare.run("chown -R 1000:1000 .", Network::None);
    let said = bare.run_as_user("xtask ci --setup migrations");
    assert_eq!(said.code, Some(3), "{}{}", said.stdout, said.stderr);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: packages need root, and `sudo -n` does not give it; run this, then try again: sudo apt-get install --yes --no-install-recommends postgresql-15");
}

/// With the compiled tools there already, so that it is packages alone.
#[test]
fn long_the_set_up_installs_packages_once_without_a_cluster_or_a_service() {
    let bare = Bare::with_workspace();
    for tool in ["cargo-nextest-0.9.143/bin/cargo-nextest", "sqlx-cli-0.9.0/bin/cargo-sqlx"] {
        let place = bare.at("/root/.cache/slipway/tools").join(tool);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy("/bin/true", place).unwrap();
    }
    let first = bare.run("xtask doctor --fix", Network::Shared);
    assert_eq!(first.code, Some(0), "{}{}", first.stdout, first.stderr);
    assert!(first.stdout.contains("Everything is there."), "{}", first.stdout);
    for left in ["/usr/sbin/policy-rc.d", "/etc/postgresql-common/createcluster.d", "/etc/postgresql/15"] {
        assert!(!bare.exists(left), "{left}");
    }
    let second = bare.run("xtask doctor --fix", Network::None);
    assert_eq!(second.code, Some(0), "{}{}", second.stdout, second.stderr);
    assert_eq!(second.stderr, "", "the second set-up has nothing to do");
}

#[test]
fn long_a_newcomer_types_two_commands_and_all_is_green() {
    let bare = Bare::with_workspace();
    bare.borrow_downloads();
    bare.commit();
    for command in ["cargo xtask ci --setup", "cargo xtask test --setup", "cargo xtask ci"] {
        assert_eq!(bare.follow(command), Some(0), "`{command}` in a bare root");
    }
}

impl Said {
    /// The missing tools that doctor told, each with its command.
    fn missing(&self) -> Vec<(String, String)> {
        let lines: Vec<&str> = self.stdout.lines().collect();
        let pairs = lines.windows(2).filter_map(|pair| {
            let name = pair[0].strip_prefix("  missing  ")?.split_whitespace().next()?;
            Some((name.to_owned(), pair[1].trim().to_owned()))
        });
        pairs.collect()
    }
}
