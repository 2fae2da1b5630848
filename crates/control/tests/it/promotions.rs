//! Promotions: production takes only what staging ran, by another person than the one who asked.

use serde_json::{Value, json};
use service::testing::Answer;

use crate::{ANN, BOB, EVE, Person, World, id, items, release, told};

impl World {
    /// Staging, and production behind it.
    async fn staged() -> Self {
        let world = Self::new().await;
        world.puts("staging", &json!({ "services": ["gateway"] })).await;
        let production =
            json!({ "services": ["gateway", "control"], "protected": true, "requires": "staging" });
        world.puts("production", &production).await;
        world
    }

    async fn asks(&self, who: Person, environment: &str, version: &str) -> Answer {
        let path = format!("/v1/environments/{environment}/promotions");
        self.post(who, &path, &json!({ "release": version })).await
    }

    async fn sees(&self, environment: &str, version: &str, health: &str) -> Answer {
        let path = format!("/v1/environments/{environment}/observations");
        self.post(BOB, &path, &json!({ "release": version, "health": health })).await
    }

    async fn decides(&self, who: Person, promotion: &str, decision: &str) -> Answer {
        self.post(who, &format!("/v1/promotions/{promotion}/{decision}"), &json!({})).await
    }

    /// A release that staging ran.
    async fn ran(&self, version: &str) {
        assert_eq!(self.records(version).await.status.as_u16(), 201);
        assert_eq!(self.asks(ANN, "staging", version).await.status.as_u16(), 201);
        assert_eq!(self.sees("staging", version, "healthy").await.status.as_u16(), 201);
    }

    async fn desired(&self, environment: &str) -> Value {
        self.get(&format!("/v1/environments/{environment}")).await.json()["desired"]["release"].clone()
    }
}

