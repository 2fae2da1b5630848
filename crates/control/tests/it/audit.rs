//! `/v1/audit`.

use axum::body::Body;
use axum::extract::Request;

use crate::{ANN, World, id, items, release, told};

#[tokio::test]
async fn every_change_is_on_the_record_with_who_and_in_which_request() {
    let world = World::new().await;
    let named = &[("x-request-id", "req-1")];
    let recorded = world.send(ANN, "POST", "/v1/releases", named, &release("1.4.0")).await;
    world.puts("production", &serde_json::json!({ "services": ["gateway"] })).await;
    let about = format!("/v1/audit?subject=release/{}", id(&recorded));
    let entry = world.get(&about).await;
    insta::assert_snapshot!(told(&entry), @r#"200 {"items":[{"action":"release.recorded","actor":"ann","at":"[at]","details":{"commit_id":"[commit_id]","evidence":null,"images":[{"digest":"sha256:…b","repository":"registry.example.org/slipway/control","service":"control"},{"digest":"sha256:…a","repository":"registry.example.org/slipway/gateway","service":"gateway"}],"release_id":"[release_id]","signing_key_id":null,"version":"1.4.0"},"id":"[id]","request_id":"[request_id]","subject":"release"}]}"#);
    assert_eq!(items(&entry)[0]["request_id"], "req-1");

    let count = async |query: &str| items(&world.get(&format!("/v1/audit?{query}")).await).len();
    assert_eq!(count("actor=ann").await, 1);
    assert_eq!(count("action=environment.created&actor=bob").await, 1);
    assert_eq!(count("action=environment.created&actor=ann").await, 0);
    assert_eq!((count("action=release.").await, count("action=release").await), (1, 0));
    assert_eq!(count("request_id=req-1").await, 1);
    assert_eq!(
        (count("since=2020-01-01T00:00:00Z").await, count("until=2020-01-01T00:00:00Z").await),
        (2, 0)
    );
    let page = world.get("/v1/audit?limit=1&action=release.&since=2020-01-01T00:00:00Z").await;
    assert_eq!(page.headers.get("link"), None);
    let page = world.get("/v1/audit?limit=1&since=2020-01-01T00:00:00Z").await;
    assert!(
        page.headers["link"]
            .to_str()
            .unwrap()
            .starts_with("</v1/audit?limit=1&since=2020-01-01T00:00:00Z&cursor=")
    );
    insta::assert_snapshot!(told(&world.get("/v1/audit?cursor=first&since=yesterday&until=%00").await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected what `next` of a page of this list said","in":"query","pointer":"/cursor"},{"detail":"expected a time such as `2026-11-02T08:00:00Z` (RFC 3339)","in":"query","pointer":"/since"},{"detail":"expected a time such as `2026-11-02T08:00:00Z` (RFC 3339)","in":"query","pointer":"/until"}]}"#);
    assert_eq!(world.get("/v1/audit?subject=a%00b").await.status.as_u16(), 422);
    let delete = Request::delete("/v1/audit").body(Body::empty()).unwrap();
    assert_eq!(world.ask(ANN, delete).await.status.as_u16(), 405);
}
