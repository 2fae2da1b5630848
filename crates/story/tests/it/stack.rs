//! The stack itself: it comes up whole, grows, comes back, runs on a database that is given, and leaves nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::certificates::Authority;
use crate::checkout::{Checkout, podman};
use crate::given::Given;

#[tokio::test]
async fn long_the_whole_stack_comes_up_answers_grows_comes_back_and_leaves_nothing() {
    let checkout = Checkout::of_this_tree();
    checkout.up(&["--scale", "worker=3"]);
    let secrets = std::fs::metadata(checkout.root().join(".env.secrets")).unwrap();
    assert_eq!(secrets.permissions().mode() & 0o777, 0o700);
    let services = "control_1 gateway_1 migrator_1 postgres_1 proxy_1 worker_1 worker_2 worker_3";
    assert_eq!(checkout.has(&["ps", "--all"], "Names").join(" "), services);
    let bob = checkout.door().person("bob", "operator");
    let staging = bob.puts("/v1/environments/staging", &json!({ "services": ["edge"] })).await;
    assert_eq!(staging.status, 201);

    // As after a loss of power: nothing ended by itself, nothing runs, and the data is there.
    let running = checkout.has(&["ps"], "Names");
    let names = running.iter().map(|it| it.trim_end_matches("_1"));
    let killed: Vec<String> = names.filter(|it| !it.contains('_')).map(|it| checkout.container(it)).collect();
    let killed: Vec<&str> = killed.iter().map(String::as_str).collect();
    podman(&[&["kill"], killed.as_slice()].concat());
    checkout.up(&["--scale", "worker=2"]);
    let known = checkout.door().person("bob", "operator").gets("/v1/environments").await.items();
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(checkout.has(&["ps"], "Names").iter().filter(|it| it.starts_with("worker_")).count(), 2);

    // Every process ends by itself on TERM: none has to be killed after 15 s.
    let began = Instant::now();
    let down = checkout.xtask(&["down", "--volumes"]);
    let took = began.elapsed();
    assert_eq!(down.code, Some(0), "{}", down.text);
    assert!(took < Duration::from_secs(40), "{took:?} {}", down.text);
    for (listing, column) in
        [(&["ps", "--all"][..], "Names"), (&["volume", "ls"], "Name"), (&["network", "ls"], "Name")]
    {
        assert_eq!(checkout.has(listing, column), Vec::<String>::new(), "{listing:?}");
    }
}

#[tokio::test]
async fn long_the_stack_runs_on_a_database_that_is_given_and_leaves_it_alone() {
    let database = Given::start();
    let rights = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'slipway%' AND (rolsuper OR rolcreatedb OR rolcreaterole)";
    assert_eq!(database.asked(rights), "0");
    let checkout = Checkout::of_this_tree();
    let refused = |what: &str| {
        let said = checkout.xtask(&["up", "--external"]);
        assert_eq!(said.code, Some(3), "{what}: {}", said.text);
        assert!(said.text.contains(what), "{what}: {}", said.text);
        assert_eq!(checkout.has(&["ps"], "Names"), Vec::<String>::new(), "{what}");
    };
    let tell = |file: &str, content: &str| checkout.write(&format!(".env.secrets/external/{file}"), content);

    refused(".env.secrets/external/owner-url");
    database.introduce(&checkout);
    tell("database-ca", &Authority::new("another one").pem());
    refused("invalid peer certificate: UnknownIssuer");
    database.introduce(&checkout);
    tell("deployer-url", &database.url_of("slipway_deployer", "another"));
    refused("password authentication failed for user \"slipway_deployer\"");
    tell("deployer-url", &database.url_of("nobody", "another"));
    refused("password authentication failed for user \"nobody\"");
    database.introduce(&checkout);
    database.stops();
    refused("Connection refused");
    database.starts();

    checkout.up(&["--external"]);
    let encrypted = "SELECT string_agg(DISTINCT usename || ' ' || ssl, ', ') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename LIKE 'slipway%'";
    assert_eq!(database.asked(encrypted), "slipway_app true");
    assert!(!checkout.has(&["ps", "--all"], "Names").contains(&"postgres_1".to_owned()));
    // Somebody who comes anew each time: a connection does not last as long as a database is away.
    let bob = || checkout.door().person("bob", "operator");
    let staging = json!({ "services": ["edge"] });
    assert_eq!(bob().puts("/v1/environments/staging", &staging).await.status, 201);
    // It goes away and comes back, and so do the services, without being started anew.
    database.stops();
    assert_eq!(bob().gets("/v1/environments").await.status, 503);
    database.starts();
    checkout.up(&["--external"]);
    assert_eq!(bob().gets("/v1/environments").await.items().len(), 1);

    let down = checkout.xtask(&["down", "--volumes"]);
    assert_eq!(down.code, Some(0), "{}", down.text);
    assert_eq!(database.asked("SELECT name FROM environments"), "staging");
}
