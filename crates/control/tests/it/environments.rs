//! `/v1/environments`.

use serde_json::{Value, json};

use crate::{BOB, World, items, told};

#[tokio::test]
async fn an_environment_is_changed_by_who_says_what_is_replaced() {
    let world = World::new().await;
    let put = async |matched: &[(&str, &str)], body: Value| {
        world.send(BOB, "PUT", "/v1/environments/production", matched, &body).await
    };
    let created = put(&[], json!({ "services": ["worker", "gateway"] })).await;
    insta::assert_snapshot!(told(&created), @r#"201 {"created_at":"[created_at]","id":"[id]","name":"production","protected":false,"revision":1,"services":["gateway","worker"]}"#);
    assert_eq!(created.headers["etag"], "\"1\"");
    // Just so again: nothing changes, in any order.
    let same = put(&[], json!({ "services": ["gateway", "worker"] })).await;
    assert_eq!((same.status.as_u16(), &same.headers["etag"]), (200, &created.headers["etag"]));

    let wanted = json!({ "services": ["gateway"], "protected": true });
    insta::assert_snapshot!(told(&put(&[], wanted.clone()).await), @r#"428 {"code":"precondition_required","detail":"environment `production` is recorded otherwise: say with `If-Match` which `ETag` is to be replaced"}"#);
    insta::assert_snapshot!(told(&put(&[("if-match", "\"7\"")], wanted.clone()).await), @r#"412 {"code":"precondition_failed","detail":"environment `production` is at revision 1; read it again before you change it"}"#);
    insta::assert_snapshot!(told(&put(&[("if-match", "1")], wanted.clone()).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected an `ETag` that was read here, such as `\"3\"`, or `*`","in":"header","pointer":"/if-match"}]}"#);
    let changed = put(&[("if-match", "\"1\"")], wanted.clone()).await;
    insta::assert_snapshot!(told(&changed), @r#"200 {"created_at":"[created_at]","id":"[id]","name":"production","protected":true,"revision":2,"services":["gateway"]}"#);
    assert_eq!(changed.headers["etag"], "\"2\"");
    // Who read before that has to read again.
    assert_eq!(put(&[("if-match", "\"1\"")], json!({ "services": [] })).await.status.as_u16(), 412);
    let read = world.get("/v1/environments/production").await;
    assert_eq!((&read.headers["etag"], read.json()), (&changed.headers["etag"], changed.json()));
    let actions: Vec<_> =
        items(&world.get("/v1/audit").await).iter().map(|it| it["action"].clone()).collect();
    assert_eq!(actions, ["environment.changed", "environment.created"]);
}

#[tokio::test]
async fn environments_come_after_each_other_and_never_in_a_circle() {
    let world = World::new().await;
    world.puts("test", &json!({ "services": [] })).await;
    world.puts("staging", &json!({ "services": [], "requires": "test" })).await;
    let production = world.puts("production", &json!({ "services": [], "requires": "staging" })).await;
    assert_eq!(production.json()["requires"], "staging");
    let round = json!({ "services": [], "requires": "production" });
    let matched = &[("if-match", "*")];
    insta::assert_snapshot!(told(&world.send(BOB, "PUT", "/v1/environments/test", matched, &round).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"it would require itself: test → production → staging → test","pointer":"/requires"}]}"#);
    insta::assert_snapshot!(told(&world.puts("self", &json!({ "services": [], "requires": "self" })).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"it would require itself: self → self","pointer":"/requires"}]}"#);
    insta::assert_snapshot!(told(&world.puts("lost", &json!({ "services": [], "requires": "nowhere" })).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"environment `nowhere` is not recorded","pointer":"/requires"}]}"#);
    let names: Vec<_> =
        items(&world.get("/v1/environments?limit=2").await).iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["production", "staging"]);
}

#[tokio::test]
async fn what_is_no_environment_is_refused_with_every_field_at_fault() {
    let world = World::new().await;
    insta::assert_snapshot!(told(&world.puts("Production", &json!({ "services": [] })).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected up to 63 lower-case letters, digits and hyphens, a letter first","in":"path","pointer":"/name"}]}"#);
    let bad = json!({ "services": ["gate way", "web", "web", 7], "protected": "yes", "requires": 1, "colour": "red" });
    insta::assert_snapshot!(told(&world.puts("production", &bad).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected up to 63 lower-case letters, digits and hyphens, a letter first","pointer":"/services/0"},{"detail":"`web` stands here twice","pointer":"/services/2"},{"detail":"expected a text, found a number","pointer":"/services/3"},{"detail":"expected `true` or `false`, found a text","pointer":"/protected"},{"detail":"expected a text, found a number","pointer":"/requires"},{"detail":"is not known here","pointer":"/colour"}]}"#);
    insta::assert_snapshot!(told(&world.get("/v1/environments/staging").await), @r#"404 {"code":"not_found","detail":"environment `staging` is not recorded"}"#);
    insta::assert_snapshot!(told(&world.get("/v1/environments/staging/desired").await), @r#"404 {"code":"not_found","detail":"environment `staging` is not recorded"}"#);
}
