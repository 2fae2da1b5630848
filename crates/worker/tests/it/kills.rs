//! Whatever is killed or cut off in the middle, no job is lost and nothing is on the record twice.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::World;
use crate::receiver::Receiver;

/// How often workers are killed.
const KILLS: u64 = 12;
/// Releases that are recorded meanwhile, each with a job and an event.
const RELEASES: usize = 36;

#[tokio::test]
async fn workers_that_are_killed_again_and_again_lose_no_job_and_do_none_twice_on_the_record() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    let file = receiver.one();
    let settings = [("WEBHOOKS_FILE", file.as_str())];
    let mut releases = Vec::new();
    for round in 0..KILLS {
        let worker = world.worker_with(&settings);
        for number in 0..RELEASES as u64 / KILLS {
            releases.push(world.release(&format!("1.{round}.{number}")).await);
        }
        // Somewhere between its start and the end of its work.
        tokio::time::sleep(Duration::from_millis(25 * round)).await;
        worker.signal(Signal::KILL);
        worker.ends().await;
    }
    let _last = world.worker_with(&settings);

    world.wait_for_all().await;
    receiver.gets(RELEASES).await;
    world.wait_for_all().await;

    for release in &releases {
        assert_eq!(world.verdicts(release).await.len(), 1, "of release {}", release.version);
    }
    let told: BTreeSet<_> =
        receiver.got().into_iter().map(|got| got.body["data"]["version"].to_string()).collect();
    assert_eq!(told.len(), RELEASES, "every event was heard");
    let ids: BTreeSet<_> = receiver.got().into_iter().map(|got| got.id).collect();
    assert_eq!(ids.len(), RELEASES, "what was heard twice says that it is the same");
    let lost: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs WHERE outcome IS DISTINCT FROM 'succeeded'")
            .fetch_one(&mut world.admin().await)
            .await
            .unwrap();
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn a_worker_whose_connections_are_cut_goes_on_without_a_restart() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    let file = receiver.one();
    let _worker = world.worker_with(&[("WEBHOOKS_FILE", &file)]);
    let mut admin = world.admin().await;
    let mut releases = Vec::new();
    for number in 0..8 {
        releases.push(world.release(&format!("1.{number}.0")).await);
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'slipway_app' AND query LIKE '%jobs%'",
        )
        .execute(&mut admin)
        .await
        .unwrap();
    }

    world.wait_for_all().await;
    receiver.gets(releases.len()).await;

    for release in &releases {
        assert_eq!(world.verdicts(release).await.len(), 1, "of release {}", release.version);
    }
}
