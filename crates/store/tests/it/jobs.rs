//! Leased jobs: who gets one, who keeps it, and who is refused.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};
use store::PageSize;
use store::audit::Filter;
use store::events::{Fact, Kind};
use store::jobs::{Effects, Ended, Failure, LeaseError, LeasedJob, NewJob, Outcome};
use uuid::Uuid;

use crate::{World, ann};

const MINUTE: Duration = Duration::from_secs(60);

/// A lease that has run out as soon as it is taken: what a crashed worker leaves behind.
const RUN_OUT: Duration = Duration::ZERO;

impl World {
    async fn job(&self) -> Uuid {
        self.store.jobs().enqueue(&NewJob::new("sweep", json!({}))).await.unwrap()
    }

    async fn takes(&self, holder: &str, duration: Duration) -> Option<LeasedJob> {
        self.store.jobs().lease(&["sweep".to_owned()], holder, duration).await.unwrap()
    }

    async fn state(&self, id: Uuid) -> (i32, Option<String>, Option<Outcome>) {
        let job = self.store.jobs().get(id).await.unwrap().unwrap();
        (job.attempts, job.lease_holder, job.outcome)
    }

    /// Ends the wait before a job's next attempt.
    async fn make_due(&self, id: Uuid) {
        let mut admin = PgConnection::connect(&self.scratch.admin_url()).await.unwrap();
        sqlx::query("UPDATE jobs SET run_after = now() WHERE id = $1")
            .bind(id)
            .execute(&mut admin)
            .await
            .unwrap();
    }
}

fn fact() -> Fact {
    Fact { kind: Kind::ReleaseVerified, subject: "release/1".to_owned(), details: json!({}) }
}

/// What a job leaves on the record.
fn noted() -> Effects {
    Effects { facts: vec![fact()], ..Effects::default() }
}

fn lost<T: std::fmt::Debug>(result: Result<T, LeaseError>) -> Uuid {
    match result {
        Err(LeaseError::Lost { job_id }) => job_id,
        other => panic!("expected a lost lease, got {other:?}"),
    }
}

#[tokio::test]
async fn a_held_job_is_not_given_to_a_second_worker() {
    let world = World::new().await;
    let id = world.job().await;

    let job = world.takes("a", MINUTE).await.expect("the job is due");

    assert_eq!((job.lease.job_id(), job.attempt), (id, 1));
    assert_eq!(world.takes("b", MINUTE).await, None);
}

#[tokio::test]
async fn many_workers_at_once_take_each_job_once() {
    let world = World::new().await;
    for _ in 0..20 {
        world.job().await;
    }
    let takers = (0..30).map(|number| {
        let store = world.store.clone();
        tokio::spawn(async move {
            store.jobs().lease(&["sweep".to_owned()], &number.to_string(), MINUTE).await.unwrap()
        })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.unwrap().map(|job| job.lease.job_id()));
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 20);
}

