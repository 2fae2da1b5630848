//! What happens, whoever and wherever Slipway is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::door::{Answer, DEADLINE, Door, Person, still};
use crate::project::{Project, Recorder};
use crate::receiver::Receiver;

const VERSION: &str = "1.4.0";

/// A release is made and recorded, verified, run in staging, asked for in production, and approved by somebody else.
pub(crate) async fn plays(slipway: &Door, project: &Project, receiver: &Receiver) {
    let [vic, ann] = [slipway.person("vic", "viewer"), slipway.person("ann", "releaser")];
    let [bob, eve] = [slipway.person("bob", "operator"), slipway.person("eve", "operator")];
    let mut changes = vic.follows().await;

    let mut asked = environments(&bob).await;
    let token = bob.posts("/v1/tokens", &json!({ "name": "ci", "role": "releaser" })).await;
    asked.push(token.request_id.clone());
    released(slipway, project, &vic, &token.text("secret")).await;
    asked.extend(staged(&ann, &bob).await);
    asked.extend(promoted(&ann, &bob, &eve).await);

    let entries = vic.gets("/v1/audit?limit=100").await.items();
    audited(&entries, &asked);
    let mut heard = Vec::new();
    for _ in &entries {
        heard.push(changes.next().await);
    }
    followed(&entries, &heard);
    webhooks(&heard, receiver).await;
}

