//! Does the jobs of the record: leases them, works on them, and writes down what came of it.

mod cli;
mod figures;
mod housekeeping;
mod jobs;
mod receivers;
mod registries;
mod runner;
mod webhook;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use service::settings::{DatabaseUrl, FromSetting, Milliseconds, Seconds};
use service::{Awaited, Parts};
use store::{Options, Store};
use uuid::Uuid;

use figures::Figures;
use housekeeping::Keep;
use jobs::Tools;
use receivers::Receivers;
use registries::{Account, Insecure, Keys, Registries};
use runner::{Pace, Runner};
use webhook::Sender;

service::settings! {
    /// What the worker is told by its environment.
    struct Config {
        /// The record, in the login of the app role.
        database: DatabaseUrl = "DATABASE_URL";
        /// How long it waits for the database when it starts, live but not ready, before it gives up.
        database_wait: Seconds = "DATABASE_WAIT_S", default "30";
        /// How long a job waits for a connection to the database.
        acquire_timeout: Milliseconds = "DATABASE_ACQUIRE_TIMEOUT_MS", default "3000";
        /// How long a statement may take: longer than where a client waits.
        statement_timeout: Milliseconds = "DATABASE_STATEMENT_TIMEOUT_MS", default "60000";
        /// How long a statement waits for what another transaction holds.
        lock_timeout: Milliseconds = "DATABASE_LOCK_TIMEOUT_MS", default "60000";
        /// How many jobs it works on at the same time.
        hands: Hands = "WORKER_CONCURRENCY", default "4";
        /// How long a job stays with a worker that says nothing any more; a living one renews at a third of it.
        lease: LeaseTime = "WORKER_LEASE_S", default "30";
        /// How long one attempt at a job may take before it counts as failed.
        attempt: Seconds = "WORKER_ATTEMPT_S", default "300";
        /// How long to wait before looking for jobs again when none was due.
        poll: Milliseconds = "WORKER_POLL_MS", default "1000";
        /// How long a running job may go on after TERM before it is given back; keep it below SHUTDOWN_GRACE_S.
        finish: Seconds = "WORKER_FINISH_S", default "5";
        /// How long jobs that are done and events that were handed over are kept; dead jobs stay until someone decides.
        keep: Days = "WORKER_KEEP_DAYS", default "30";
        /// How long events can be followed (`/v1/events`). The audit record stays.
        keep_events: EventDays = "WORKER_KEEP_EVENTS_DAYS", default "90";
        /// How long a request that is sent again under its `Idempotency-Key` is answered as before.
        keep_keys: Days = "WORKER_KEEP_KEYS_DAYS", default "30";
        /// Who is told of events; without it, nobody.
        receivers: Option<Receivers> = "WEBHOOKS_FILE";
        /// Whose signatures of releases count; without it, no release is called verified.
        keys: Option<Keys> = "RELEASE_KEYS_FILE";
        /// The account with which it asks registries.
        account: Option<Account> = "REGISTRY_AUTH_FILE";
        /// Registries that it may ask without TLS.
        insecure: Option<Insecure> = "INSECURE_REGISTRIES";
    }
}

/// How many jobs are worked on at the same time.
#[derive(Clone, Copy, Debug)]
struct Hands(u8);

/// How long a lease runs.
#[derive(Clone, Copy, Debug)]
struct LeaseTime(Duration);

/// How long events are kept: the schema keeps them for a week in any case.
#[derive(Clone, Copy, Debug)]
struct EventDays(Days);

/// How long something is kept.
#[derive(Clone, Copy, Debug)]
struct Days(u16);

fn main() -> ExitCode {
    let defaults = &[("LISTEN", "0.0.0.0:8002"), ("ADMIN_LISTEN", "0.0.0.0:9002")];
    service::run(service::about!(defaults, &[cli::JOBS]), work)
}

async fn work(config: Config, mut parts: Parts) -> anyhow::Result<()> {
    // Each hand may work on a job and renew its lease at the same time; one is left for readiness, one for housekeeping.
    let connections = u32::from(config.hands.0) * 2 + 2;
    let options = Options {
        connections_max: connections,
        acquire_timeout: config.acquire_timeout.0,
        statement_timeout: config.statement_timeout.0,
        lock_timeout: config.lock_timeout.0,
        traceparent: service::trace::traceparent,
        ..Options::of("slipway-worker")
    };
    let store = Store::open(config.database.expose(), options.counted(&parts.metrics))?;
    store.tell(&parts.metrics);
    let asked = store.clone();
    parts.readiness.check("database", move || {
        let store = asked.clone();
        async move { store.ping().await }
    });

    let asked = store.clone();
    let awaited = Awaited {
        what: "database",
        place: store.place(),
        place_setting: "DATABASE_URL",
        limit: ("DATABASE_WAIT_S", config.database_wait.0),
    };
    parts.wait_for(awaited, move || {
        let store = asked.clone();
        async move { store.reach().await }
    });

    let holder = format!("worker/{}", Uuid::now_v7());
    let receivers = config.receivers.unwrap_or_default();
    tracing::info!(holder, receivers = receivers.count(), "taking jobs");
    let figures = Figures::new(&parts.metrics);
    let registries = Registries::new(config.keys, config.account, config.insecure)?;
    let tools = Arc::new(Tools { store, receivers, sender: Sender::new()?, registries, figures });
    let pace = Pace {
        lease: config.lease.0,
        poll: config.poll.0,
        finish: config.finish.0,
        attempt: config.attempt.0,
    };
    for _ in 0..config.hands.0 {
        let shutdown = parts.shutdown.clone();
        let runner = Runner { tools: Arc::clone(&tools), holder: holder.clone(), pace, shutdown };
        parts.background("jobs", async move {
            runner.run().await;
            Ok(())
        });
    }
    let handing_over = housekeeping::hand_over(Arc::clone(&tools), pace.poll, parts.shutdown.clone());
    let counting = housekeeping::count(Arc::clone(&tools), parts.shutdown.clone());
    let keep = Keep { work: config.keep, events: config.keep_events.0, keys: config.keep_keys };
    let sweeping = housekeeping::sweep(tools, keep, parts.shutdown.clone());
    parts.background("housekeeping", async move {
        tokio::join!(handing_over, counting, sweeping);
        Ok(())
    });
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

impl FromSetting for Days {
    const EXPECTED: &'static str = "a whole number of days, at least 1";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok().filter(|days| *days > 0).map(Self)
    }
}

impl FromSetting for EventDays {
    const EXPECTED: &'static str = "a whole number of days, at least 7";

    fn from_setting(text: &str) -> Option<Self> {
        Days::from_setting(text).filter(|days| days.0 >= 7).map(Self)
    }
}

impl Days {
    fn count(self) -> u16 {
        self.0
    }

    fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 86_400)
    }
}