#[tokio::test]
async fn a_worker_gets_only_the_kinds_it_knows_and_only_when_they_are_due() {
    let world = World::new().await;
    world.store.jobs().enqueue(&NewJob::new("other", json!({}))).await.unwrap();
    let later = NewJob { delay: MINUTE, ..NewJob::new("sweep", json!({})) };
    world.store.jobs().enqueue(&later).await.unwrap();

    assert_eq!(world.takes("a", MINUTE).await, None);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_the_stale_holder_is_refused_everything() {
    let world = World::new().await;
    let id = world.job().await;
    let stale = world.takes("a", RUN_OUT).await.unwrap();

    let new = world.takes("b", MINUTE).await.expect("the lease of a ran out");

    assert!(new.lease.token() > stale.lease.token());
    let jobs = world.store.jobs();
    assert_eq!(lost(jobs.renew(&stale.lease, MINUTE).await), id);
    assert_eq!(lost(jobs.finish(&stale.lease, &noted(), &ann()).await), id);
    assert_eq!(lost(jobs.fail(&stale, &Failure::Permanent("late".to_owned()), &ann()).await), id);
    assert_eq!(lost(jobs.give_back(&stale.lease).await), id);
    assert_eq!(world.state(id).await, (2, Some("b".to_owned()), None));
    assert_eq!(
        world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap().items,
        []
    );

    jobs.finish(&new.lease, &noted(), &ann()).await.unwrap();
    assert_eq!(world.state(id).await, (2, None, Some(Outcome::Succeeded)));
    assert_eq!(
        world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap().items.len(),
        1
    );
}

#[tokio::test]
async fn a_finished_job_cannot_be_finished_again() {
    let world = World::new().await;
    let id = world.job().await;
    let job = world.takes("a", MINUTE).await.unwrap();
    world.store.jobs().finish(&job.lease, &Effects::default(), &ann()).await.unwrap();

    assert_eq!(lost(world.store.jobs().finish(&job.lease, &noted(), &ann()).await), id);
    assert_eq!(world.takes("b", MINUTE).await, None);
}

#[tokio::test]
async fn a_renewed_lease_holds_on() {
    let world = World::new().await;
    world.job().await;
    let job = world.takes("a", RUN_OUT).await.unwrap();

    world.store.jobs().renew(&job.lease, MINUTE).await.unwrap();

    assert_eq!(world.takes("b", MINUTE).await, None);
}

#[tokio::test]
async fn a_job_that_fails_waits_and_is_given_up_after_its_last_attempt() {
    let world = World::new().await;
    let twice = NewJob { max_attempts: 2, ..NewJob::new("sweep", json!({})) };
    let id = world.store.jobs().enqueue(&twice).await.unwrap();
    let failure = Failure::Retry("the registry does not answer".to_owned());

    let first = world.takes("a", MINUTE).await.unwrap();
    assert_eq!(world.store.jobs().fail(&first, &failure, &ann()).await.unwrap(), Ended::WillRetry);
    let waiting = world.store.jobs().get(id).await.unwrap().unwrap();
    assert_eq!(waiting.last_error.as_deref(), Some("the registry does not answer"));
    assert_eq!(world.takes("a", MINUTE).await, None, "it waits before the next attempt");

    world.make_due(id).await;
    let second = world.takes("a", MINUTE).await.unwrap();
    assert_eq!(second.attempt, 2);
    assert_eq!(world.store.jobs().fail(&second, &failure, &ann()).await.unwrap(), Ended::GivenUp);
    assert_eq!(world.state(id).await, (2, None, Some(Outcome::Failed)));
}

#[tokio::test]
async fn a_permanent_failure_is_not_tried_again() {
    let world = World::new().await;
    let id = world.job().await;
    let job = world.takes("a", MINUTE).await.unwrap();

    let failure = Failure::Permanent("bad payload".to_owned());
    let ended = world.store.jobs().fail(&job, &failure, &ann()).await.unwrap();

    assert_eq!(ended, Ended::GivenUp);
    assert_eq!(world.state(id).await, (1, None, Some(Outcome::Failed)));
}

#[tokio::test]
async fn a_job_given_back_is_due_at_once_and_the_attempt_does_not_count() {
    let world = World::new().await;
    let id = world.job().await;
    let job = world.takes("a", MINUTE).await.unwrap();

    world.store.jobs().give_back(&job.lease).await.unwrap();

    assert_eq!(world.state(id).await, (0, None, None));
    assert_eq!(world.takes("b", MINUTE).await.unwrap().attempt, 1);
}

#[tokio::test]
async fn a_job_that_kills_its_worker_every_time_is_given_up() {
    let world = World::new().await;
    let once = NewJob { max_attempts: 1, ..NewJob::new("sweep", json!({})) };
    let id = world.store.jobs().enqueue(&once).await.unwrap();
    world.takes("a", RUN_OUT).await.unwrap();
    assert_eq!(world.takes("b", MINUTE).await, None);

    assert_eq!(world.store.jobs().give_up_exhausted("b").await.unwrap(), 1);
    let told = world.store.events().after(0, 10).await.unwrap();
    assert_eq!((told.len(), told[0].event.as_str(), told[0].actor.as_str()), (1, "job.dead", "b"));

    let job = world.store.jobs().get(id).await.unwrap().unwrap();
    assert_eq!(job.outcome, Some(Outcome::Failed));
    insta::assert_snapshot!(job.last_error.unwrap(), @"the lease of `a` ran out on the last attempt");
    assert_eq!(world.store.jobs().give_up_exhausted("b").await.unwrap(), 0);
}
