//! Following the record's changes: one look-out for all followers, and for each a stream that reads as fast as its
//! client does.
//!
//! A follower holds a number and at most one batch of events, whatever happens meanwhile: what it has not read yet lies in
//! the database, not in memory. A slow client is late; it makes nobody else late, and misses nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use service::Problem;
use service::shutdown::Shutdown;
use store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// As many events as a follower holds at most.
const BATCH_MAX: u32 = 100;

/// How long the look-out waits for a hint. Hints can be lost; this is how late an event can be then.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the database may take to say what there is: longer than a statement may.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a client waits before it comes back, when its stream ends.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Tells proxies in front not to collect the stream.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Everyone who follows. Clones are the same.
#[derive(Clone)]
pub struct Followers {
    newest: watch::Sender<i64>,
    places: Arc<Semaphore>,
    heartbeat: Duration,
    shutdown: Shutdown,
}

/// One who follows.
struct Follower {
    store: Store,
    newest: watch::Receiver<i64>,
    shutdown: Shutdown,
    /// The last event that it was told.
    told: i64,
    /// Read, and not told yet.
    batch: VecDeque<store::events::Event>,
    /// Whether it knows where it stands.
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

impl Followers {
    /// Nobody yet.
    pub fn new(max: u32, heartbeat: Duration, shutdown: &Shutdown) -> Self {
        Self {
            newest: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(max as usize)),
            heartbeat,
            shutdown: shutdown.clone(),
        }
    }

    /// Looks out for changes until the service drains.
    ///
    /// # Errors
    /// Never: what goes wrong is logged, and looked at again.
    pub async fn look_out(self, store: Store) -> anyhow::Result<()> {
        let mut hints = store.events().hints();
        let mut away = false;
        loop {
            tokio::select! {
                () = self.shutdown.draining() => return Ok(()),
                () = hints.wait(LOOK_EVERY) => {}
            }
            let looked = tokio::select! {
                () = self.shutdown.draining() => return Ok(()),
                looked = in_time(async { store.events().newest().await }) => looked,
            };
            match looked {
                Ok(newest) => {
                    away = false;
                    self.newest.send_if_modified(|seen| std::mem::replace(seen, newest) != newest);
                }
                // Told once: it is looked at every second.
                Err(error) if !away => {
                    away = true;
                    tracing::warn!(error = format!("{error:#}"), "cannot look for changes");
                }
                Err(_) => {}
            }
        }
    }

    /// A stream of the changes behind one.
    ///
    /// # Errors
    /// As many follow already as may.
    pub(crate) fn follow(&self, store: Store, after: i64) -> Result<Response, Problem> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let message = "as many clients follow changes as may; try again later";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_followers", message));
        };
        let follower = Follower {
            store,
            newest: self.newest.subscribe(),
            shutdown: self.shutdown.clone(),
            told: after,
            batch: VecDeque::new(),
            greeted: false,
            _place: place,
        };
        let heartbeat = KeepAlive::new().interval(self.heartbeat).text("heartbeat");
        Ok(([UNBUFFERED], Sse::new(follower.stream()).keep_alive(heartbeat)).into_response())
    }
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, async |mut follower| {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// What to tell next; `None` when the service drains. The client comes back then, and goes on where it was.
    async fn next(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.greeted, true) {
            // An id without data tells a client where it stands, and is no event.
            let id = self.told.to_string();
            return Some(Event::default().id(id).retry(RECONNECT_AFTER).comment("following"));
        }
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.draining() => None,
            event = self.event() => event,
        }
    }

    /// The next change; `None` when some before it are forgotten. A client that comes back is told so.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.batch.pop_front() {
                self.told = event.id;
                return Some(told(event));
            }
            let told = self.told;
            // The look-out lives as long as the service.
            let Ok(_) = self.newest.wait_for(|newest| *newest > told).await.map(|newest| *newest) else {
                return std::future::pending().await;
            };
            match in_time(async { self.store.events().after(told, BATCH_MAX).await }).await {
                Ok(events) => self.batch.extend(events),
                Err(error) if matches!(error.downcast_ref(), Some(store::Error::Forgotten { .. })) => {
                    return None;
                }
                Err(error) => {
                    tracing::debug!(error = format!("{error:#}"), "cannot read changes");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}

/// No request's limit holds here, and a wire that died in silence gives no answer at all.
async fn in_time<T>(asked: impl Future<Output = Result<T, store::Error>>) -> anyhow::Result<T> {
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(answered) => answered.map_err(Into::into),
        Err(_) => Err(anyhow::anyhow!("the database does not answer")),
    }
}

fn told(event: store::events::Event) -> Event {
    let (id, name) = (event.id.to_string(), event.event.clone());
    let event = api::Event {
        id: event.id,
        event: event.event,
        subject: event.subject,
        at: event.at,
        actor: event.actor,
        request_id: event.request_id,
        details: event.details,
    };
    let data = serde_json::to_string(&event).unwrap_or_default();
    Event::default().id(id).event(name).data(data)
}
