//! The gateway: who may ask what of the API, how often, and what of it reaches control.
//!
//! A request is looked at ([`hygiene`]), its client identified ([`authenticate`], [`jwt`], [`api_tokens`]) and counted
//! ([`rate_limit`]), its role compared with the one that the route needs (the table in `api`), and then passed on in
//! the gateway's own words ([`entrance`]).
//!
//! Invariant: no header of a client says who someone is. Control is told by a statement that the gateway signs for each
//! request, and only headers that the API has reach it.

mod api_tokens;
mod authenticate;
mod bounded;
mod client_address;
mod description;
mod entrance;
mod figures;
mod hygiene;
mod jwt;
mod rate_limit;

use std::num::NonZeroU32;

use service::forward::{ForwardError, ForwardedHeaders, Forwarder, Options, Upgrades, Upstream};
use service::identity::IdentityKeys;
use service::settings::{FromSetting, Milliseconds, Seconds};

pub use client_address::TrustedProxies;
pub use entrance::{Entrance, OPENAPI};
pub use jwt::{KeysFile, TOKEN};

/// Control's name: for whom the gateway says who asks.
const CONTROL: &str = "control";

/// How many requests a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMinute(pub NonZeroU32);

service::settings! {
    /// What the gateway is told by its environment.
    pub struct Config {
        /// Where control is, which answers `/v1`.
        pub control_url: Upstream = "CONTROL_URL", default "http://127.0.0.1:8001";
        /// How long connecting to control may take.
        pub connect_timeout: Milliseconds = "UPSTREAM_CONNECT_TIMEOUT_MS", default "2000";
        /// How long control may take, once it has a request, until it begins to answer.
        pub first_byte_timeout: Seconds = "UPSTREAM_FIRST_BYTE_TIMEOUT_S", default "30";
        /// What signs who asks, for control, which has the same; of two the first signs.
        pub identity_key: IdentityKeys = "IDENTITY_KEY";
        /// The keys with which clients' tokens are signed, read again when it changes; without it only API tokens are accepted.
        pub token_keys: Option<KeysFile> = "TOKEN_KEYS_FILE";
        /// Who signs clients' tokens: their `iss`.
        pub token_issuer: String = "TOKEN_ISSUER", default "slipway";
        /// For whom clients' tokens are meant: their `aud`.
        pub token_audience: String = "TOKEN_AUDIENCE", default "slipway";
        /// By how much the clock of who signs tokens may differ from this host's.
        pub token_clock_skew: Seconds = "TOKEN_CLOCK_SKEW_S", default "30";
        /// The proxies in front, whose `x-forwarded-*` headers are believed.
        pub trusted_proxies: Option<TrustedProxies> = "TRUSTED_PROXIES";
        /// How often one client with a valid token may ask, at once or spread over the minute.
        pub rate_limit: PerMinute = "RATE_LIMIT_PER_MINUTE", default "600";
        /// How often may be asked without a token from one address.
        pub anonymous_rate_limit: PerMinute = "RATE_LIMIT_ANONYMOUS_PER_MINUTE", default "120";
        /// How often a token that is not valid may be shown from one address.
        pub failed_rate_limit: PerMinute = "RATE_LIMIT_FAILED_PER_MINUTE", default "20";
    }
}

impl FromSetting for PerMinute {
    const EXPECTED: &'static str = "a whole number of requests a minute, at least 1";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// The way to control.
pub fn control(config: &Config) -> Forwarder {
    let options = Options {
        // The proxy stands in front and says where requests come from.
        forwarded_headers: ForwardedHeaders::Continue,
        upgrades: Upgrades::Ignore,
        connect_timeout: config.connect_timeout.0,
        first_byte_timeout: config.first_byte_timeout.0,
    };
    Forwarder::new(config.control_url.clone(), options)
}

/// Whether control answers.
///
/// # Errors
/// It does not.
pub async fn alive(control: Forwarder) -> Result<(), ForwardError> {
    control.alive().await
}
