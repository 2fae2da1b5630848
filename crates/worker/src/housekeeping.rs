//! What goes on beside the jobs: events become jobs, and what is done long since is cleared away.

use std::sync::Arc;
use std::time::Duration;

use service::shutdown::Shutdown;
use store::jobs::{DeliverWebhook, NewJob};
use store::outbox::Event;
use time::format_description::well_known::Rfc3339;
use tracing::{info, warn};

use crate::Days;
use crate::jobs::Tools;
use crate::receivers::Receivers;

/// Events that are handed over in one transaction.
const BATCH: u32 = 100;
/// Rows that are cleared away in one statement: locks are held for as long.
const SWEEP_BATCH: u32 = 1000;
/// How long to wait before counting again: less than Prometheus usually does.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before clearing away again.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Hands events of the outbox over to jobs, until the service drains.
pub(crate) async fn hand_over(tools: Arc<Tools>, poll: Duration, shutdown: Shutdown) {
    while !shutdown.is_draining() {
        match tools.store.outbox().hand_over(BATCH, |event| deliveries(&tools.receivers, event)).await {
            // There may be more.
            Ok(events) if events == BATCH as usize => continue,
            Ok(_) => {}
            Err(error) => warn!("cannot hand over events: {:#}", anyhow::Error::from(error)),
        }
        shutdown.pause(poll).await;
    }
}

/// Keeps the figures of the queue, until the service drains.
pub(crate) async fn count(tools: Arc<Tools>, shutdown: Shutdown) {
    while !shutdown.is_draining() {
        if let Err(error) = tools.figures.read(&tools.store).await {
            warn!("cannot count jobs and events: {:#}", anyhow::Error::from(error));
        }
        shutdown.pause(COUNT_EVERY).await;
    }
}

/// How long what is over is kept. Dead jobs stay, and so does the record itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Jobs that are done, and what was handed over of the outbox.
    pub(crate) work: Days,
    /// Events that can be followed.
    pub(crate) events: Days,
    /// Idempotency keys.
    pub(crate) keys: Days,
}

/// Clears away what is over for longer than it is kept, until the service drains.
pub(crate) async fn sweep(tools: Arc<Tools>, keep: Keep, shutdown: Shutdown) {
    while !shutdown.is_draining() {
        match swept(&tools, keep, &shutdown).await {
            Ok(0) => {}
            Ok(rows) => info!(rows, "cleared away what was done long since"),
            Err(error) => warn!("cannot clear away: {:#}", anyhow::Error::from(error)),
        }
        shutdown.pause(SWEEP_EVERY).await;
    }
}

async fn swept(tools: &Tools, keep: Keep, shutdown: &Shutdown) -> Result<u64, store::Error> {
    let (store, work) = (&tools.store, keep.work.duration());
    let mut rows = 0;
    while !shutdown.is_draining() {
        let swept = store.jobs().sweep(work, SWEEP_BATCH).await?
            + store.outbox().sweep(work, SWEEP_BATCH).await?
            + store.events().forget(keep.events.count(), SWEEP_BATCH).await?
            + store.idempotency_keys().forget(keep.keys.count(), SWEEP_BATCH).await?;
        rows += swept;
        if swept == 0 {
            break;
        }
    }
    Ok(rows)
}

fn deliveries(receivers: &Receivers, event: &Event) -> Vec<NewJob> {
    let job = |receiver: &str| {
        let webhook = DeliverWebhook {
            receiver: receiver.to_owned(),
            // What was put there for nobody to follow has only the outbox's own number.
            event_id: event.event_id.unwrap_or(event.id),
            event: event.event.clone(),
            occurred_at: event.created_at.format(&Rfc3339).unwrap_or_default(),
            data: event.payload.clone(),
        };
        webhook.job(event.request_id.clone(), event.traceparent.clone())
    };
    receivers.of(&event.event).map(|receiver| job(&receiver.name)).collect()
}