/// Staging, and production behind it.
async fn environments(bob: &Person) -> Vec<String> {
    let staging = bob.puts("/v1/environments/staging", &json!({ "services": ["edge"] })).await;
    let rules = json!({ "services": ["edge"], "protected": true, "requires": "staging" });
    let production = bob.puts("/v1/environments/production", &rules).await;
    insta::assert_snapshot!([staging.told(), production.told()].join("\n"), @r#"
    201 {"created_at":"[created_at]","id":"[id]","name":"staging","protected":false,"revision":1,"services":["edge"]}
    201 {"created_at":"[created_at]","id":"[id]","name":"production","protected":true,"requires":"staging","revision":1,"services":["edge"]}
    "#);
    vec![staging.request_id, production.request_id]
}

/// The release is made, and Slipway lists it and has it verified.
async fn released(slipway: &Door, project: &Project, vic: &Person, token: &str) {
    let recorder = Recorder { url: &slipway.url, token };
    project.releases(VERSION, &recorder).await;
    let listed = vic.gets("/v1/releases").await;
    insta::assert_snapshot!(listed.told(), @r#"200 {"items":[{"commit":"[commit]","evidence":"[evidence]","id":"[id]","images":{"edge":"[registry]/team/product/edge@[digest]"},"recorded_at":"[recorded_at]","recorded_by":"token/ci","signing_key_id":"[signing_key_id]","version":"1.4.0"}]}"#);
    assert_eq!(listed.items()[0]["commit"], project.commit());
    let nobody = slipway.nobody().gets("/v1/releases").await;
    insta::assert_snapshot!(nobody.told(), @r#"401 {"code":"unauthenticated","detail":"show a token: `authorization: Bearer …`","request_id":"[request_id]","status":401,"title":"Unauthorized","type":"urn:slipway:problem:unauthenticated"}"#);

    // Made again, it is the same release.
    project.releases(VERSION, &recorder).await;
    assert_eq!(vic.gets("/v1/releases").await.items().len(), 1);

    let subject = format!("release/{}", listed.items()[0]["id"].as_str().unwrap());
    let verdict = until_audited(vic, &format!("action=release.verified&subject={subject}")).await;
    let signer = format!("sha256:{}", listed.items()[0]["signing_key_id"].as_str().unwrap());
    assert_eq!(verdict["details"]["images"]["edge"]["signed_by"], json!([signer]));
    insta::assert_snapshot!(verdict["details"]["verdict"], @r#""verified""#);
}

/// Staging is to run it, and does.
async fn staged(ann: &Person, bob: &Person) -> Vec<String> {
    let asked = ann.posts("/v1/environments/staging/promotions", &json!({ "release": VERSION })).await;
    insta::assert_snapshot!(asked.told(), @r#"201 {"asked_at":"[asked_at]","asked_by":"ann","decided_at":"[decided_at]","decided_by":"ann","environment":"staging","id":"[id]","needs_approval":false,"release":"1.4.0","rollback":false,"state":"approved"}"#);
    insta::assert_snapshot!(ann.gets("/v1/environments/staging").await.told(), @r#"200 {"created_at":"[created_at]","desired":{"generation":1,"promotion_id":"[promotion_id]","release":"1.4.0","set_at":"[set_at]","set_by":"ann"},"id":"[id]","name":"staging","protected":false,"revision":2,"services":["edge"]}"#);
    // Desired is not run.
    let early = ann.posts("/v1/environments/production/promotions", &json!({ "release": VERSION })).await;
    insta::assert_snapshot!(told_problem(&early), @r#"409 "not_proven" "`production` takes only what `staging` ran, and the newest word from there on release `1.4.0` is: none""#);
    let seen = json!({ "release": VERSION, "health": "healthy" });
    let seen = bob.posts("/v1/environments/staging/observations", &seen).await;
    insta::assert_snapshot!(seen.told(), @r#"201 {"health":"healthy","id":"[id]","observed_at":"[observed_at]","observed_by":"bob","release":"1.4.0"}"#);
    vec![asked.request_id, seen.request_id]
}

/// Production is to run it, because two people want it.
async fn promoted(ann: &Person, bob: &Person, eve: &Person) -> Vec<String> {
    let asked = bob.posts("/v1/environments/production/promotions", &json!({ "release": VERSION })).await;
    insta::assert_snapshot!(asked.told(), @r#"201 {"asked_at":"[asked_at]","asked_by":"bob","environment":"production","id":"[id]","needs_approval":true,"proof_id":"[proof_id]","release":"1.4.0","rollback":false,"state":"open"}"#);
    let approve = format!("/v1/promotions/{}/approve", asked.text("id"));
    let refused = [bob.posts(&approve, &json!({})).await, ann.posts(&approve, &json!({})).await];
    insta::assert_snapshot!(refused.each_ref().map(told_problem).join("\n"), @r#"
    403 "own_promotion" "whoever asked for a promotion does not decide on it: another person does"
    403 "forbidden" "this needs the role `operator`, and yours is `releaser`"
    "#);
    assert_eq!(bob.gets("/v1/environments/production").await.body["desired"], Value::Null);

    let approved = eve.posts(&approve, &json!({ "note": "well done" })).await;
    insta::assert_snapshot!(approved.told(), @r#"200 {"asked_at":"[asked_at]","asked_by":"bob","decided_at":"[decided_at]","decided_by":"eve","decision_note":"well done","environment":"production","id":"[id]","needs_approval":true,"proof_id":"[proof_id]","release":"1.4.0","rollback":false,"state":"approved"}"#);
    insta::assert_snapshot!(bob.gets("/v1/environments/production").await.told(), @r#"200 {"created_at":"[created_at]","desired":{"generation":1,"promotion_id":"[promotion_id]","release":"1.4.0","set_at":"[set_at]","set_by":"eve"},"id":"[id]","name":"production","protected":true,"requires":"staging","revision":2,"services":["edge"]}"#);
    vec![asked.request_id, approved.request_id]
}

/// Who did what, in which request: all of it, and nothing that was refused.
fn audited(entries: &[Value], asked: &[String]) {
    let told = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let actor = text("actor").split('/').collect::<Vec<_>>();
        let actor = if actor[0] == "worker" { "worker".to_owned() } else { actor.join("/") };
        format!("{actor} {} {}", text("action"), text("subject").split('/').next().unwrap_or_default())
    };
    let mut lines: Vec<String> = entries.iter().rev().map(told).collect();
    // When the worker comes to it is its own matter.
    lines.sort_by_key(|line| line.starts_with("worker"));
    insta::assert_snapshot!(lines.join("\n"), @"
    bob environment.created environment
    bob environment.created environment
    bob token.created token
    token/ci release.recorded release
    ann promotion.asked promotion
    ann promotion.approved promotion
    ann environment.desired_changed environment
    bob environment.observed environment
    bob promotion.asked promotion
    eve promotion.approved promotion
    eve environment.desired_changed environment
    worker release.verified release
    ");
    let requests: BTreeSet<&str> = entries.iter().map(|it| it["request_id"].as_str().unwrap()).collect();
    for id in asked {
        assert!(requests.contains(id.as_str()), "{id} of {requests:?}");
    }
}

/// Who follows heard of all that was done, and of what people did in the order in which they did it.
fn followed(entries: &[Value], heard: &[Value]) {
    let by_people = |it: &&Value| !it["actor"].as_str().unwrap().starts_with("worker/");
    let key = |it: &Value, what: &str| {
        [what, "actor", "subject", "request_id"].map(|name| it[name].as_str().unwrap_or_default().to_owned())
    };
    let mut audited: Vec<_> = entries.iter().rev().filter(by_people).map(|it| key(it, "action")).collect();
    let mut told: Vec<_> = heard.iter().filter(by_people).map(|it| key(it, "event")).collect();
    assert_eq!(told, audited);
    audited.extend(entries.iter().filter(|it| !by_people(it)).map(|it| key(it, "action")));
    told.extend(heard.iter().filter(|it| !by_people(it)).map(|it| key(it, "event")));
    assert_eq!(told, audited);
}

/// What followers heard was told by webhook too: the same things under the same numbers, signed, and under the request that
/// they came of.
async fn webhooks(heard: &[Value], receiver: &Receiver) {
    let messages = receiver.told(heard.len()).await;
    let told: Vec<_> = messages
        .iter()
        .map(|it| (json!(it.number), it.body["type"].clone(), json!(it.request_id), it.body["data"].clone()))
        .collect();
    let followed: Vec<_> = heard
        .iter()
        .map(|it| (it["id"].clone(), it["event"].clone(), it["request_id"].clone(), it["details"].clone()))
        .collect();
    assert_eq!(told, followed);
}

/// The one entry of the audit that the query finds, once it is there.
async fn until_audited(person: &Person, query: &str) -> Value {
    let give_up = tokio::time::Instant::now() + DEADLINE;
    loop {
        let found = person.gets(&format!("/v1/audit?{query}")).await.items();
        if let [entry] = found.as_slice() {
            return entry.clone();
        }
        assert!(found.is_empty(), "{found:#?}");
        assert!(tokio::time::Instant::now() < give_up, "nothing is audited of {query}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Status, code and detail of a problem.
fn told_problem(answer: &Answer) -> String {
    let of = |name: &str| still(answer.body[name].clone());
    format!("{} {} {}", answer.status.as_u16(), of("code"), of("detail"))
}
