//! `/v1/environments`.

use serde_json::json;

use crate::{World, told};

#[tokio::test]
async fn an_environment_is_put_once_and_again_but_not_changed() {
    let world = World::new().await;
    let put = async |name: &str, services: serde_json::Value| {
        let path = format!("/v1/environments/{name}");
        told(&world.send("PUT", &path, &json!({ "services": services })).await)
    };
    insta::assert_snapshot!(put("production", json!(["worker", "gateway"])).await, @r#"201 {"created_at":"[created_at]","id":"[id]","name":"production","services":["gateway","worker"]}"#);
    insta::assert_snapshot!(put("production", json!(["gateway", "worker"])).await, @r#"200 {"created_at":"[created_at]","id":"[id]","name":"production","services":["gateway","worker"]}"#);
    insta::assert_snapshot!(put("production", json!(["gateway"])).await, @r#"409 {"code":"conflict","detail":"environment `production` is recorded with other services; use another name for another set"}"#);
    insta::assert_snapshot!(put("Production", json!(["gateway"])).await, @r#"422 {"code":"invalid","detail":"expected up to 63 lower-case letters, digits and hyphens, a letter first","fields":["name"]}"#);
    insta::assert_snapshot!(put("staging", json!(["gate way"])).await, @r#"422 {"code":"invalid","detail":"expected up to 63 lower-case letters, digits and hyphens, a letter first","fields":["services"]}"#);
    insta::assert_snapshot!(told(&world.get("/v1/environments").await), @r#"200 {"items":[{"created_at":"[created_at]","id":"[id]","name":"production","services":["gateway","worker"]}]}"#);
    assert_eq!(world.get("/v1/environments/production").await.json()["name"], "production");
    insta::assert_snapshot!(told(&world.get("/v1/environments/staging").await), @r#"404 {"code":"not_found","detail":"environment `staging` is not recorded"}"#);
}
