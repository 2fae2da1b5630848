//! Starting, saying what is wrong, being asked for its health, and stopping.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use service::testing::until_status;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::tokens::{Key, KeysFile, text};
use crate::{World, gateway};

/// A request that control holds until the test lets it go.
struct Held {
    arrived: Arc<Notify>,
    let_go: Arc<Notify>,
}

impl Held {
    fn route() -> (Self, Router) {
        let held = Self { arrived: Arc::default(), let_go: Arc::default() };
        let (arrived, let_go) = (held.arrived.clone(), held.let_go.clone());
        let slow = async move || {
            arrived.notify_one();
            let_go.notified().await;
            "done at last"
        };
        (held, Router::new().route("/v1/releases", get(slow)))
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_after_term_while_nothing_new_is_accepted() {
    let (held, routes) = Held::route();
    let world = World::new(routes).await;
    let gateway = &world.gateway;
    let address = gateway.address();
    // A connection on which nothing was ever asked does not hold the end up.
    let _idle = TcpStream::connect(address).await.unwrap();

    let asked = async {
        held.arrived.notified().await;
        gateway.terminate();
        gateway.until_logged(|line| line["message"] == "stopping").await;
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        held.let_go.notify_one();
    };
    let (answer, ()) = tokio::join!(world.get("/v1/releases"), asked);
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "done at last"));

