//! One request to a registry: address, connection, credentials, redirects, and how an answer counts.

use std::{net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{
        AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
        WWW_AUTHENTICATE,
    },
};
use tokio::time::timeout;

use super::{
    Options, RegistryError,
    auth::{Access, Action, Tokens},
    connect::Connections,
    patience::Failure,
};
use crate::reference::Repository;

/// How often an answer may send elsewhere.
const REDIRECTS_MAX: usize = 5;
/// Bytes of an error's body that are looked at.
const COMPLAINT_MAX: usize = 16 * 1024;
/// Where Docker Hub really is.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Connections, and what was learnt about who may do what.
pub(super) struct Transport {
    http: Connections,
    pub(super) options: Options,
    pub(super) tokens: Tokens,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    /// The operation, as the rest of "cannot …".
    pub(super) what: &'a str,
    pub(super) repository: &'a Repository,
    pub(super) action: Action,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(what: &'a str, repository: &'a Repository, action: Action, uri: Uri) -> Self {
        let (method, headers, body) = (Method::GET, Vec::new(), Bytes::new());
        Self { what, repository, action, method, uri, headers, body }
    }

    pub(super) fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    fn host(&self) -> &str {
        self.repository.registry()
    }
}

impl Transport {
    pub(super) fn new(options: Options) -> Result<Self, RegistryError> {
        let http = Connections::new(options.limits.connect)?;
        Ok(Self { http, options, tokens: Tokens::default() })
    }

    /// The address of something in a repository: `tail` is what follows its path.
    pub(super) fn uri(&self, repository: &Repository, tail: &str) -> Result<Uri, RegistryError> {
        let path = match (repository.registry(), repository.path().contains('/')) {
            (host, false) if host == HUB.0 => format!("library/{}", repository.path()),
            _ => repository.path().to_owned(),
        };
        self.absolute(repository.registry(), &format!("/v2/{path}/{tail}"))
    }

    /// A path at a registry.
    pub(super) fn absolute(&self, registry: &str, path: &str) -> Result<Uri, RegistryError> {
        let host = if registry == HUB.0 { HUB.1 } else { registry };
        let scheme = if self.may_be_plain(host) { "http" } else { "https" };
        let uri = format!("{scheme}://{host}{path}").parse();
        uri.map_err(|_| strange(registry, format!("`{path}` is no address")))
    }

    /// Whether this host may be spoken to without TLS: loopback, and what the configuration names.
    pub(super) fn may_be_plain(&self, host: &str) -> bool {
        let name =
            host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
        let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
        name == "localhost"
            || address.is_some_and(|it| it.is_loopback())
            || self.options.insecure.contains(host)
            || self.options.insecure.contains(name)
    }

    /// Where an answer sends. On the registry itself its own scheme holds, whatever a proxy before it made it believe.
    pub(super) fn location(&self, call: &Call<'_>, headers: &HeaderMap) -> Result<Uri, RegistryError> {
        let text = headers.get(LOCATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let authority = call.uri.authority().map_or("", |it| it.as_str());
        let scheme = call.uri.scheme_str().unwrap_or("https");
        let refused = |why: &str| strange(call.host(), format!("it sends to `{text}`, {why}"));
        if text.starts_with('/') && !text.starts_with("//") {
            return format!("{scheme}://{authority}{text}")
                .parse()
                .map_err(|_| refused("which is no address"));
        }
        let uri: Uri = text.parse().map_err(|_| refused("which is no address"))?;
        let (Some(to), Some(path)) = (uri.authority(), uri.path_and_query()) else {
            return Err(refused("which is no address"));
        };
        if to.as_str() == authority {
            let text = format!("{scheme}://{authority}{path}");
            return text.parse().map_err(|_| refused("which is no address"));
        }
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.may_be_plain(to.as_str()) => Ok(uri),
            _ => Err(refused("without TLS")),
        }
    }

