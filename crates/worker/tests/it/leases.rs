//! Jobs are done once, by whoever holds the newest lease.

use rustix::process::Signal;
use serde_json::json;
use store::audit::Filter;
use store::environments::{Expected, Wanted};
use store::jobs::{Effects, LeaseError, NewJob, Outcome, VerifyRelease};
use store::{Origin, PageSize};
use uuid::Uuid;

use crate::service::wait_until_gone;
use crate::{World, unknown_job};

#[tokio::test]
async fn recording_a_release_leads_to_a_verdict_on_the_record() {
    let world = World::new().await;
    let services = ["gateway", "proxy"].map(str::to_owned).into();
    let wanted = Wanted { services, ..Wanted::default() };
    world
        .store
        .environments()
        .put("production", &wanted, Expected::Unsaid, &Origin::of("ann"))
        .await
        .unwrap();
    let release = world.release("1.4.0").await;
    let _worker = world.worker();

    world.wait_for_all().await;

    let verdicts = world.verdicts(&release).await;
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].request_id.as_deref(), Some("req-1"));
    assert!(verdicts[0].actor.starts_with("worker/"));
    assert_eq!(verdicts[0].action, "release.not_verified");
    let details = verdicts[0].details.to_string().replace(&release.id.to_string(), "ID");
    insta::assert_snapshot!(details, @r#"{"images":{"gateway":{"state":"not_checked"}},"missing":{"production":["proxy"]},"release_id":"ID","verdict":"incomplete","version":"1.4.0"}"#);
}

#[tokio::test]
async fn two_workers_do_each_job_exactly_once() {
    let world = World::new().await;
    let mut releases = Vec::new();
    for number in 0..20 {
        releases.push(world.release(&format!("1.{number}.0")).await);
    }
    let _workers = [world.worker(), world.worker()];

    world.wait_for_all().await;

    for release in &releases {
        assert_eq!(world.verdicts(release).await.len(), 1, "of release {}", release.version);
    }
    let tried_again: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE attempts <> 1")
        .fetch_one(&mut world.admin().await)
        .await
        .unwrap();
    assert_eq!(tried_again, 0);
}

#[tokio::test]
async fn a_crashed_workers_job_is_taken_over_and_leaves_one_verdict() {
    let world = World::new().await;
    let release = world.release("1.4.0").await;
    let id = world.job(&release).await;
    let jam = world.jam().await;
    let crashing = world.worker();
    let first = world.wait_for_job(id, |job| job.lease_holder.is_some()).await;
    crashing.signal(Signal::KILL);
    assert_eq!(crashing.ends().await.0, None);

    let _other = world.worker();
    let second = world.wait_for_job(id, |job| job.lease_holder != first.lease_holder).await;
    world.unjam(jam).await;
    world.wait_for_all().await;

    assert_eq!((first.attempts, second.attempts), (1, 2));
    assert_eq!(world.state(id).await.outcome, Some(Outcome::Succeeded));
    // Recording made a job of its own.
    assert_eq!(world.verdicts(&release).await.len(), 2);
}

