//! Takes jobs and works on them, one after the other, until it is told to stop; knows no kind of job.

use std::sync::Arc;
use std::time::Duration;

use service::shutdown::Shutdown;
use service::trace::GoesOn;
use store::Origin;
use store::jobs::{Ended, Failure, Jobs, LeaseError, LeasedJob};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tracing::field::Empty;
use tracing::{Instrument, Span, error, info, info_span, warn};

use crate::figures::Outcome;
use crate::jobs::{Done, Task, Tools, handler, kinds};

/// One of a worker's hands: works on one job at a time. All share the holder's name, each lease has its own token.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) tools: Arc<Tools>,
    /// Who holds the leases.
    pub(crate) holder: String,
    pub(crate) pace: Pace,
    pub(crate) shutdown: Shutdown,
}

/// How long things take at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long a lease runs; renewed at a third of it.
    pub(crate) lease: Duration,
    /// How long to wait before looking again when nothing was due.
    pub(crate) poll: Duration,
    /// How long a job may go on after TERM before it is given back.
    pub(crate) finish: Duration,
    /// How long an attempt may take before it counts as failed.
    pub(crate) attempt: Duration,
}

/// How the work on a job ended.
enum Worked {
    /// The handler came to its end.
    Through(Done),
    /// The lease is lost: the job is someone else's now.
    Lost,
    /// Told to stop, and the job takes too long.
    Stopped,
}

impl Runner {
    /// Works until the service drains.
    pub(crate) async fn run(self) {
        let kinds = kinds();
        while !self.shutdown.is_draining() {
            // Awaited whole, never cancelled: a lease that was taken and not noticed would have to run out.
            match self.next(&kinds).await {
                Ok(Some(job)) => {
                    let span = span(&job);
                    self.handle(job).instrument(span).await;
                }
                Ok(None) => self.shutdown.pause(self.pace.poll).await,
                Err(error) => {
                    warn!("cannot look for jobs: {:#}", anyhow::Error::from(error));
                    self.shutdown.pause(self.pace.poll).await;
                }
            }
        }
    }

    async fn next(&self, kinds: &[String]) -> Result<Option<LeasedJob>, store::Error> {
        let jobs = self.jobs();
        let next = jobs.lease(kinds, &self.holder, self.pace.lease).await?;
        if next.is_none() {
            let given_up = jobs.give_up_exhausted(&self.holder).await?;
            if given_up > 0 {
                warn!(jobs = given_up, "gave up jobs whose last lease ran out");
            }
        }
        Ok(next)
    }

    async fn handle(&self, job: LeasedJob) {
        let _in_flight = self.shutdown.in_flight();
        let begun = Instant::now();
        let origin = Origin { actor: self.holder.clone(), request_id: job.request_id.clone() };
        let ended = match self.work(&job).await {
            Worked::Through(Ok(effects)) => {
                let finished = self.jobs().finish(&job.lease, &effects, &origin).await;
                finished.map(|()| Outcome::Done)
            }
            Worked::Through(Err(failure)) => {
                Span::current().record("otel.status", "error");
                let failed = self.jobs().fail(&job, &failure, &origin).await;
                failed.map(|ended| {
                    warn!(?ended, error = failure.error(), "job failed");
                    if ended == Ended::GivenUp { Outcome::Dead } else { Outcome::WillRetry }
                })
            }
            Worked::Stopped => self.jobs().give_back(&job.lease).await.map(|()| Outcome::GivenBack),
            Worked::Lost => Err(LeaseError::Lost { job_id: job.lease.job_id() }),
        };
        let outcome = ended.unwrap_or_else(|error| {
            match error {
                LeaseError::Lost { .. } => warn!("the lease was lost, what was done is dropped"),
                // The lease runs out, and whoever takes the job next does it again.
                error => warn!("cannot write how the job ended: {:#}", anyhow::Error::from(error)),
            }
            Outcome::Lost
        });
        info!(?outcome, "job ended");
        self.tools.figures.ended(&job.kind, outcome, begun.elapsed());
    }

    /// Runs the handler and keeps the lease meanwhile.
    async fn work(&self, job: &LeasedJob) -> Worked {
        let Some(handler) = handler(&job.kind) else {
            return Worked::Through(Err(Failure::Permanent(format!("nobody here does `{}`", job.kind))));
        };
        let task = Task {
            tools: Arc::clone(&self.tools),
            kind: job.kind.clone(),
            payload: job.payload.clone(),
            request_id: job.request_id.clone(),
        };
        // A task of its own, so that a handler which panics takes no hand with it; dropped, it ends.
        let mut effort = JoinSet::new();
        effort.spawn((handler.run)(task).in_current_span());
        let beat = self.pace.lease / 3;
        let mut renewal = interval_at(Instant::now() + beat, beat);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held_until = Instant::now() + self.pace.lease;
        let overdue = Instant::now() + self.pace.attempt;
        let stopped = self.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                Some(done) = effort.join_next() => return Worked::Through(done.unwrap_or_else(|ended| {
                    error!("the handler panicked: {ended}");
                    Err(Failure::Retry(format!("the handler of `{}` panicked, its log says where", job.kind)))
                })),
                () = &mut stopped => return Worked::Stopped,
                () = sleep_until(overdue) => {
                    let seconds = self.pace.attempt.as_secs();
                    return Worked::Through(Err(Failure::Retry(format!("it was not done after {seconds} s"))));
                }
                asked = renewal.tick() => match self.jobs().renew(&job.lease, self.pace.lease).await {
                    Ok(()) => held_until = asked + self.pace.lease,
                    Err(LeaseError::Lost { .. }) => return Worked::Lost,
                    // By now the database may have given the job to someone else.
                    Err(_) if Instant::now() >= held_until => return Worked::Lost,
                    Err(error) => warn!("cannot renew the lease: {:#}", anyhow::Error::from(error)),
                },
            }
        }
    }

    /// Told to stop, and the time that a running job still had is over.
    async fn stopped(&self) {
        self.shutdown.draining().await;
        sleep(self.pace.finish).await;
    }

    fn jobs(&self) -> Jobs<'_> {
        self.tools.store.jobs()
    }
}

/// The span of one attempt at a job, in the trace of what caused it.
fn span(job: &LeasedJob) -> Span {
    let on = GoesOn::with(job.traceparent.as_deref());
    info_span!(
        "job",
        job_id = %job.lease.job_id(),
        kind = job.kind,
        attempt = job.attempt,
        request_id = job.request_id,
        trace_id = on.trace_id,
        span_id = on.span_id,
        otel.name = format!("job {}", job.kind),
        otel.kind = "consumer",
        otel.parent = on.parent,
        otel.status = Empty,
    )
}
