//! Slipway told of a release: one request, which made again records nothing twice.

use std::{fs, net::IpAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Published, PublishedImage, Publishing, Refusal, record::RECORD};
use crate::{
    Digest, Record,
    attach::{self, RECORD_TYPE},
    credentials::Secret,
    registry::Connections,
};

/// Where Slipway is: its one door.
pub const URL_VARIABLE: &str = "SLIPWAY_URL";
/// Who records: an API token with the role `releaser`.
pub const TOKEN_VARIABLE: &str = "SLIPWAY_TOKEN";

/// How long it may take until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// Where releases are recorded, and in whose name.
#[derive(Debug)]
pub struct Slipway {
    releases: Uri,
    token: Secret,
    pace: Pace,
}

/// How long things take at most.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// One attempt: an answer that does not come is no reason not to ask again.
    attempt: Duration,
    /// All of them, with the pauses.
    all: Duration,
    /// Between two, where Slipway does not say how long.
    pause: Duration,
}

const PACE: Pace =
    Pace { attempt: Duration::from_secs(15), all: Duration::from_secs(60), pause: Duration::from_secs(2) };

/// What a refused request is answered with, as RFC 9457 has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    detail: String,
    request_id: String,
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

impl Slipway {
    /// As the environment names it.
    ///
    /// # Errors
    /// When it is no address, not safe to send a token to, or there is no token.
    pub fn find(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Refusal> {
        let given = |name: &str| variable(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        let Some(url) = given(URL_VARIABLE) else {
            let message = format!("`{URL_VARIABLE}` does not say where Slipway is");
            return Err(Refusal::usage("release-slipway", message, URL_FIX));
        };
        let refuse = |why: &str| {
            let message = format!("`{URL_VARIABLE}` is `{}`, {why}", shown(&url));
            Refusal::usage("release-slipway", message, URL_FIX)
        };
        let releases: Uri = format!("{}/v1/releases", url.trim_end_matches('/'))
            .parse()
            .map_err(|_| refuse("which is no address"))?;
        let is_safe = match releases.scheme_str() {
            Some("https") => true,
            Some("http") => is_this_host(&releases),
            _ => false,
        };
        if !is_safe || url.contains('@') {
            return Err(refuse("where a token is not safe"));
        }
        let Some(token) = given(TOKEN_VARIABLE).filter(|it| it.chars().all(|c| c.is_ascii_graphic())) else {
            let message = format!("`{URL_VARIABLE}` is set, and `{TOKEN_VARIABLE}` holds no token");
            return Err(Refusal::usage("release-slipway-token", message, TOKEN_FIX));
        };
        Ok(Self { releases, token: Secret::new(token), pace: PACE })
    }

    /// Records a release; one that is recorded already is the same one.
    ///
    /// # Errors
    /// When Slipway refuses it, or does not answer in time.
    async fn record(&self, body: &str, key: &str, say: &(dyn Fn(String) + Sync)) -> Result<(), Refusal> {
        let connections = Connections::new(CONNECT).map_err(crate::Error::from)?;
        let Pace { attempt, all, pause } = self.pace;
        let deadline = Instant::now() + all;
        let mut last = None;
        loop {
            let given_up = deadline.min(Instant::now() + attempt);
            let (why, pause) = match timeout_at(given_up, self.attempt(&connections, body, key)).await {
                Ok(Attempt::Recorded) => return Ok(()),
                Ok(Attempt::Refused(refusal)) => return Err(refusal),
                Ok(Attempt::Failed(why, after)) => (why, after.unwrap_or(pause)),
                // What the deadline of all cut off says less than the attempt before.
                Err(_) => (
                    last.filter(|_| given_up == deadline).unwrap_or_else(|| "it does not answer".to_owned()),
                    pause,
                ),
            };
            let next = Instant::now() + pause;
            if next >= deadline {
                let message = format!(
                    "Slipway at `{}` could not be told of the release: {why}",
                    self.releases.authority().map_or("", |it| it.as_str())
                );
                return Err(Refusal::environment("release-slipway", message, AGAIN));
            }
            say(format!("Slipway: {why}; once more in {} s", pause.as_secs()));
            last = Some(why);
            sleep_until(next).await;
        }
    }

    async fn attempt(&self, connections: &Connections, body: &str, key: &str) -> Attempt {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.releases)
            .header(AUTHORIZATION, format!("Bearer {}", self.token.reveal()))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Attempt::Failed(error.to_string(), None),
        };
        let answer = match connections.request(request).await {
            Ok(answer) => answer,
            Err(error) => return Attempt::Failed(chain(&error), None),
        };
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
        let read = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let bytes = read.map(|it| it.to_bytes()).unwrap_or_default();
        self.judge(status, after.map(Duration::from_secs), &bytes)
    }

