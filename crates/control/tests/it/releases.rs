//! `/v1/releases`.

use serde_json::{Value, json};

use crate::{ANN, EVE, World, image, items, release, told};

#[tokio::test]
async fn a_release_is_recorded_once_and_found_by_its_version() {
    let world = World::new().await;
    let recorded = world.records("1.4.0").await;
    insta::assert_snapshot!(told(&recorded), @r#"201 {"commit":"c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00","id":"[id]","images":{"control":"registry.example.org/slipway/control@sha256:…b","gateway":"registry.example.org/slipway/gateway@sha256:…a"},"recorded_at":"[recorded_at]","recorded_by":"ann","version":"1.4.0"}"#);
    assert_eq!(recorded.headers["location"], "/v1/releases/1.4.0");
    let found = world.get("/v1/releases/1.4.0").await;
    assert_eq!((found.status.as_u16(), found.json()), (200, recorded.json()));
    insta::assert_snapshot!(told(&world.get("/v1/releases/1.5.0").await), @r#"404 {"code":"not_found","detail":"release `1.5.0` is not recorded"}"#);
    insta::assert_snapshot!(told(&world.get("/v1/releases/%00").await), @r#"422 {"code":"invalid","detail":"a value is none that the record can hold, such as a text with a zero byte"}"#);

    // The same content again is the same release, also for somebody else.
    let again = world.post(EVE, "/v1/releases", &release("1.4.0")).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, recorded.json()));
    let mut other = release("1.4.0");
    other["commit"] = "decade00".repeat(5).into();
    other["images"]["worker"] = image("worker", "a").into();
    other["images"].as_object_mut().unwrap().remove("control");
    other["evidence"] = "https://registry.example.org/record".into();
    insta::assert_snapshot!(told(&world.post(ANN, "/v1/releases", &other).await), @r#"409 {"code":"version_taken","detail":"this version is recorded with other content, and a release never changes","fields":[{"detail":"`c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00` is recorded","pointer":"/commit"},{"detail":"`registry.example.org/slipway/control@sha256:…b` is recorded","pointer":"/images/control"},{"detail":"nothing is recorded","pointer":"/images/worker"},{"detail":"nothing is recorded","pointer":"/evidence"}]}"#);
    // What was not recorded left nothing.
    assert_eq!(items(&world.get("/v1/audit").await).len(), 1);
}

#[tokio::test]
async fn everything_that_the_contract_names_is_kept() {
    let world = World::new().await;
    let new = api::NewRelease {
        version: "1.4.0-rc.1".to_owned(),
        commit: "c0ffee00".repeat(8),
        images: [("gateway".to_owned(), image("gateway", "a"))].into(),
        signing_key_id: Some("ab".repeat(32)),
        evidence: Some(format!("registry.example.org/slipway/record@sha256:{}", "c".repeat(64))),
    };
    let answer = world.post(ANN, "/v1/releases", &serde_json::to_value(&new).unwrap()).await;
    let kept: api::Release = serde_json::from_value(answer.json()).unwrap();
    assert_eq!((kept.version, kept.commit, kept.images), (new.version, new.commit, new.images));
    assert_eq!((kept.signing_key_id, kept.evidence), (new.signing_key_id, new.evidence));
}

#[tokio::test]
async fn a_key_makes_a_request_count_once_and_belongs_to_one_request() {
    let world = World::new().await;
    let keyed = async |who, body: &Value| {
        world.send(who, "POST", "/v1/releases", &[("idempotency-key", "build 17")], body).await
    };
    let first = keyed(ANN, &release("1.4.0")).await;
    let again = keyed(ANN, &release("1.4.0")).await;
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    assert_eq!(
        (first.headers.get("idempotent-replayed"), &again.headers["location"]),
        (None, &first.headers["location"])
    );
    assert_eq!(again.headers["idempotent-replayed"], "true");
    insta::assert_snapshot!(told(&keyed(ANN, &release("1.5.0")).await), @r#"422 {"code":"key_reused","detail":"the `Idempotency-Key` was used for another request","fields":[{"detail":"this key was used for another request; use a new one for each","in":"header","pointer":"/idempotency-key"}]}"#);
    // Somebody else's key is another one, and a request that failed has used up none.
    assert_eq!(keyed(EVE, &release("1.6.0")).await.status.as_u16(), 201);
    let used = &[("idempotency-key", "build 18")];
    let mut taken = release("1.4.0");
    taken["commit"] = "decade00".repeat(5).into();
    assert_eq!(world.send(ANN, "POST", "/v1/releases", used, &taken).await.status.as_u16(), 409);
    assert_eq!(world.send(ANN, "POST", "/v1/releases", used, &release("1.7.0")).await.status.as_u16(), 201);
    let odd = &[("idempotency-key", "")];
    insta::assert_snapshot!(told(&world.send(ANN, "POST", "/v1/releases", odd, &release("1.8.0")).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected 1 to 255 printable ASCII characters","in":"header","pointer":"/idempotency-key"}]}"#);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_with_every_field_at_fault() {
    let world = World::new().await;
    let refused = async |body: Value| told(&world.post(ANN, "/v1/releases", &body).await);
    let mut bad = release("v1.4");
    bad["commit"] = json!(7);
    bad["images"] = json!({ "Gate Way": image("x", "a"), "web": "registry.example.org/web:latest" });
    bad["signing_key_id"] = json!("short");
    bad["notes"] = json!("hello");
    insta::assert_snapshot!(refused(bad).await, @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected a semantic version such as `1.4.0` or `1.4.0-rc.1`","pointer":"/version"},{"detail":"expected a text, found a number","pointer":"/commit"},{"detail":"as the name of a service: expected up to 63 lower-case letters, digits and hyphens, a letter first","pointer":"/images/Gate Way"},{"detail":"expected an image by digest such as `registry.example.org/slipway/gateway@sha256:…` (64 hex digits)","pointer":"/images/web"},{"detail":"expected 64 lower-case hex digits","pointer":"/signing_key_id"},{"detail":"is not known here","pointer":"/notes"}]}"#);
    insta::assert_snapshot!(refused(json!({})).await, @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"is missing","pointer":"/version"},{"detail":"is missing","pointer":"/commit"},{"detail":"is missing","pointer":"/images"}]}"#);
    insta::assert_snapshot!(refused(json!([])).await, @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected an object, found an array","pointer":""}]}"#);
    let mut empty = release("1.4.0");
    empty["images"] = json!({});
    insta::assert_snapshot!(refused(empty).await, @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected 1 to 256 services and their images","pointer":"/images"}]}"#);
    assert_eq!(items(&world.get("/v1/releases").await), Vec::<Value>::new());
}

#[tokio::test]
async fn releases_are_listed_newest_first_a_page_at_a_time() {
    let world = World::new().await;
    for patch in 0..5 {
        assert_eq!(world.records(&format!("1.0.{patch}")).await.status.as_u16(), 201);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/releases?limit=2".to_owned();
    loop {
        let page = world.get(&path).await;
        let versions: Vec<_> = items(&page).iter().map(|it| it["version"].to_string()).collect();
        seen.push(versions.join(" "));
        // A release that comes meanwhile moves nothing.
        world.records(&format!("2.0.{}", seen.len())).await;
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert!(path.contains(page.json()["next"].as_str().unwrap()), "{path}");
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    "1.0.4" "1.0.3"
    "1.0.2" "1.0.1"
    "1.0.0"
    "#);
    for path in ["?limit=0&cursor=x", "?limit=101", "?limt=2"] {
        seen.push(told(&world.get(&format!("/v1/releases{path}")).await));
    }
    insta::assert_snapshot!(seen[3..].join("\n"), @r#"
    422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected a whole number from 1 to 100","in":"query","pointer":"/limit"},{"detail":"expected what `next` of a page of this list said","in":"query","pointer":"/cursor"}]}
    422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected a whole number from 1 to 100","in":"query","pointer":"/limit"}]}
    422 {"code":"invalid","detail":"unknown field `limt`, expected `limit` or `cursor`","fields":["/limt"]}
    "#);
}
