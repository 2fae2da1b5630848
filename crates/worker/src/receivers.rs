//! Who is told of events, as the file that `WEBHOOKS_FILE` names says it.
//!
//! ```toml
//! [[receiver]]
//! name = "deployments"                          # in jobs and logs
//! url = "https://hooks.example.org/slipway"     # or url-file = "/run/secrets/chat-url", where the address itself is secret
//! events = ["release.*", "promotion.approved"]  # all without
//! secret-file = "/run/secrets/webhook-key"      # signs what is sent; a key a line, all of them sign
//! format = "event"                              # or "chat", "mail": what such relays take
//! allow-http = false                            # true for a relay on a network that nobody else reads
//! timeout-s = 10
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use serde::Deserialize;
use service::settings::FromSetting;

use crate::webhook::Key;

/// How long a receiver may take to answer, where nothing else is said; seconds.
const TIMEOUT_S: u64 = 10;
/// The longest that may be said: a lease is renewed meanwhile, but a hand is bound.
const TIMEOUT_S_MAX: u64 = 60;
/// Bytes of a key at least: half of what the hash gives.
const KEY_MIN: usize = 16;

/// Everyone who is told of events. Nobody, where no file is named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receivers(Vec<Receiver>);

/// Someone who is told of events.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) name: String,
    /// May hold a secret, as chats' addresses do: never shown.
    pub(crate) url: Uri,
    /// Empty: all.
    events: Vec<String>,
    pub(crate) keys: Vec<Key>,
    pub(crate) format: Format,
    pub(crate) timeout: Duration,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// The event, whole.
    #[default]
    Event,
    /// A text, as the incoming webhooks of chats take it.
    Chat,
    /// A subject and a text, for a relay that makes mails of them.
    Mail,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "receiver")]
    receivers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: String,
    url: Option<String>,
    url_file: Option<PathBuf>,
    #[serde(default)]
    events: Vec<String>,
    secret_file: Option<PathBuf>,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    allow_http: bool,
    timeout_s: Option<u64>,
}

impl Receivers {
    /// Those who want to hear of that.
    pub(crate) fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Receiver> {
        self.0.iter().filter(move |receiver| receiver.wants(event))
    }

    /// The one of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Receiver> {
        self.0.iter().find(|receiver| receiver.name == name)
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Reads the file and the files that it names.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = read(path)?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = text[..error.span().map_or(0, |it| it.start)].matches('\n').count() + 1;
            format!("`{shown}:{line}`: {}", error.message())
        })?;
        let mut receivers: Vec<Receiver> = Vec::new();
        for entry in file.receivers {
            let name = entry.name.clone();
            let receiver =
                Receiver::new(entry).map_err(|why| format!("`{shown}`, receiver `{name}`: {why}"))?;
            if receivers.iter().any(|it| it.name == receiver.name) {
                return Err(format!("`{shown}` has two receivers of the name `{name}`"));
            }
            receivers.push(receiver);
        }
        Ok(Self(receivers))
    }
}

impl Receiver {
    fn new(entry: Entry) -> Result<Self, String> {
        if entry.name.is_empty() {
            return Err("`name` is empty".to_owned());
        }
        let url = match (entry.url, entry.url_file) {
            (Some(url), None) => url,
            (None, Some(file)) => read(&file)?.trim().to_owned(),
            _ => return Err("expected one of `url` and `url-file`".to_owned()),
        };
        let expected = "expected `https://…`, or `http://…` of this host or with `allow-http = true`";
        let url: Uri = url.parse().map_err(|_| format!("its address is malformed, {expected}"))?;
        let may_be_plain =
            entry.allow_http || matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let is_safe = match url.scheme_str() {
            Some("https") => true,
            Some("http") => may_be_plain,
            _ => false,
        };
        if !is_safe {
            return Err(format!("its address is not safe to send to, {expected}"));
        }
        let keys = entry.secret_file.as_deref().map(keys).transpose()?.unwrap_or_default();
        if keys.is_empty() && entry.format == Format::Event {
            return Err(
                "`secret-file` is missing: who gets events must be able to tell that they are genuine"
                    .to_owned(),
            );
        }
        let timeout_s = entry.timeout_s.unwrap_or(TIMEOUT_S);
        if !(1..=TIMEOUT_S_MAX).contains(&timeout_s) {
            return Err(format!("`timeout-s` is `{timeout_s}`, expected 1 to {TIMEOUT_S_MAX}"));
        }
        let timeout = Duration::from_secs(timeout_s);
        Ok(Self { name: entry.name, url, events: entry.events, keys, format: entry.format, timeout })
    }

    fn wants(&self, event: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => event.starts_with(start),
            None => event == pattern,
        };
        self.events.is_empty() || self.events.iter().any(fits)
    }
}

impl FromSetting for Receivers {
    const EXPECTED: &'static str = "a path to a TOML file of `[[receiver]]` entries that can be used";

    fn from_setting(text: &str) -> Option<Self> {
        Self::read(Path::new(text)).ok()
    }

    fn reason(text: &str) -> Option<String> {
        Self::read(Path::new(text)).err()
    }
}

fn keys(file: &Path) -> Result<Vec<Key>, String> {
    let text = read(file)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<Vec<Key>> = lines.map(|line| Key::parse(line, KEY_MIN)).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
        format!(
            "`{}` holds no key: expected lines of at least {KEY_MIN} characters, or `whsec_` and base64",
            file.display()
        )
    })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("`{}` cannot be read ({})", path.display(), error.kind()))
}
