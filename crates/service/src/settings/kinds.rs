//! The kinds of value a setting can have: each knows its unit, how it is written and whether it is secret.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Exposure, Presence};

/// A value that can be read from one environment variable.
pub trait FromSetting: Sized {
    /// What the variable may hold, with its unit, as it stands in messages: "a whole number of seconds".
    const EXPECTED: &'static str;
    /// Whether messages may repeat the value.
    const EXPOSURE: Exposure = Exposure::Shown;
    /// Whether it has to be set when there is no default.
    const PRESENCE: Presence = Presence::Required;

    /// The value, or `None` when the text is not what [`FromSetting::EXPECTED`] says.
    fn from_setting(text: &str) -> Option<Self>;

    /// Why the text is none, where more can be said than what is expected.
    fn reason(_text: &str) -> Option<String> {
        None
    }

    /// What an unset variable without a default means; `None` when it must be set.
    fn absent() -> Option<Self> {
        None
    }
}

/// A duration given in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// A duration given in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Milliseconds(pub Duration);

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// How many, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub usize);

/// How large the head of a request may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadBytes(pub usize);

/// Which events are logged, in `tracing`'s notation: `info`, or `info,store=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// A value that no log, message or debug print shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The URL of a Postgres database: secret, because it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl LogFilter {
    /// The filter as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl DatabaseUrl {
    /// The URL itself, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

impl FromSetting for String {
    const EXPECTED: &'static str = "text";

    fn from_setting(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromSetting for SocketAddr {
    const EXPECTED: &'static str = "an address and port such as `0.0.0.0:8000`";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromSetting for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromSetting for Seconds {
    const EXPECTED: &'static str = "a whole number of seconds";

    fn from_setting(text: &str) -> Option<Self> {
        // 32 bits are 136 years: enough, and adding to a clock cannot overflow.
        text.parse::<u32>().ok().map(|seconds| Self(Duration::from_secs(seconds.into())))
    }
}

impl FromSetting for Milliseconds {
    const EXPECTED: &'static str = "a whole number of milliseconds";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse::<u32>().ok().map(|milliseconds| Self(Duration::from_millis(milliseconds.into())))
    }
}

impl FromSetting for Bytes {
    const EXPECTED: &'static str = "a whole number of bytes";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl FromSetting for Count {
    const EXPECTED: &'static str = "a whole number, at least 1";

    fn from_setting(text: &str) -> Option<Self> {
        // 32 bits: nothing that is counted comes near, and no sum overflows.
        text.parse::<u32>().ok().filter(|it| *it > 0).and_then(|it| it.try_into().ok()).map(Self)
    }
}

impl FromSetting for HeadBytes {
    const EXPECTED: &'static str = "a whole number of bytes from 8192 to 1048576";

    fn from_setting(text: &str) -> Option<Self> {
        text.parse().ok().filter(|it| (8192..=1_048_576).contains(it)).map(Self)
    }
}

impl FromSetting for LogFilter {
    const EXPECTED: &'static str = "a log filter such as `info` or `info,store=debug`";

    fn from_setting(text: &str) -> Option<Self> {
        tracing_subscriber::EnvFilter::builder().parse(text).ok().map(|_| Self(text.to_owned()))
    }
}

impl FromSetting for Secret {
    const EXPECTED: &'static str = "a secret";
    const EXPOSURE: Exposure = Exposure::Secret;

    fn from_setting(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

impl FromSetting for DatabaseUrl {
    const EXPECTED: &'static str = "a `postgres://` URL";
    const EXPOSURE: Exposure = Exposure::Secret;

    fn from_setting(text: &str) -> Option<Self> {
        let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        postgres.then(|| Self(text.to_owned()))
    }
}

impl<T: FromSetting> FromSetting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXPOSURE: Exposure = T::EXPOSURE;
    const PRESENCE: Presence = Presence::Optional;

    fn from_setting(text: &str) -> Option<Self> {
        T::from_setting(text).map(Some)
    }

    fn reason(text: &str) -> Option<String> {
        T::reason(text)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}