    let finished = world.gateway.finished().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains(r#""message":"drained""#), "{}", finished.stderr);
}

#[tokio::test]
async fn what_does_not_finish_within_the_grace_is_cut_off_and_the_exit_is_still_0() {
    let (held, routes) = Held::route();
    let world = World::with(routes, &[("SHUTDOWN_GRACE_S", "1")]).await;
    let gateway = &world.gateway;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head =
        format!("GET /v1/releases HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", world.token());
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    held.arrived.notified().await;

    let finished = world.gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("cutting off what did not finish in time"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_second_term_ends_it_at_once() {
    let (held, routes) = Held::route();
    let world = World::with(routes, &[("SHUTDOWN_GRACE_S", "3600")]).await;
    let gateway = &world.gateway;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head =
        format!("GET /v1/releases HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", world.token());
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    held.arrived.notified().await;

    gateway.terminate();
    gateway.until_logged(|line| line["message"] == "stopping").await;
    assert_eq!(world.gateway.stop().await.status.code(), Some(143));
}

#[tokio::test]
async fn during_the_delay_after_term_it_still_answers_but_is_not_ready() {
    let World { control: _control, gateway, .. } =
        World::with(Router::new(), &[("SHUTDOWN_DELAY_S", "1")]).await;
    gateway.terminate();
    let unready = until_status(503, || gateway.get("/health/ready")).await;
    insta::assert_snapshot!(unready.summary(), @r#"503 {"status":"stopping"}"#);
    insta::assert_snapshot!(gateway.get("/health/live").await.summary(), @r#"200 {"status":"live"}"#);
    assert_eq!(gateway.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn healthcheck_tells_ready_from_unready_from_dead() {
    let mut world = World::new(Router::new()).await;
    let check = gateway().env("LISTEN", &format!("0.0.0.0:{}", world.gateway.address().port()));
    assert_eq!(check.run(&["healthcheck"]).await.refusal(), "exit 0\n");

    world.control.vanish().await;
    let unready = check.run(&["healthcheck"]).await.refusal();
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1:\d+", "[address]")]}, {
        insta::assert_snapshot!(unready, @r#"
        exit 1
        gateway: `[address]` is not ready: 503 {"checks":{"control":"cannot connect to `[address]`: client error (Connect): tcp connect error: Connection refused (os error 111)"},"status":"unready"}
        "#);
    });

    // Nobody can listen on port 1 without being root and meaning it.
    let dead = gateway().env("LISTEN", "127.0.0.1:1").run(&["healthcheck"]).await;
    insta::assert_snapshot!(dead.refusal(), @"
    exit 1
    gateway: no answer from `127.0.0.1:1`: Connection refused (os error 111)
    ");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_refused_with_everything_that_is_wrong() {
    let wrong = gateway()
        .env("CONTROL_URL", "https://control/v1")
        .env("IDENTITY_KEY", "hunter2")
        .env("TOKEN_KEYS_FILE", "/nowhere/keys.json")
        .env("TRUSTED_PROXIES", "proxy")
        .env("RATE_LIMIT_PER_MINUTE", "0")
        .env("LISTEN", "8000")
        .env("SHUTDOWN_GRACE_S", "10s")
        .env("LOG", "loud=very");
    insta::assert_snapshot!(wrong.run(&[]).await.refusal(), @"
    exit 2
    gateway: `CONTROL_URL` is `https://control/v1`, expected an `http://` URL without path such as `http://127.0.0.1:8001`
    gateway: `IDENTITY_KEY` holds something else than one key, or two for a rotation, each on a line of its own and at least 32 characters long (its value is secret and not shown)
    gateway: `TOKEN_KEYS_FILE` is `/nowhere/keys.json`, expected the path of a JSON Web Key Set with Ed25519 public keys (`OKP`) or secrets (`oct`): it cannot be read (entity not found)
    gateway: `TRUSTED_PROXIES` is `proxy`, expected addresses or networks, separated by commas, such as `10.89.0.0/16,fd00::/8`
    gateway: `RATE_LIMIT_PER_MINUTE` is `0`, expected a whole number of requests a minute, at least 1
    gateway: `LISTEN` is `8000`, expected an address and port such as `0.0.0.0:8000`
    gateway: `LOG` is `loud=very`, expected a log filter such as `info` or `info,store=debug`
    gateway: `SHUTDOWN_GRACE_S` is `10s`, expected a whole number of seconds
    gateway: `gateway --help` lists every setting
    ");
    insta::assert_snapshot!(gateway().run(&["serve"]).await.refusal(), @"
    exit 2
    gateway: unknown argument `serve`; `gateway --help` lists what there is
    ");
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_failure_that_names_the_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let keys = KeysFile::of(&[&Key::hs256("main")]);
    let binary = gateway().env("IDENTITY_KEY", &"k".repeat(40)).env("TOKEN_KEYS_FILE", text(&keys.path()));
    let finished = binary.env("LISTEN", &taken.local_addr().unwrap().to_string()).run(&[]).await;
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("set `LISTEN` to an address that is free"), "{}", finished.stderr);
}

#[tokio::test]
async fn help_lists_every_setting_and_the_manifest_names_the_same_port() {
    let help = gateway().run(&["--help"]).await.stdout;
    // What every service can be told follows, and is the chassis' to say.
    let own = help.split("\n  LISTEN").next().unwrap();
    insta::assert_snapshot!(own, @"
    gateway 0.1.0

    Usage:
      gateway               serve, until TERM or INT
      gateway healthcheck   ask the one that runs on this host whether it is ready: exit 0 or 1
      gateway token         print a token made with a key of the file: `gateway token --help`
      gateway --version     print name and version
      gateway --help        print this

    Settings, from the environment:
      CONTROL_URL
          Where control is, which answers `/v1`. (an `http://` URL without path such as `http://127.0.0.1:8001`; default `http://127.0.0.1:8001`)
      UPSTREAM_CONNECT_TIMEOUT_MS
          How long connecting to control may take. (a whole number of milliseconds; default `2000`)
      UPSTREAM_FIRST_BYTE_TIMEOUT_S
          How long control may take, once it has a request, until it begins to answer. (a whole number of seconds; default `30`)
      IDENTITY_KEY
          What signs who asks, for control, which has the same; of two the first signs. (one key, or two for a rotation, each on a line of its own and at least 32 characters long, or a file named by IDENTITY_KEY_FILE; required)
      TOKEN_KEYS_FILE
          The keys with which clients' tokens are signed, read again when it changes; without it only API tokens are accepted. (the path of a JSON Web Key Set with Ed25519 public keys (`OKP`) or secrets (`oct`); optional)
      TOKEN_ISSUER
          Who signs clients' tokens: their `iss`. (text; default `slipway`)
      TOKEN_AUDIENCE
          For whom clients' tokens are meant: their `aud`. (text; default `slipway`)
      TOKEN_CLOCK_SKEW_S
          By how much the clock of who signs tokens may differ from this host's. (a whole number of seconds; default `30`)
      TRUSTED_PROXIES
          The proxies in front, whose `x-forwarded-*` headers are believed. (addresses or networks, separated by commas, such as `10.89.0.0/16,fd00::/8`; optional)
      RATE_LIMIT_PER_MINUTE
          How often one client with a valid token may ask, at once or spread over the minute. (a whole number of requests a minute, at least 1; default `600`)
      RATE_LIMIT_ANONYMOUS_PER_MINUTE
          How often may be asked without a token from one address. (a whole number of requests a minute, at least 1; default `120`)
      RATE_LIMIT_FAILED_PER_MINUTE
          How often a token that is not valid may be shown from one address. (a whole number of requests a minute, at least 1; default `20`)
    ");
    let port = service::testing::manifest_port(env!("CARGO_MANIFEST_DIR"));
    assert!(help.contains(&format!("default `0.0.0.0:{port}`")), "{help}");
    assert_eq!(
        gateway().run(&["--version"]).await.stdout,
        concat!("gateway ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
