//! Sends webhooks, signed as [Standard Webhooks](https://www.standardwebhooks.com) says.

use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ring::hmac;
use service::trace;

/// How long an unused connection is kept: shorter than servers keep theirs.
const UNUSED_MAX: Duration = Duration::from_secs(10);
/// The longest wait that a receiver may ask for.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// What starts a key that is written as Standard Webhooks says: base64 follows.
const KEY_PREFIX: &str = "whsec_";

/// A key that signs; never shown.
#[derive(Clone)]
pub(crate) struct Key(hmac::Key);

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The same for every attempt and every receiver, so that a receiver can tell what it has seen.
    pub(crate) id: String,
    pub(crate) body: String,
    /// The request that caused it.
    pub(crate) request_id: Option<String>,
}

/// Why a message counts as not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("it answered {status}")]
    Refused { status: StatusCode, after: Option<Duration> },
    #[error("it answered {}: it wants no more of these", StatusCode::GONE)]
    Gone,
}

/// Connections to receivers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sender(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Sender {
    /// Trusts the authorities that this host trusts, and those that `SSL_CERT_FILE` names.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let config = release::tls::client().context("TLS cannot be set up")?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(UNUSED_MAX)
            .build(connector);
        Ok(Self(client))
    }

    /// Sends a message, signed by each key. It counts as delivered when the answer is 2xx; redirects are not followed.
    ///
    /// # Errors
    /// It does not count as delivered, though it may have arrived.
    pub(crate) async fn send(
        &self,
        url: &Uri,
        message: &Message,
        keys: &[Key],
        patience: Duration,
    ) -> Result<(), Undelivered> {
        let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let request = request(url, message, keys, seconds);
        let mut request = request.map_err(|error| Undelivered::Unreachable(error.to_string()))?;
        if let Some(context) = trace::current() {
            context.inject(request.headers_mut());
        }
        let answer = match tokio::time::timeout(patience, self.0.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Undelivered::Unreachable(causes(&error))),
            Err(_) => return Err(Undelivered::Silent(patience)),
        };
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Undelivered::Gone),
            status => {
                let after =
                    answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.trim().parse().ok());
                let after = after.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
                Err(Undelivered::Refused { status, after })
            }
        }
    }
}

impl Key {
    /// A key as it stands in a file: any text, or `whsec_` and base64. Nothing where it has fewer bytes than `min`.
    pub(crate) fn parse(text: &str, min: usize) -> Option<Self> {
        let bytes = match text.strip_prefix(KEY_PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).ok()?,
            None => text.as_bytes().to_vec(),
        };
        (bytes.len() >= min).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn sign(&self, message: &Message, seconds: u64) -> String {
        let signed = format!("{}.{seconds}.{}", message.id, message.body);
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, signed.as_bytes())))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

fn request(
    url: &Uri,
    message: &Message,
    keys: &[Key],
    seconds: u64,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(USER_AGENT, concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", seconds);
    let signatures: Vec<String> = keys.iter().map(|key| key.sign(message, seconds)).collect();
    if !signatures.is_empty() {
        request = request.header("webhook-signature", signatures.join(" "));
    }
    if let Some(id) = &message.request_id {
        request = request.header("x-request-id", id);
    }
    request.body(Full::from(message.body.clone()))
}

/// What caused an error, without the address: it may hold a secret.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_standard_webhooks_says() {
        // The example of the specification's reference libraries.
        let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 16).unwrap();
        let message = Message {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            body: r#"{"test": 2432232314}"#.to_owned(),
            request_id: None,
        };
        insta::assert_snapshot!(key.sign(&message, 1_614_265_330), @"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_key_signs_so_that_keys_can_be_changed() {
        let keys = [Key::parse("0123456789abcdef", 16).unwrap(), Key::parse("fedcba9876543210", 16).unwrap()];
        let message = Message { id: "event-1".to_owned(), body: "{}".to_owned(), request_id: None };
        let url = Uri::from_static("http://127.0.0.1:1/");
        let request = request(&url, &message, &keys, 1).unwrap();
        let signatures = request.headers()["webhook-signature"].to_str().unwrap();
        assert_eq!(signatures.split(' ').filter(|it| it.starts_with("v1,")).count(), 2);
    }

    #[test]
    fn a_key_is_long_enough_or_none_and_never_shown() {
        assert!(Key::parse("short", 16).is_none());
        assert!(Key::parse("whsec_not base64!", 16).is_none());
        assert_eq!(format!("{:?}", Key::parse("0123456789abcdef", 16)), "Some([secret])");
    }
}