    /// Sends a request, with credentials where they are asked for. What comes back was answered with 2xx.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response<Incoming>, Failure> {
        let mut access = self.tokens.known(call);
        for is_first in [true, false] {
            let answer = self.follow(call, access.as_ref()).await?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return self.judged(call, answer).await;
            }
            let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            let asked: Vec<String> = headers.filter_map(|it| it.to_str().ok().map(str::to_owned)).collect();
            if !is_first || access.as_ref().is_some_and(Access::is_basic) {
                return Err(self.refused(call, access.as_ref())?.into());
            }
            access = Some(self.authorize(call, &asked).await?);
        }
        Err(self.refused(call, access.as_ref())?.into())
    }

    /// Follows redirects of reading requests. Credentials go to the registry only.
    async fn follow(&self, call: &Call<'_>, access: Option<&Access>) -> Result<Response<Incoming>, Failure> {
        let own = self.absolute(call.host(), "/v2/")?;
        let mut call = call.clone();
        for _ in 0..=REDIRECTS_MAX {
            let is_own = call.uri.authority() == own.authority();
            let answer = self.exchange(&call, access.filter(|_| is_own).map(Access::header)).await?;
            let reads = matches!(call.method, Method::GET | Method::HEAD);
            if !(reads && answer.status().is_redirection()) {
                return Ok(answer);
            }
            call.uri = self.location(&call, answer.headers())?;
        }
        Err(strange(call.host(), format!("it redirects more than {REDIRECTS_MAX} times")).into())
    }

    /// One request and the head of its answer.
    pub(super) async fn exchange(
        &self,
        call: &Call<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Failure> {
        let limits = &self.options.limits;
        let mut request = Request::builder().method(call.method.clone()).uri(call.uri.clone());
        request = request.header(USER_AGENT, concat!("slipway/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(call.body.clone()));
        let request = request.map_err(|error| strange(call.host(), error.to_string()))?;
        let patience = limits.connect + limits.idle + transfer(call.body.len(), limits.bytes_per_s_min);
        let authority = call.uri.authority().map_or("", |it| it.as_str());
        match timeout(patience, self.http.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unanswered(authority, &call.uri, &error)),
            Err(_) => {
                Err(Failure::passing(format!("`{authority}` did not answer within {} s", patience.as_secs())))
            }
        }
    }

    fn unanswered(&self, authority: &str, uri: &Uri, error: &hyper_util::client::legacy::Error) -> Failure {
        let chain = chain(error);
        if chain.contains("invalid peer certificate") {
            let why = format!(
                "its certificate is not trusted here: {chain}; SSL_CERT_FILE names further authorities"
            );
            return strange(authority, why).into();
        }
        if chain.contains("InvalidContentType") || chain.contains("corrupt message") {
            let why =
                format!("it does not speak TLS; `--insecure-registry {authority}` lets it be asked without");
            return strange(authority, why).into();
        }
        let doing = if error.is_connect() { "cannot be reached" } else { "closed the connection" };
        let way = self.http.proxy_to(uri).map(|it| format!(" through the proxy `{it}`"));
        Failure::passing(format!("`{authority}` {doing}{}: {chain}", way.unwrap_or_default()))
    }

    /// What an answer that is no success says.
    async fn judged(
        &self,
        call: &Call<'_>,
        answer: Response<Incoming>,
    ) -> Result<Response<Incoming>, Failure> {
        let status = answer.status();
        if is_page(answer.headers()) && (status.is_success() || status.is_redirection()) {
            let see = call.uri.authority().map_or(call.host(), |it| it.as_str());
            let why = format!(
                "what it sends is a web page, as a network's that wants a login first; see what `{see}` shows in a browser"
            );
            return Err(strange(call.host(), why).into());
        }
        if status.is_success() {
            return Ok(answer);
        }
        let after = retry_after(answer.headers());
        let detail = match call.method {
            Method::HEAD => String::new(),
            _ => self.collect(call, answer, COMPLAINT_MAX).await.map(|it| complaint(&it)).unwrap_or_default(),
        };
        let (what, host) = (call.what.to_owned(), call.host().to_owned());
        if is_full(&detail) || status == StatusCode::INSUFFICIENT_STORAGE {
            return Err(RegistryError::Full { what, host }.into());
        }
        let told = if detail.is_empty() { status.to_string() } else { format!("{status}: {detail}") };
        Err(match status {
            StatusCode::FORBIDDEN => {
                RegistryError::Forbidden { what, host, user: self.asker(call)?, detail: told }.into()
            }
            StatusCode::NOT_FOUND => RegistryError::NotFound { what, host, detail: told }.into(),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Failure::Passing { last: format!("`{host}` answered {told}"), after }
            }
            _ if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Failure::Passing { last: format!("`{host}` answered {told}"), after }
            }
            _ => RegistryError::Refused { what, host, status: status.as_u16(), detail: told }.into(),
        })
    }

    /// Who asks, for an error: a name in backticks, or nobody in particular.
    fn asker(&self, call: &Call<'_>) -> Result<String, RegistryError> {
        let found = self.options.logins.of(call.repository)?;
        Ok(found.map_or_else(|| "somebody without a name".to_owned(), |it| format!("`{}`", it.user)))
    }

    fn refused(&self, call: &Call<'_>, access: Option<&Access>) -> Result<RegistryError, RegistryError> {
        let (what, host) = (call.what.to_owned(), call.host().to_owned());
        let found = self.options.logins.of(call.repository)?;
        Ok(match (found, access.is_some_and(Access::is_basic)) {
            (None, _) => RegistryError::Anonymous { what, host },
            (Some(it), true) => RegistryError::Unauthorized { what, host, user: it.user, from: it.source },
            // The token's issuer took the credentials, the registry did not take the token.
            (Some(it), false) => {
                let detail = "its token does not hold for it".to_owned();
                RegistryError::Forbidden { what, host, user: format!("`{}`", it.user), detail }
            }
        })
    }

    /// The next piece of a body, or nothing at its end.
    pub(super) async fn piece(&self, call: &Call<'_>, body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
        loop {
            let idle = self.options.limits.idle;
            let Ok(frame) = timeout(idle, body.frame()).await else {
                let last = format!("`{}` sent nothing for {} s", call.host(), idle.as_secs());
                return Err(Failure::passing(last));
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    let last = format!("`{}` closed the connection midway: {}", call.host(), chain(&error));
                    return Err(Failure::passing(last));
                }
            }
        }
    }

    /// A whole body of at most `max` bytes.
    pub(super) async fn collect(
        &self,
        call: &Call<'_>,
        answer: Response<Incoming>,
        max: usize,
    ) -> Result<Bytes, Failure> {
        let mut body = answer.into_body();
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece(call, &mut body).await? {
            if all.len() + piece.len() > max {
                let (what, host) = (call.what.to_owned(), call.host().to_owned());
                return Err(RegistryError::TooLarge { what, host, max: max as u64 }.into());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// A registry that does not do as registries do.
pub(super) fn strange(host: &str, why: impl Into<String>) -> RegistryError {
    RegistryError::Protocol { host: host.to_owned(), why: why.into() }
}

/// How long that many bytes may take.
fn transfer(bytes: usize, bytes_per_s_min: u64) -> Duration {
    Duration::from_secs(bytes as u64 / bytes_per_s_min.max(1))
}

/// An error with what caused it, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Something for people: no registry answers with it, and it must not be taken for what was asked for.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Seconds, or a date; both are allowed.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok()?;
    Some(Duration::try_from(date - time::OffsetDateTime::now_utc()).unwrap_or_default())
}

/// What a registry complains of, on one line: codes and messages of its errors, with what they say in detail.
fn complaint(body: &[u8]) -> String {
    let errors = serde_json::from_slice::<serde_json::Value>(body).ok();
    let errors = errors.as_ref().and_then(|it| it.get("errors")?.as_array());
    let told = |error: &serde_json::Value| {
        let text = |key| error.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        let detail = error.get("detail").filter(|it| !it.is_null()).map(|it| format!(" {it}"));
        format!("{} {}{}", text("code"), text("message"), detail.unwrap_or_default())
    };
    let text = match errors {
        Some(errors) => errors.iter().map(told).collect::<Vec<_>>().join(", "),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let plain: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(300).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A disk without room, as file systems say it through a registry (28 is `ENOSPC`).
fn is_full(detail: &str) -> bool {
    let detail = detail.to_lowercase();
    ["no space left", "\"err\":28", "disk quota exceeded"].iter().any(|it| detail.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_and_what_is_named() {
        let insecure = ["registry.lan:5000".to_owned(), "lab".to_owned()].into();
        let transport = Transport::new(Options { insecure, ..Options::default() }).unwrap();
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]:5000",
            "registry.lan:5000",
            "lab:1",
        ] {
            assert!(transport.may_be_plain(host), "{host}");
        }
        for host in
            ["registry.lan", "registry.lan:5001", "localhost.example", "127.0.0.1.example", "10.0.0.1:5000"]
        {
            assert!(!transport.may_be_plain(host), "{host}");
        }
    }

    #[test]
    fn docker_hub_is_found_where_it_is() {
        let transport = Transport::new(Options::default()).unwrap();
        let uri = |text: &str| transport.uri(&text.parse().unwrap(), "tags/list").unwrap().to_string();
        insta::assert_snapshot!(uri("docker.io/rust"), @"https://registry-1.docker.io/v2/library/rust/tags/list");
        insta::assert_snapshot!(uri("localhost:5000/a/b"), @"http://localhost:5000/v2/a/b/tags/list");
    }

    #[test]
    fn a_complaint_is_one_line_without_control_characters() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\nway","detail":{"a":1}},{"code":"X"}]}"#;
        insta::assert_snapshot!(complaint(body), @r#"DENIED no way {"a":1}, X"#);
        insta::assert_snapshot!(complaint(b"<h1>\x1b[31mBad Gateway</h1>"), @"<h1> [31mBad Gateway</h1>");
    }

    #[test]
    fn a_pause_may_be_asked_for_in_seconds_or_until_a_date() {
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(asked("Sun, 06 Nov 2094 08:49:37 GMT") > Some(Duration::from_secs(1_000_000)));
        assert_eq!(asked("soon"), None);
    }
}
