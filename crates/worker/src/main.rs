//! Does the jobs of the record: leases them, works on them, and writes down what came of it.

mod jobs;
mod runner;

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use service::Parts;
use service::settings::{DatabaseUrl, FromSetting, Milliseconds, Seconds};
use store::Store;
use uuid::Uuid;

use runner::{Pace, Runner};

service::settings! {
    /// What the worker is told by its environment.
    struct Config {
        /// The record, in the login of the app role.
        database: DatabaseUrl = "DATABASE_URL";
        /// How many jobs it works on at the same time.
        hands: Hands = "WORKER_CONCURRENCY", default "4";
        /// How long a job stays with a worker that says nothing any more; a living one renews at a third of it.
        lease: LeaseTime = "WORKER_LEASE_S", default "30";
        /// How long to wait before looking for jobs again when none was due.
        poll: Milliseconds = "WORKER_POLL_MS", default "1000";
        /// How long a running job may go on after TERM before it is given back; keep it below SHUTDOWN_GRACE_S.
        finish: Seconds = "WORKER_FINISH_S", default "5";
    }
}

/// How many jobs are worked on at the same time.
#[derive(Clone, Copy, Debug)]
struct Hands(u8);

/// How long a lease runs.
#[derive(Clone, Copy, Debug)]
struct LeaseTime(Duration);

fn main() -> ExitCode {
    service::run(service::about!(&[("LISTEN", "0.0.0.0:8002"), ("ADMIN_LISTEN", "0.0.0.0:9002")]), work)
}

async fn work(config: Config, mut parts: Parts) -> anyhow::Result<()> {
    // Each hand may work on a job and renew its lease at the same time; one is left for readiness.
    let connections = u32::from(config.hands.0) * 2 + 1;
    let store = Store::connect_lazily_with(config.database.expose(), connections)?;
    let asked = store.clone();
    parts.readiness.check("database", move || {
        let store = asked.clone();
        async move { store.ping().await }
    });

    let holder = format!("worker/{}", Uuid::now_v7());
    tracing::info!(holder, "taking jobs");
    let pace = Pace { lease: config.lease.0, poll: config.poll.0, finish: config.finish.0 };
    for _ in 0..config.hands.0 {
        let runner =
            Runner { store: store.clone(), holder: holder.clone(), pace, shutdown: parts.shutdown.clone() };
        parts.background("jobs", async move {
            runner.run().await;
            Ok(())
        });
    }
    parts.serve(Router::new()).await
}

impl FromSetting for Hands {
    const EXPECTED: &'static str = "a whole number from 1 to 64";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok().filter(|hands| (1..=64).contains(hands)).map(Self)
    }
}

impl FromSetting for LeaseTime {
    const EXPECTED: &'static str = "a whole number of seconds, at least 1";

    fn from_setting(text: &str) -> Option<Self> {
        let seconds = Seconds::from_setting(text)?.0;
        (!seconds.is_zero()).then_some(Self(seconds))
    }
}
