//! How often one client may ask: a token bucket each, told in the headers of the IETF's draft.
//!
//! Headers as in `draft-ietf-httpapi-ratelimit-headers`: `RateLimit-Policy` says what holds, `RateLimit` what is left.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use service::Problem;
use tokio::time::Instant;

use crate::PerMinute;
use crate::bounded::Bounded;

/// In what time a bucket refills.
const WINDOW: Duration = Duration::from_secs(60);

/// How many clients are remembered: some megabytes. Who was not seen for as many others starts with a full bucket.
const CLIENTS_MAX: usize = 50_000;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Who is counted as one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// Who a valid token says it is.
    Subject(String),
    /// Who did not say, or not credibly: its address, for IPv6 the network of 64 bits that one subscriber has.
    Address(IpAddr),
}

/// One limit, and every client's bucket.
#[derive(Debug)]
pub(crate) struct Limiter {
    name: &'static str,
    quota: u32,
    /// When each bucket will be full again, if nothing is taken from it.
    full_at: Mutex<Bounded<Client, Instant>>,
}

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) policy: &'static str,
    quota: u32,
    /// How many more requests would be let through now.
    left: u32,
    /// How long until the bucket is full.
    reset: Duration,
    /// How long to wait, when this request was not let through.
    pub(crate) retry_after: Option<Duration>,
}

impl Client {
    /// The client at this address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 => v4,
        })
    }
}

impl Limiter {
    /// Lets `quota` requests of each client through within a minute, at once or spread.
    pub(crate) fn new(name: &'static str, quota: PerMinute) -> Self {
        Self { name, quota: quota.0.get(), full_at: Mutex::new(Bounded::new(CLIENTS_MAX)) }
    }

    /// Takes one request out of the client's bucket, or says when there will be one.
    pub(crate) fn take(&self, client: &Client, now: Instant) -> Decision {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = buckets.get(client).map_or(Duration::ZERO, |full_at| *full_at - now);
        let after = missing + self.interval();
        if after > WINDOW {
            return self.decision(missing, Some(after - WINDOW));
        }
        buckets.insert(client.clone(), now + after);
        self.decision(after, None)
    }

    /// Whether a request would be let through, without taking it.
    pub(crate) fn peek(&self, client: &Client, now: Instant) -> Decision {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = buckets.get(client).map_or(Duration::ZERO, |full_at| *full_at - now);
        let after = missing + self.interval();
        self.decision(missing, (after > WINDOW).then(|| after - WINDOW))
    }

    /// How long one request takes to come back.
    fn interval(&self) -> Duration {
        WINDOW / self.quota
    }

    fn decision(&self, missing: Duration, retry_after: Option<Duration>) -> Decision {
        let left = (WINDOW - missing.min(WINDOW)).as_nanos() / self.interval().as_nanos().max(1);
        let left = u32::try_from(left).unwrap_or(self.quota).min(self.quota);
        Decision { policy: self.name, quota: self.quota, left, reset: missing, retry_after }
    }
}

impl Decision {
    /// The answer to a request that was not let through.
    pub(crate) fn refusal(&self) -> Response {
        let message = "too many requests; `retry-after` says in how many seconds the next one is let through";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
        let mut response = problem.into_response();
        self.tell(response.headers_mut());
        response
    }

    /// Tells the client where it stands.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Self { policy, quota, left, .. } = self;
        let (window, reset) = (WINDOW.as_secs(), seconds_up(self.reset));
        // Names of policies and numbers are ASCII, so neither can fail.
        if let Ok(value) = HeaderValue::from_str(&format!(r#""{policy}";q={quota};w={window}"#)) {
            headers.insert(POLICY, value);
        }
        if let Ok(value) = HeaderValue::from_str(&format!(r#""{policy}";r={left};t={reset}"#)) {
            headers.insert(LEFT, value);
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds_up(after).into());
        }
    }
}

/// Whole seconds, so that who waits so long has waited long enough.
fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limiter(quota: u32) -> Limiter {
        Limiter::new("subject", PerMinute(NonZeroU32::new(quota).unwrap()))
    }

    fn client(name: &str) -> Client {
        Client::Subject(name.to_owned())
    }

    fn told(decision: &Decision) -> String {
        let mut headers = HeaderMap::new();
        decision.tell(&mut headers);
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_burst_of_the_whole_quota_is_let_through_and_then_one_at_a_time() {
        let limiter = limiter(6);
        let start = Instant::now();
        let ann = client("ann");
        for left in (0..6).rev() {
            assert_eq!(limiter.take(&ann, start).left, left);
        }
        let refused = limiter.take(&ann, start);
        insta::assert_snapshot!(told(&refused), @r#"
        ratelimit-policy: "subject";q=6;w=60
        ratelimit: "subject";r=0;t=60
        retry-after: 10
        "#);
        // A refused request costs nothing, and who waits as long as told is let through.
        let later = start + Duration::from_secs(10);
        assert_eq!(
            limiter.take(&ann, later - Duration::from_millis(1)).retry_after,
            Some(Duration::from_millis(1))
        );
        assert_eq!(limiter.take(&ann, later).retry_after, None);
        assert!(limiter.take(&ann, later).retry_after.is_some());
        // After a minute of silence all is as in the beginning.
        assert_eq!(limiter.take(&ann, later + WINDOW).left, 5);
    }

    #[test]
    fn clients_do_not_take_from_each_other_but_those_of_one_ipv6_network_do() {
        let limiter = limiter(1);
        let now = Instant::now();
        let at = |address: &str| Client::at(address.parse().unwrap());
        let passes = |client: &Client| limiter.take(client, now).retry_after.is_none();
        assert!(passes(&client("ann")) && passes(&client("bob")) && !passes(&client("ann")));
        assert!(passes(&at("192.0.2.1")) && passes(&at("192.0.2.2")) && !passes(&at("192.0.2.1")));
        assert!(!passes(&at("::ffff:192.0.2.1")), "the same address written as IPv6");
        assert!(passes(&at("2001:db8:1:2::1")) && !passes(&at("2001:db8:1:2:ffff::9")));
        assert!(passes(&at("2001:db8:1:3::1")));
    }

    #[test]
    fn asking_whether_takes_nothing() {
        let limiter = limiter(1);
        let (now, ann) = (Instant::now(), client("ann"));
        assert_eq!(limiter.peek(&ann, now).retry_after, None);
        assert_eq!(limiter.take(&ann, now).retry_after, None);
        assert_eq!(limiter.peek(&ann, now).retry_after, Some(WINDOW));
    }
}
