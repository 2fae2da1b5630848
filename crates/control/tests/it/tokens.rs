//! `/v1/tokens`, and what the gateway asks about them.

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};
use service::identity::{ApiToken, Role};
use service::testing::Answer;
use sqlx::{Connection as _, PgConnection};

use crate::{BOB, EVE, Person, World, id, items, told};

const GATEWAY: Person = Person("gateway", Role::Operator);

impl World {
    async fn resolves(&self, secret: &str) -> Answer {
        let hash = ApiToken::parse(secret).expect("it is a token").sha256();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.post(GATEWAY, "/internal/v1/tokens/resolve", &json!({ "sha256": hex })).await
    }

    async fn administers(&self, sql: &'static str) {
        let mut admin = PgConnection::connect(&self.scratch.admin_url()).await.unwrap();
        sqlx::query(sql).execute(&mut admin).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_is_shown_once_resolved_while_it_holds_and_kept_only_as_a_hash() {
    let world = World::new().await;
    let created = world.post(BOB, "/v1/tokens", &json!({ "name": "ci", "role": "releaser" })).await;
    assert_eq!(
        (created.status.as_u16(), &created.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let secret = created.json()["secret"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(told(&world.resolves(&secret).await), @r#"200 {"expires_at":"[expires_at]","id":"[id]","role":"releaser","subject":"token"}"#);
    let listed = world.ask(BOB, Request::get("/v1/tokens").body(Body::empty()).unwrap()).await;
    insta::assert_snapshot!(told(&listed), @r#"200 {"items":[{"created_at":"[created_at]","created_by":"bob","expires_at":"[expires_at]","id":"[id]","last_used_at":"[last_used_at]","name":"ci","role":"releaser"}]}"#);
    let used = items(&listed)[0]["last_used_at"].clone();
    assert!(used.is_string());
    // Coarse: not every use is a write.
    world.resolves(&secret).await;
    let listed = world.ask(BOB, Request::get("/v1/tokens").body(Body::empty()).unwrap()).await;
    assert_eq!(items(&listed)[0]["last_used_at"], used);

    // The secret is nowhere: not in the record, and not in the log.
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    let digits = &secret["slw_".len()..];
    for table in ["api_tokens", "audit_entries", "events", "webhook_outbox"] {
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'");
        let found: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(digits).fetch_one(&mut admin).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
    let log = Value::from(world.control.log()).to_string();
    assert!(!log.contains(digits));
    let audit = items(&world.get("/v1/audit?action=token.").await);
    assert_eq!((audit.len(), &audit[0]["actor"]), (1, &json!("bob")));
}

#[tokio::test]
async fn a_token_that_is_revoked_or_over_is_worth_nothing() {
    let world = World::new().await;
    let make = async |name: &str| {
        let created = world.post(BOB, "/v1/tokens", &json!({ "name": name, "role": "viewer" })).await;
        (id(&created), created.json()["secret"].as_str().unwrap().to_owned())
    };
    let (revoked_id, revoked) = make("revoked").await;
    let revoke = async |id: &str| {
        let request = Request::delete(format!("/v1/tokens/{id}")).body(Body::empty()).unwrap();
        world.ask(EVE, request).await
    };
    let first = revoke(&revoked_id).await;
    insta::assert_snapshot!(told(&first), @r#"200 {"created_at":"[created_at]","created_by":"bob","expires_at":"[expires_at]","id":"[id]","name":"revoked","revoked_at":"[revoked_at]","revoked_by":"eve","role":"viewer"}"#);
    assert_eq!(revoke(&revoked_id).await.json(), first.json());
    insta::assert_snapshot!(told(&world.resolves(&revoked).await), @r#"404 {"code":"not_found","detail":"no token holds that hashes to this"}"#);
    assert_eq!(revoke("00000000-0000-0000-0000-000000000000").await.status.as_u16(), 404);

    let (_, over) = make("over").await;
    assert_eq!(world.resolves(&over).await.status.as_u16(), 200);
    world.administers("UPDATE api_tokens SET created_at = now() - interval '2 d', expires_at = now() - interval '1 s' WHERE name = 'over'").await;
    assert_eq!(world.resolves(&over).await.status.as_u16(), 404);
    let unknown = ApiToken::generate().unwrap();
    assert_eq!(world.resolves(unknown.expose()).await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_name_is_given_once_and_what_is_no_token_is_refused() {
    let world = World::new().await;
    world.post(BOB, "/v1/tokens", &json!({ "name": "ci", "role": "viewer" })).await;
    insta::assert_snapshot!(told(&world.post(BOB, "/v1/tokens", &json!({ "name": "ci", "role": "viewer" })).await), @r#"409 {"code":"conflict","detail":"a token of this `name` was made already"}"#);
    let bad =
        json!({ "name": "C I", "role": "admin", "expires_at": "2020-01-01T00:00:00Z", "secret": "mine" });
    insta::assert_snapshot!(told(&world.post(BOB, "/v1/tokens", &bad).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected up to 63 lower-case letters, digits and hyphens, a letter first","pointer":"/name"},{"detail":"expected `viewer`, `releaser` or `operator`","pointer":"/role"},{"detail":"expected a time in the future, at most 366 days from now","pointer":"/expires_at"},{"detail":"is not known here","pointer":"/secret"}]}"#);
    let asked = json!({ "sha256": "0".repeat(64) });
    insta::assert_snapshot!(told(&world.post(BOB, "/internal/v1/tokens/resolve", &asked).await), @r#"403 {"code":"forbidden","detail":"only the gateway asks what a token is worth"}"#);
    insta::assert_snapshot!(told(&world.post(GATEWAY, "/internal/v1/tokens/resolve", &json!({ "sha256": "0" })).await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected 64 lower-case hex digits","pointer":"/sha256"}]}"#);
}