#[tokio::test]
async fn a_release_comes_to_staging_at_once_and_to_production_by_a_second_person() {
    let world = World::staged().await;
    world.records("1.4.0").await;
    insta::assert_snapshot!(told(&world.asks(ANN, "staging", "1.4.0").await), @r#"201 {"asked_at":"[asked_at]","asked_by":"ann","decided_at":"[decided_at]","decided_by":"ann","environment":"staging","id":"[id]","needs_approval":false,"release":"1.4.0","rollback":false,"state":"approved"}"#);
    assert_eq!(world.desired("staging").await, "1.4.0");
    // Desired is not run, and run is not healthy.
    insta::assert_snapshot!(told(&world.asks(ANN, "production", "1.4.0").await), @r#"409 {"code":"not_proven","detail":"`production` takes only what `staging` ran, and the newest word from there on release `1.4.0` is: none"}"#);
    world.sees("staging", "1.4.0", "unhealthy").await;
    insta::assert_snapshot!(told(&world.asks(ANN, "production", "1.4.0").await), @r#"409 {"code":"not_proven","detail":"`production` takes only what `staging` ran, and the newest word from there on release `1.4.0` is: unhealthy"}"#);
    insta::assert_snapshot!(told(&world.sees("staging", "1.4.0", "healthy").await), @r#"201 {"health":"healthy","id":"[id]","observed_at":"[observed_at]","observed_by":"bob","release":"1.4.0"}"#);

    let asked = world.asks(BOB, "production", "1.4.0").await;
    insta::assert_snapshot!(told(&asked), @r#"201 {"asked_at":"[asked_at]","asked_by":"bob","environment":"production","id":"[id]","needs_approval":true,"proof_id":"[proof_id]","release":"1.4.0","rollback":false,"state":"open"}"#);
    assert_eq!(world.desired("production").await, Value::Null);
    insta::assert_snapshot!(told(&world.decides(BOB, &id(&asked), "approve").await), @r#"403 {"code":"own_promotion","detail":"whoever asked for a promotion does not decide on it: another person does"}"#);
    insta::assert_snapshot!(told(&world.decides(BOB, &id(&asked), "reject").await), @r#"403 {"code":"own_promotion","detail":"whoever asked for a promotion does not decide on it: another person does"}"#);
    let approved = world.decides(EVE, &id(&asked), "approve").await;
    insta::assert_snapshot!(told(&approved), @r#"200 {"asked_at":"[asked_at]","asked_by":"bob","decided_at":"[decided_at]","decided_by":"eve","environment":"production","id":"[id]","needs_approval":true,"proof_id":"[proof_id]","release":"1.4.0","rollback":false,"state":"approved"}"#);
    assert_eq!(world.desired("production").await, "1.4.0");
    // Again by the same person is the same answer; by anybody else it is too late.
    assert_eq!(world.decides(EVE, &id(&asked), "approve").await.json(), approved.json());
    insta::assert_snapshot!(told(&world.decides(EVE, &id(&asked), "reject").await), @r#"409 {"code":"decided","detail":"promotion `[id]` is approved already"}"#);
    assert_eq!(world.decides(BOB, &id(&asked), "withdraw").await.status.as_u16(), 409);
    insta::assert_snapshot!(told(&world.get("/v1/environments/production/desired").await), @r#"200 {"items":[{"generation":1,"promotion_id":"[promotion_id]","release":"1.4.0","set_at":"[set_at]","set_by":"eve"}]}"#);

    let actions = items(&world.get("/v1/audit?action=promotion.").await);
    let actions: Vec<_> = actions.iter().map(|it| format!("{} {}", it["actor"], it["action"])).collect();
    insta::assert_snapshot!(actions.join("\n"), @r#"
    "eve" "promotion.approved"
    "bob" "promotion.asked"
    "ann" "promotion.approved"
    "ann" "promotion.asked"
    "#);
}

#[tokio::test]
async fn what_staging_ran_healthy_must_still_be_so_when_it_is_approved() {
    let world = World::staged().await;
    world.ran("1.4.0").await;
    let asked = world.asks(ANN, "production", "1.4.0").await;
    world.sees("staging", "1.4.0", "unhealthy").await;
    insta::assert_snapshot!(told(&world.decides(BOB, &id(&asked), "approve").await), @r#"409 {"code":"not_proven","detail":"`production` takes only what `staging` ran, and the newest word from there on release `1.4.0` is: unhealthy"}"#);
    world.sees("staging", "1.4.0", "healthy").await;
    // The rules may change, too.
    let other = json!({ "services": ["gateway"], "protected": true });
    world.send(BOB, "PUT", "/v1/environments/production", &[("if-match", "*")], &other).await;
    insta::assert_snapshot!(told(&world.decides(BOB, &id(&asked), "approve").await), @r#"409 {"code":"outdated","detail":"`production` requires something else than when this was asked for: withdraw it and ask again"}"#);
}

#[tokio::test]
async fn one_promotion_is_open_at_a_time_until_it_is_withdrawn_or_rejected() {
    let world = World::staged().await;
    world.ran("1.4.0").await;
    world.ran("1.5.0").await;
    let first = world.asks(ANN, "production", "1.4.0").await;
    let held = world.asks(EVE, "production", "1.5.0").await;
    assert!(held.json()["detail"].as_str().unwrap().contains(&id(&first)));
    assert_eq!((held.status.as_u16(), held.json()["code"].as_str().unwrap()), (409, "promotion_open"));
    let carl = Person("carl", service::identity::Role::Releaser);
    insta::assert_snapshot!(told(&world.decides(carl, &id(&first), "withdraw").await), @r#"403 {"code":"not_yours","detail":"only `ann`, who asked for it, or an operator withdraws it"}"#);
    let path = format!("/v1/promotions/{}/withdraw", id(&first));
    let withdrawn = world.post(ANN, &path, &json!({ "note": "too early" })).await;
    insta::assert_snapshot!(told(&withdrawn), @r#"200 {"asked_at":"[asked_at]","asked_by":"ann","decided_at":"[decided_at]","decided_by":"ann","decision_note":"too early","environment":"production","id":"[id]","needs_approval":true,"proof_id":"[proof_id]","release":"1.4.0","rollback":false,"state":"withdrawn"}"#);

    let second = world.asks(EVE, "production", "1.5.0").await;
    assert_eq!(world.decides(BOB, &id(&second), "reject").await.json()["state"], "rejected");
    assert_eq!(world.desired("production").await, Value::Null);
    let third = world.asks(ANN, "production", "1.4.0").await;
    assert_eq!(world.decides(EVE, &id(&third), "withdraw").await.json()["decided_by"], "eve");
    let states: Vec<_> = items(&world.get("/v1/environments/production/promotions").await)
        .iter()
        .map(|it| it["state"].clone())
        .collect();
    assert_eq!(states, ["withdrawn", "rejected", "withdrawn"]);
    let shown = world.get(&format!("/v1/promotions/{}", id(&second))).await.json();
    assert_eq!(
        (&shown["state"], &shown["asked_by"], &shown["decided_by"]),
        (&json!("rejected"), &json!("eve"), &json!("bob"))
    );
}

#[tokio::test]
async fn the_way_back_leads_to_what_was_desired_before_and_needs_no_new_proof() {
    let world = World::staged().await;
    for version in ["1.4.0", "1.5.0"] {
        world.ran(version).await;
        let asked = world.asks(ANN, "production", version).await;
        world.decides(EVE, &id(&asked), "approve").await;
    }
    world.ran("1.6.0").await;
    world.sees("staging", "1.4.0", "unhealthy").await;
    let back = async |version: &str| {
        let body = json!({ "release": version, "rollback": true, "note": "errors" });
        world.post(ANN, "/v1/environments/production/promotions", &body).await
    };
    insta::assert_snapshot!(told(&back("1.6.0").await), @r#"409 {"code":"never_desired","detail":"release `1.6.0` was never desired in `production`, so there is no way back to it"}"#);
    insta::assert_snapshot!(told(&back("1.5.0").await), @r#"409 {"code":"already_desired","detail":"release `1.5.0` is the desired one in `production` already"}"#);
    let asked = back("1.4.0").await;
    // Also the way back needs a second person.
    assert_eq!(asked.json()["state"], "open");
    world.decides(EVE, &id(&asked), "approve").await;
    assert_eq!(world.desired("production").await, "1.4.0");
    let generations: Vec<_> = items(&world.get("/v1/environments/production/desired").await)
        .iter()
        .map(|it| format!("{} {}", it["generation"], it["release"]))
        .collect();
    assert_eq!(generations, [r#"3 "1.4.0""#, r#"2 "1.5.0""#, r#"1 "1.4.0""#]);
}

#[tokio::test]
async fn what_cannot_come_is_refused_with_the_reason() {
    let world = World::staged().await;
    let mut partial = release("1.4.0");
    partial["images"].as_object_mut().unwrap().remove("gateway");
    world.post(ANN, "/v1/releases", &partial).await;
    insta::assert_snapshot!(told(&world.asks(ANN, "staging", "1.4.0").await), @r#"409 {"code":"release_incomplete","detail":"release `1.4.0` has no image for `gateway`, which `staging` runs"}"#);
    insta::assert_snapshot!(told(&world.asks(ANN, "staging", "9.9.9").await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"release `9.9.9` is not recorded","pointer":"/release"}]}"#);
    insta::assert_snapshot!(told(&world.asks(ANN, "nowhere", "1.4.0").await), @r#"404 {"code":"not_found","detail":"environment `nowhere` is not recorded"}"#);
    insta::assert_snapshot!(told(&world.sees("staging", "1.4.0", "healthy").await), @r#"409 {"code":"never_desired","detail":"release `1.4.0` was never desired in `staging`"}"#);
    insta::assert_snapshot!(told(&world.sees("staging", "1.4.0", "fine").await), @r#"422 {"code":"invalid","detail":"the request holds what cannot be accepted","fields":[{"detail":"expected `healthy` or `unhealthy`","pointer":"/health"}]}"#);
    insta::assert_snapshot!(told(&world.decides(BOB, "00000000-0000-0000-0000-000000000000", "approve").await), @r#"404 {"code":"not_found","detail":"promotion `[id]` is not recorded"}"#);
    assert_eq!(world.decides(BOB, "not-an-id", "approve").await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_machine_decides_nothing_and_its_maker_decides_not_on_what_it_asked_for() {
    let world = World::staged().await;
    world.ran("1.4.0").await;
    world.post(BOB, "/v1/tokens", &json!({ "name": "ci", "role": "operator" })).await;
    let machine = Person("token/ci", service::identity::Role::Operator);
    let asked = world.asks(machine, "production", "1.4.0").await;
    insta::assert_snapshot!(told(&world.decides(Person("token/other", machine.1), &id(&asked), "approve").await), @r#"403 {"code":"machine","detail":"an API token decides on no promotion: a person does"}"#);
    insta::assert_snapshot!(told(&world.decides(BOB, &id(&asked), "approve").await), @r#"403 {"code":"own_promotion","detail":"whoever asked for a promotion does not decide on it: another person does"}"#);
    assert_eq!(world.decides(EVE, &id(&asked), "approve").await.status.as_u16(), 200);
}
