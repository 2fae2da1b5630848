//! `/v1/events`: changes as they happen, as server-sent events.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use service::problem::Part;
use service::{Problem, extract};

use store::events::Extent;

use crate::{App, refusal};

/// Where a follower says behind which event it goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// What it may say in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    after: Option<String>,
}

/// GET: follows the changes behind one, or from now on.
pub(crate) async fn follow(
    State(App { store, followers, .. }): State<App>,
    headers: HeaderMap,
    extract::Query(asked): extract::Query<Asked>,
) -> Result<Response, Problem> {
    let Extent { forgotten_up_to, newest } = store.events().extent().await.map_err(refusal::of)?;
    let after = match headers.get(LAST_EVENT_ID) {
        Some(value) => Some(read(Part::Header, LAST_EVENT_ID, value.to_str().unwrap_or_default(), newest)?),
        None => asked.after.map(|text| read(Part::Query, "after", &text, newest)).transpose()?,
    };
    let after = after.unwrap_or(newest);
    if after < forgotten_up_to {
        return Err(refusal::of(store::Error::Forgotten { up_to: forgotten_up_to }));
    }
    let stream = followers.follow(store, after)?;
    Ok(stream.into_response())
}

/// The number of an event. One that is still to come was told by another record: who went on behind it would miss
/// everything until then.
fn read(part: Part, name: &str, text: &str, newest: i64) -> Result<i64, Problem> {
    let number = text.parse().ok().filter(|number| (0..=newest).contains(number));
    let wanted = || format!("expected the number of an event, from 0 to {newest}, which is the newest");
    number.ok_or_else(|| refusal::invalid_in(part, name, wanted()))
}
