//! `/v1/audit`.

use axum::extract::Request;
use service::testing::ask;

use crate::{World, release, told};

#[tokio::test]
async fn every_change_is_on_the_record_with_who_and_in_which_request() {
    let world = World::new().await;
    let recorded = world.records("1.4.0").await.json();
    world.send("PUT", "/v1/environments/production", &serde_json::json!({ "services": ["gateway"] })).await;
    insta::assert_snapshot!(told(&world.get("/v1/audit?limit=1").await), @r#"200 {"items":[{"action":"environment.created","actor":"ann","at":"[at]","details":{"name":"production","services":["gateway"]},"id":"[id]","request_id":"req-1","subject":"environment"}],"next":"2"}"#);

    let about = format!("/v1/audit?subject=release/{}", recorded["id"].as_str().unwrap());
    insta::assert_snapshot!(told(&world.get(&about).await), @r#"200 {"items":[{"action":"release.recorded","actor":"ann","at":"[at]","details":{"commit_id":"c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00","images":[{"digest":"sha256:…b","repository":"registry.example.org/slipway/control","service":"control"},{"digest":"sha256:…a","repository":"registry.example.org/slipway/gateway","service":"gateway"}],"release_id":"[release_id]","version":"1.4.0"},"id":"[id]","request_id":"req-1","subject":"release"}]}"#);
    insta::assert_snapshot!(told(&world.get("/v1/audit?before=first").await), @r#"422 {"code":"invalid","detail":"expected what `next` of the page before said","fields":["before"]}"#);
    insta::assert_snapshot!(told(&world.send("DELETE", "/v1/audit", &serde_json::json!({})).await), @r#"405 {"code":"method_not_allowed","detail":"this path does not take this method; the `allow` header says which it takes"}"#);
}

#[tokio::test]
async fn who_is_not_named_is_anonymous() {
    let world = World::new().await;
    let request = Request::post("/v1/releases").header("content-type", "application/json");
    ask(&world.router, request.body(release("1.4.0").to_string().into()).unwrap()).await;
    assert_eq!(world.get("/v1/releases/1.4.0").await.json()["recorded_by"], "anonymous");
}
