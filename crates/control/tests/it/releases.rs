//! `/v1/releases`.

use serde_json::json;

use crate::{World, image, release, told};

#[tokio::test]
async fn a_release_is_recorded_once_and_found_by_its_version() {
    let world = World::new().await;
    let recorded = world.records("1.4.0").await;
    insta::assert_snapshot!(told(&recorded), @r#"201 {"commit":"c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00","id":"[id]","images":{"control":"registry.example.org/slipway/control@sha256:…b","gateway":"registry.example.org/slipway/gateway@sha256:…a"},"recorded_at":"[recorded_at]","recorded_by":"ann","version":"1.4.0"}"#);
    assert_eq!(recorded.headers["location"], "/v1/releases/1.4.0");
    let found = world.get("/v1/releases/1.4.0").await;
    assert_eq!((found.status.as_u16(), found.json()), (200, recorded.json()));

    insta::assert_snapshot!(told(&world.records("1.4.0").await), @r#"409 {"code":"conflict","detail":"a release of this `version` is recorded already"}"#);
    insta::assert_snapshot!(told(&world.get("/v1/releases/1.5.0").await), @r#"404 {"code":"not_found","detail":"release `1.5.0` is not recorded"}"#);
    // The second attempt left nothing: neither an entry nor a job.
    assert_eq!(world.get("/v1/audit").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_with_the_field_at_fault() {
    let world = World::new().await;
    let refused = async |field: &str, value: serde_json::Value| {
        let mut body = release("1.4.0");
        body[field] = value;
        told(&world.send("POST", "/v1/releases", &body).await)
    };
    insta::assert_snapshot!(refused("version", json!("v1.4")).await, @r#"422 {"code":"invalid","detail":"expected a semantic version such as `1.4.0` or `1.4.0-rc.1`","fields":["version"]}"#);
    insta::assert_snapshot!(refused("version", json!(1.4)).await, @r#"422 {"code":"invalid","detail":"invalid type: floating point `1.4`, expected a string at line 1 column 319","fields":["/version"]}"#);
    insta::assert_snapshot!(refused("commit", json!("c0ffee")).await, @r#"422 {"code":"invalid","detail":"expected a full commit of 40 or 64 lower-case hex digits","fields":["commit"]}"#);
    insta::assert_snapshot!(refused("images", json!({})).await, @r#"422 {"code":"invalid","detail":"expected at least one service and its image","fields":["images"]}"#);
    insta::assert_snapshot!(refused("images", json!({ "Gate Way": image("x", "a") })).await, @r#"422 {"code":"invalid","detail":"expected up to 63 lower-case letters, digits and hyphens, a letter first","fields":["images.Gate Way"]}"#);
    insta::assert_snapshot!(refused("images", json!({ "gateway": "registry.example.org/gateway:latest" })).await, @r#"422 {"code":"invalid","detail":"expected an image by digest such as `registry.example.org/slipway/gateway@sha256:…` (64 hex digits)","fields":["images.gateway"]}"#);
    insta::assert_snapshot!(refused("notes", json!("hello")).await, @r#"422 {"code":"invalid","detail":"unknown field `notes`, expected one of `version`, `commit`, `images` at line 1 column 313","fields":["/notes"]}"#);
    insta::assert_snapshot!(told(&world.send("POST", "/v1/releases", &json!({ "version": "1.4.0" })).await), @r#"422 {"code":"invalid","detail":"missing field `commit` at line 1 column 19","fields":["/commit"]}"#);
    insta::assert_snapshot!(told(&world.get("/v1/releases").await), @r#"200 {"items":[]}"#);
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
        let page = world.get(&path).await.json();
        let versions: Vec<_> =
            page["items"].as_array().unwrap().iter().map(|it| it["version"].to_string()).collect();
        seen.push(versions.join(" "));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/releases?limit=2&before={next}"),
            None => break,
        }
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    "1.0.4" "1.0.3"
    "1.0.2" "1.0.1"
    "1.0.0"
    "#);
    insta::assert_snapshot!(told(&world.get("/v1/releases?limit=0").await), @r#"422 {"code":"invalid","detail":"expected a whole number of at least 1","fields":["limit"]}"#);
    insta::assert_snapshot!(told(&world.get("/v1/releases?before=yesterday").await), @r#"422 {"code":"invalid","detail":"expected what `next` of the page before said","fields":["before"]}"#);
    insta::assert_snapshot!(told(&world.get("/v1/releases?limt=2").await), @r#"422 {"code":"invalid","detail":"failed to deserialize query string: limt: unknown field `limt`, expected `limit` or `before`","fields":["query"]}"#);
}
