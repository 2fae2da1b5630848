//! Whoever follows and whoever is told by webhook hear of the same, under the same number and name.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};
use store::environments::{Expected, Wanted};
use store::events::{Fact, Kind};
use store::jobs::{DeliverWebhook, Effects, Failure, LeasedJob, NewJob, VerifyRelease};
use store::observations::NewObservation;
use store::promotions::{Decision, NewPromotion, Reach};
use store::tokens::NewToken;
use store::{Origin, Store};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{World, ann, release};

const MINUTE: Duration = Duration::from_secs(60);

fn bob() -> Origin {
    Origin { actor: "bob".to_owned(), request_id: Some("req-2".to_owned()) }
}

async fn takes(store: &Store, kind: &str) -> LeasedJob {
    let job = store.jobs().lease(&[kind.to_owned()], "worker/1", MINUTE).await.unwrap();
    job.expect("a job is due")
}

async fn verified(store: &Store) {
    store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap();
    let job = takes(store, VerifyRelease::KIND).await;
    let fact = |kind| Fact { kind, subject: "release/1".to_owned(), details: json!({}) };
    let facts = [Kind::ReleaseVerified, Kind::ReleaseRejected, Kind::ReleaseNotVerified].map(fact).to_vec();
    let effects = Effects { facts, ..Effects::default() };
    store.jobs().finish(&job.lease, &effects, &ann()).await.unwrap();
}

async fn promoted(store: &Store) {
    let services = ["gateway".to_owned()].into();
    let staging = Wanted { services, ..Wanted::default() };
    store.environments().put("staging", &staging, Expected::Unsaid, &bob()).await.unwrap();
    let promotion = NewPromotion { version: "1.4.0".to_owned(), rollback: false, note: None };
    store.promotions().ask("staging", &promotion, None, &ann()).await.unwrap();
    let seen = NewObservation { version: "1.4.0".to_owned(), healthy: true, note: None };
    store.observations().record("staging", &seen, None, &bob()).await.unwrap();
    let guarded = Wanted { protected: true, ..staging };
    store.environments().put("staging", &guarded, Expected::Some, &bob()).await.unwrap();
    store.releases().record(&release("1.5.0"), None, &ann()).await.unwrap();
    let promotion = NewPromotion { version: "1.5.0".to_owned(), ..promotion };
    for decision in [Decision::Reject, Decision::Withdraw(Reach::Anybodys)] {
        let asked = store.promotions().ask("staging", &promotion, None, &ann()).await.unwrap().value;
        store.promotions().decide(asked.id, decision, None, &bob()).await.unwrap();
    }
}

async fn tokens(store: &Store) {
    let token = NewToken {
        name: "ci".to_owned(),
        secret_sha256: [1; 32],
        role: "releaser".to_owned(),
        expires_at: OffsetDateTime::now_utc() + MINUTE,
    };
    let token = store.tokens().create(&token, &bob()).await.unwrap();
    store.tokens().revoke(token.id, &bob()).await.unwrap();
}

/// A job is given up, requeued, given up again, and discarded.
async fn dead(store: &Store, new: &NewJob) -> Uuid {
    let jobs = store.jobs();
    let id = jobs.enqueue(new).await.unwrap();
    for round in 0..2 {
        let job = takes(store, &new.kind).await;
        jobs.fail(&job, &Failure::Permanent("no".to_owned()), &ann()).await.unwrap();
        if round == 0 {
            assert!(jobs.requeue(id, &bob()).await.unwrap());
        }
    }
    assert!(jobs.discard(id, &bob()).await.unwrap());
    id
}

#[tokio::test]
async fn every_kind_of_change_has_one_number_and_one_name_for_followers_and_for_the_outside_world() {
    let world = World::new().await;
    let store = &world.store;
    verified(store).await;
    promoted(store).await;
    tokens(store).await;
    dead(store, &NewJob::new("sweep", json!({}))).await;

    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    let followed: Vec<(i64, String, Option<String>)> =
        sqlx::query_as("SELECT id, event, request_id FROM events ORDER BY id")
            .fetch_all(&mut admin)
            .await
            .unwrap();
    let told: Vec<(i64, String, Option<String>)> =
        sqlx::query_as("SELECT event_id, event, request_id FROM webhook_outbox ORDER BY event_id")
            .fetch_all(&mut admin)
            .await
            .unwrap();
    assert_eq!(followed, told);
    let audited: Vec<String> = sqlx::query_scalar("SELECT action FROM audit_entries ORDER BY id")
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert_eq!(audited, followed.iter().map(|(_, event, _)| event.clone()).collect::<Vec<_>>());
    let kinds: BTreeSet<&str> = followed.iter().map(|(_, event, _)| event.as_str()).collect();
    assert_eq!(kinds, Kind::ALL.iter().map(|(_, name)| *name).collect(), "none is left out here");
}

#[tokio::test]
async fn a_dead_job_is_told_of_but_not_by_what_could_not_tell_of_one() {
    let world = World::new().await;
    let webhook = |event: &str| DeliverWebhook {
        receiver: "ops".to_owned(),
        event_id: 7,
        event: event.to_owned(),
        occurred_at: "2026-01-02T03:04:05Z".to_owned(),
        data: json!({ "version": "1.4.0" }),
    };
    for event in ["release.recorded", "job.dead"] {
        let job = webhook(event).job(None, None);
        world.store.jobs().enqueue(&job).await.unwrap();
        let job = takes(&world.store, DeliverWebhook::KIND).await;
        world.store.jobs().fail(&job, &Failure::Permanent("gone".to_owned()), &ann()).await.unwrap();
    }
    let events = world.store.events().after(0, 10).await.unwrap();
    assert_eq!(events.len(), 2);
    let mut details = events[0].details.clone();
    assert_eq!(details["job_id"].take(), events[0].subject.trim_start_matches("job/"));
    insta::assert_snapshot!(details, @r#"{"about":{"event":"release.recorded","event_id":7,"receiver":"ops"},"attempts":1,"error":"gone","job_id":null,"kind":"deliver_webhook"}"#);
    let waiting = world.store.outbox().waiting(10).await.unwrap();
    let told: Vec<_> = waiting.iter().map(|event| event.event_id).collect();
    assert_eq!(told, [Some(events[0].id)], "a receiver that is gone would be told for ever that it is gone");
}