    fn judge(&self, status: StatusCode, after: Option<Duration>, bytes: &[u8]) -> Attempt {
        let problem: Problem = serde_json::from_slice(bytes).unwrap_or_default();
        let host = self.releases.authority().map_or("", |it| it.as_str());
        let fields = problem.errors.iter().map(|it| format!("; `{}`: {}", it.pointer, it.detail));
        let fields: String = fields.collect();
        let request = match problem.request_id.as_str() {
            "" => String::new(),
            id => format!(" (request {id})"),
        };
        let detail = if problem.detail.is_empty() { String::new() } else { format!(": {}", problem.detail) };
        let said = format!("{status}{detail}{fields}{request}");
        match status.as_u16() {
            200 | 201 => Attempt::Recorded,
            401 | 403 => {
                let message =
                    format!("Slipway at `{host}` does not take the release from this token: {said}");
                Attempt::Refused(Refusal::environment("release-slipway-token", message, TOKEN_FIX))
            }
            409 | 422 => {
                let message = format!("Slipway at `{host}` does not record the release: {said}");
                let fix = if status == StatusCode::CONFLICT { CONFLICT_FIX } else { INVALID_FIX };
                Attempt::Refused(Refusal::fault("release-slipway-refused", message, fix))
            }
            429 | 500..=599 => Attempt::Failed(said, after),
            _ => {
                let message = format!("`{host}` does not answer as Slipway does: {said}");
                let fix = format!("correct `{URL_VARIABLE}`");
                Attempt::Refused(Refusal::usage("release-slipway", message, fix))
            }
        }
    }
}

/// How one request ended.
enum Attempt {
    Recorded,
    Refused(Refusal),
    /// It may pass; and how long Slipway asks to be left alone.
    Failed(String, Option<Duration>),
}

const URL_FIX: &str = "set it to `https://…`, or to `http://…` of this host";
const TOKEN_FIX: &str = "have an operator make an API token with the role `releaser` (`POST /v1/tokens`), and put it into `SLIPWAY_TOKEN`";
const CONFLICT_FIX: &str = "what is recorded never changes: release another version";
const INVALID_FIX: &str = "release what Slipway can record, or update the older one of the two";
const AGAIN: &str = "run it again once Slipway answers: what is done already stays done";

impl Publishing<'_> {
    /// Has Slipway record what was published.
    ///
    /// # Errors
    /// When nothing is published yet, or Slipway refuses it.
    pub async fn announce(&self, slipway: &Slipway) -> Result<Published, Refusal> {
        let file = self.order.folder.join(RECORD);
        let not_yet = |why: String| {
            let message = format!("`{}` cannot be read: {why}", file.display());
            Refusal::usage("release-order", message, "publish the release first")
        };
        let bytes = fs::read(&file).map_err(|error| not_yet(error.to_string()))?;
        let record = Record::from_bytes(&bytes).map_err(|error| not_yet(error.to_string()))?;
        let images = record.services.iter().map(|(service, it)| PublishedImage {
            service: service.clone(),
            reference: it.repository.at_digest(&it.digest).to_string(),
            tags: Vec::new(),
        });
        let published = Published { images: images.collect(), record: Some(file) };
        let Some(version) = &record.version else {
            self.say("Slipway: it records versions, and this is a snapshot");
            return Ok(published);
        };
        let images: serde_json::Map<_, _> =
            published.images.iter().map(|it| (it.service.clone(), json!(it.reference))).collect();
        let body = json!({
            "version": version,
            "commit": record.commit,
            "images": images,
            "signing_key_id": self.key.public().id().to_string().trim_start_matches("sha256:"),
            "evidence": self.evidence(&record, &bytes).await?,
        });
        self.say(format!("Slipway: record {version}"));
        let key = format!("release-{}", Digest::of(&bytes));
        slipway.record(&body.to_string(), &key, &|text| self.say(text)).await?;
        Ok(published)
    }

    /// The record with its signature, as it is attached to the first image.
    async fn evidence(&self, record: &Record, bytes: &[u8]) -> Result<Option<String>, Refusal> {
        let Some(first) = record.services.values().next() else { return Ok(None) };
        let digest = Digest::of(bytes);
        let found = attach::attached(self.registry, &first.repository, &first.digest, RECORD_TYPE).await?;
        let mine = found.into_iter().find(|it| it.parts.iter().any(|part| part.digest == digest));
        Ok(mine.map(|it| first.repository.at_digest(&it.digest).to_string()))
    }
}