#[tokio::test]
async fn a_worker_keeps_its_job_for_longer_than_one_lease() {
    let world = World::new().await;
    let release = world.release("1.4.0").await;
    let id = world.job(&release).await;
    let jam = world.jam().await;
    let _worker = world.worker();
    world.wait_for_job(id, |job| job.lease_holder.is_some()).await;
    let taken = world.lease_end(id).await;
    let _rival = world.worker();

    while world.lease_end(id).await < taken + time::Duration::seconds(2) {
        assert_eq!(world.state(id).await.attempts, 1, "the rival took it");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.unjam(jam).await;
    world.wait_for_all().await;

    assert_eq!(world.state(id).await.attempts, 1);
}

#[tokio::test]
async fn a_stale_holder_writes_nothing_once_a_worker_has_the_job() {
    let world = World::new().await;
    let release = world.release("1.4.0").await;
    let kinds = [VerifyRelease::KIND.to_owned()];
    let stale =
        world.store.jobs().lease(&kinds, "sleeper", std::time::Duration::ZERO).await.unwrap().unwrap();
    let _worker = world.worker();
    world.wait_for_all().await;

    let refused = world.store.jobs().finish(&stale.lease, &Effects::default(), &Origin::of("sleeper")).await;

    assert!(matches!(refused, Err(LeaseError::Lost { .. })), "{refused:?}");
    assert_eq!(world.verdicts(&release).await.len(), 1);
}

#[tokio::test]
async fn on_term_a_job_that_takes_too_long_is_given_back_untouched() {
    let world = World::new().await;
    let release = world.release("1.4.0").await;
    let id = world.job(&release).await;
    let jam = world.jam().await;
    let worker = world.worker();
    world.wait_for_job(id, |job| job.lease_holder.is_some()).await;

    worker.signal(Signal::TERM);

    let (code, log) = worker.ends().await;
    assert_eq!(code, Some(0), "{log}");
    let job = world.state(id).await;
    assert_eq!((job.lease_holder, job.attempts, job.outcome), (None, 0, None));
    world.unjam(jam).await;
    let _next = world.worker();
    world.wait_for_all().await;
    assert_eq!(world.state(id).await.outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn on_term_a_job_that_comes_to_its_end_in_time_is_finished() {
    let world = World::new().await;
    let release = world.release("1.4.0").await;
    let id = world.job(&release).await;
    let jam = world.jam().await;
    let worker = world.worker_that_finishes_within("9");
    world.wait_for_job(id, |job| job.lease_holder.is_some()).await;

    worker.signal(Signal::TERM);
    wait_until_gone(worker.address).await;
    world.unjam(jam).await;

    let (code, log) = worker.ends().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(world.state(id).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(world.state(id).await.attempts, 1);
}

#[tokio::test]
async fn a_job_that_cannot_succeed_is_given_up_with_the_reason() {
    let world = World::new().await;
    let gone = VerifyRelease { release_id: Uuid::nil() }.job();
    let gone = world.store.jobs().enqueue(&gone).await.unwrap();
    let nonsense = NewJob::new(VerifyRelease::KIND, json!({ "release": "1.4.0" }));
    let nonsense = world.store.jobs().enqueue(&nonsense).await.unwrap();
    let _worker = world.worker();

    world.wait_for_all().await;

    let why = |job: store::jobs::Job| (job.outcome, job.last_error.unwrap_or_default());
    let (outcome, reason) = why(world.state(gone).await);
    assert_eq!(outcome, Some(Outcome::Failed));
    insta::assert_snapshot!(reason, @"release `00000000-0000-0000-0000-000000000000` is not recorded");
    let (outcome, reason) = why(world.state(nonsense).await);
    assert_eq!(outcome, Some(Outcome::Failed));
    insta::assert_snapshot!(reason, @"the payload is not that of a `verify_release`: unknown field `release`, expected `release_id`");
    let entries =
        world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap().items;
    assert!(entries.iter().all(|entry| entry.action == "job.dead"), "that, and no verdict: {entries:?}");
    assert_eq!(entries.len(), 2);
}

#[tokio::test]
async fn a_job_of_an_unknown_kind_is_left_to_others() {
    let world = World::new().await;
    let unknown = world.store.jobs().enqueue(&unknown_job()).await.unwrap();
    let release = world.release("1.4.0").await;
    let known = world.job(&release).await;
    let _worker = world.worker();

    world.wait_for_job(known, |job| job.outcome.is_some()).await;

    assert_eq!(world.state(unknown).await.attempts, 0);
}

impl World {
    async fn lease_end(&self, id: Uuid) -> time::OffsetDateTime {
        sqlx::query_scalar("SELECT lease_expires_at FROM jobs WHERE id = $1")
            .bind(id)
            .fetch_one(&mut self.admin().await)
            .await
            .unwrap()
    }
}
