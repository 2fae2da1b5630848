//! What the worker tells Prometheus of jobs and events.
//!
//! The figures of the queue are the database's: every worker tells the same, so a query takes their maximum, not their sum.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use service::metrics::{Counter, Gauge, Histogram, Metrics, buckets};
use store::{Error, Store};

use crate::jobs::kinds;

/// All of them.
#[derive(Debug)]
pub(crate) struct Figures {
    finished: Counter<2>,
    duration: Histogram<1>,
    queued: Gauge<1>,
    running: Gauge<1>,
    dead: Gauge<1>,
    oldest_age: Gauge<1>,
    outbox_pending: Gauge<0>,
    outbox_oldest_age: Gauge<0>,
    /// Kinds that were told of: where nothing is left of one, it is told to be none.
    told: Mutex<BTreeSet<String>>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Done,
    WillRetry,
    Dead,
    GivenBack,
    Lost,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let by_kind = |name, help| metrics.gauge(name, help, ["kind"]);
        Self {
            finished: metrics.counter(
                "slipway_jobs_finished",
                "Attempts at jobs that ended.",
                ["kind", "outcome"],
            ),
            duration: metrics.histogram(
                "slipway_job_duration_seconds",
                "How long attempts took.",
                ["kind"],
                buckets::WORK_S,
            ),
            queued: by_kind("slipway_jobs_queued", "Jobs that wait to be taken."),
            running: by_kind("slipway_jobs_running", "Jobs that a worker holds."),
            dead: by_kind("slipway_jobs_dead", "Jobs that were given up and wait for a person."),
            oldest_age: by_kind(
                "slipway_jobs_oldest_age_seconds",
                "How long the oldest job that is due has waited.",
            ),
            outbox_pending: metrics.gauge(
                "slipway_outbox_pending",
                "Events not handed over to jobs yet.",
                [],
            ),
            outbox_oldest_age: metrics.gauge(
                "slipway_outbox_oldest_age_seconds",
                "How long the oldest of them has waited.",
                [],
            ),
            told: Mutex::new(kinds().into_iter().collect()),
        }
    }

    /// An attempt ended, after so long.
    pub(crate) fn ended(&self, kind: &str, outcome: Outcome, took: Duration) {
        let name = match outcome {
            Outcome::Done => "done",
            Outcome::WillRetry => "will_retry",
            Outcome::Dead => "dead",
            Outcome::GivenBack => "given_back",
            Outcome::Lost => "lost",
        };
        self.finished.inc([kind, name]);
        self.duration.observe([kind], took);
    }

    /// Reads the queue's figures.
    ///
    /// # Errors
    /// The database fails; the figures stay as they were.
    pub(crate) async fn read(&self, store: &Store) -> Result<(), Error> {
        let (jobs, waiting) = (store.jobs().figures().await?, store.outbox().figures().await?);
        self.outbox_pending.set([], waiting.events as f64);
        self.outbox_oldest_age.set([], waiting.oldest_age_s);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend(jobs.iter().map(|it| it.kind.clone()));
        for kind in told.iter() {
            let of = jobs.iter().find(|it| it.kind == *kind);
            let count = |value: fn(&store::jobs::Figures) -> i64| of.map_or(0, value) as f64;
            self.queued.set([kind], count(|it| it.queued));
            self.running.set([kind], count(|it| it.running));
            self.dead.set([kind], count(|it| it.dead));
            self.oldest_age.set([kind], of.map_or(0.0, |it| it.oldest_age_s));
        }
        Ok(())
    }
}