fn is_this_host(uri: &Uri) -> bool {
    let name = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// An address without what stands before its host, which may be a password.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        text = format!("{text}: {error}");
        behind = error.source();
    }
    text
}

#[cfg(test)]
mod flaky;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, token: &str) -> String {
        let of = |name: &str| Some(if name == URL_VARIABLE { url.to_owned() } else { token.to_owned() });
        match Slipway::find(&of) {
            Ok(slipway) => slipway.releases.to_string(),
            Err(refusal) => format!("{} {}", refusal.code, refusal.message),
        }
    }

    #[test]
    fn a_token_goes_only_where_nobody_reads_it_on_the_way() {
        let token = "t".repeat(40);
        let said = [
            found("", ""),
            found("https://slipway.example.org/", &token),
            found("https://example.org/slipway", &token),
            found("http://127.0.0.1:8080", &token),
            found("http://[::1]:8080", &token),
            found("http://slipway.example.org", &token),
            found("https://ann:pass@slipway.example.org", &token),
            found("slipway", &token),
            found("https://slipway.example.org", ""),
            found("https://slipway.example.org", "two words"),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
        release-slipway `SLIPWAY_URL` does not say where Slipway is
        https://slipway.example.org/v1/releases
        https://example.org/slipway/v1/releases
        http://127.0.0.1:8080/v1/releases
        http://[::1]:8080/v1/releases
        release-slipway `SLIPWAY_URL` is `http://slipway.example.org`, where a token is not safe
        release-slipway `SLIPWAY_URL` is `…@slipway.example.org`, where a token is not safe
        release-slipway `SLIPWAY_URL` is `slipway`, which is no address
        release-slipway-token `SLIPWAY_URL` is set, and `SLIPWAY_TOKEN` holds no token
        release-slipway-token `SLIPWAY_URL` is set, and `SLIPWAY_TOKEN` holds no token
        ");
    }

    fn judged(status: u16, body: &str) -> String {
        let slipway = Slipway {
            releases: Uri::from_static("https://it/v1/releases"),
            token: Secret::new("t"),
            pace: PACE,
        };
        match slipway.judge(StatusCode::from_u16(status).unwrap(), None, body.as_bytes()) {
            Attempt::Recorded => "recorded".into(),
            Attempt::Refused(it) => format!("{} {:?}: {}", it.code, it.kind, it.message),
            Attempt::Failed(why, _) => format!("again: {why}"),
        }
    }

    #[test]
    fn what_slipway_answers_says_whose_matter_it_is() {
        let problem = r#"{"detail": "the release is recorded otherwise", "request_id": "r-1", "errors": [{"pointer": "/version", "detail": "is taken"}]}"#;
        let said = [
            judged(201, "{}"),
            judged(200, "{}"),
            judged(401, problem),
            judged(409, problem),
            judged(429, "{}"),
            judged(503, "<html>"),
            judged(404, "<html>"),
            judged(301, ""),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
        recorded
        recorded
        release-slipway-token Environment: Slipway at `it` does not take the release from this token: 401 Unauthorized: the release is recorded otherwise; `/version`: is taken (request r-1)
        release-slipway-refused Fault: Slipway at `it` does not record the release: 409 Conflict: the release is recorded otherwise; `/version`: is taken (request r-1)
        again: 429 Too Many Requests
        again: 503 Service Unavailable
        release-slipway Usage: `it` does not answer as Slipway does: 404 Not Found
        release-slipway Usage: `it` does not answer as Slipway does: 301 Moved Permanently
        ");
    }
}
