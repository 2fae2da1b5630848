//! Who asks, as HTTP says it: Basic, or a token from the issuer that the registry names.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hyper::{StatusCode, Uri, header::HeaderValue};

use super::{
    RegistryError,
    patience::Failure,
    transport::{Call, Transport, strange},
};
use crate::credentials::Credentials;

/// Bytes of an issuer's answer.
const TOKEN_MAX: usize = 256 * 1024;

/// What a request does, as tokens name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// Reads.
    Pull,
    /// Writes.
    Push,
    /// Deletes.
    Delete,
}

/// What a request carries to be let in.
#[derive(Clone)]
pub(super) enum Access {
    Basic(HeaderValue),
    Bearer(HeaderValue),
}

/// What let earlier requests in, by registry, path and action.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<(String, Action), Access>>);

/// A registry's demand.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Action {
    fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "delete",
        }
    }
}

impl Access {
    pub(super) fn is_basic(&self) -> bool {
        matches!(self, Self::Basic(_))
    }

    pub(super) fn header(&self) -> HeaderValue {
        let (Self::Basic(header) | Self::Bearer(header)) = self;
        header.clone()
    }
}

impl Tokens {
    pub(super) fn known(&self, call: &Call<'_>) -> Option<Access> {
        let key = (call.repository.to_string(), call.action);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn keep(&self, call: &Call<'_>, access: Access) {
        let key = (call.repository.to_string(), call.action);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, access);
    }
}

impl Transport {
    /// Gets what the registry asks for.
    pub(super) async fn authorize(&self, call: &Call<'_>, asked: &[String]) -> Result<Access, Failure> {
        let host = call.repository.registry();
        let credentials = self.options.logins.of(call.repository).map_err(RegistryError::from)?;
        let challenges: Vec<Challenge> = asked.iter().flat_map(|it| challenges(it)).collect();
        let bearer = challenges.iter().find(|it| matches!(it, Challenge::Bearer { .. }));
        let access = match bearer.or_else(|| challenges.first()) {
            None => return Err(strange(host, "it asks for credentials of no known kind").into()),
            Some(Challenge::Basic) => {
                let Some(credentials) = credentials else {
                    let (what, host) = (call.what.to_owned(), host.to_owned());
                    return Err(RegistryError::Anonymous { what, host }.into());
                };
                Access::Basic(basic(&credentials))
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                let own = format!("repository:{}:{}", call.repository.path(), call.action.scope());
                let scope = scope.as_ref().unwrap_or(&own);
                let query = [("service", service.as_ref()), ("scope", Some(scope))];
                Access::Bearer(self.token(call, &issuer(realm, &query), credentials.as_ref()).await?)
            }
        };
        self.tokens.keep(call, access.clone());
        Ok(access)
    }

    /// Asks the issuer for a token.
    async fn token(
        &self,
        call: &Call<'_>,
        address: &str,
        credentials: Option<&Credentials>,
    ) -> Result<HeaderValue, Failure> {
        let host = call.repository.registry();
        let uri: Uri = address.parse().map_err(|_| strange(host, "it names an issuer without an address"))?;
        let is_safe = match (uri.scheme_str(), uri.authority()) {
            (Some("https"), Some(_)) => true,
            (Some("http"), Some(authority)) => self.may_be_plain(authority.as_str()),
            _ => false,
        };
        if !is_safe {
            return Err(strange(host, "it names an issuer of tokens that does not use TLS").into());
        }
        let call = Call::new(call.what, call.repository, call.action, uri);
        let answer = self.exchange(&call, credentials.map(basic)).await?;
        let status = answer.status();
        let (what, host_text) = (call.what.to_owned(), host.to_owned());
        match status {
            _ if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(match credentials.cloned() {
                    None => RegistryError::Anonymous { what, host: host_text },
                    Some(Credentials { user, source: from, .. }) => {
                        RegistryError::Unauthorized { what, host: host_text, user, from }
                    }
                }
                .into());
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Err(Failure::passing(format!("the issuer of `{host}`'s tokens answered {status}")));
            }
            _ if status.is_server_error() => {
                return Err(Failure::passing(format!("the issuer of `{host}`'s tokens answered {status}")));
            }
            _ => return Err(strange(host, format!("the issuer of its tokens answered {status}")).into()),
        }
        let body = self.collect(&call, answer, TOKEN_MAX).await?;
        let header = token_of(&body).and_then(|it| HeaderValue::from_str(&format!("Bearer {it}")).ok());
        let Some(mut header) = header else {
            return Err(strange(host, "the issuer of its tokens sent none").into());
        };
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Issuers send one of two names, or both with the same token.
fn token_of(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let token = value.get("token").or_else(|| value.get("access_token"))?.as_str()?;
    Some(token.to_owned())
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let pair = format!("{}:{}", credentials.user, credentials.password.reveal());
    let text = format!("{} {}", "Basic", BASE64.encode(pair));
    // Base64 is always a header's value.
    let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    header.set_sensitive(true);
    header
}

/// The issuer's address with the query that it wants.
fn issuer(realm: &str, query: &[(&str, Option<&String>)]) -> String {
    let mut address = realm.to_owned();
    for (name, value) in query {
        let Some(value) = value else { continue };
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b':' | b',' => {
                    address.push(char::from(byte));
                }
                _ => address.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    address
}

/// The demands of one `WWW-Authenticate` header that are known here.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut parameters: Option<(String, BTreeMap<String, String>)> = None;
    for part in split_outside_quotes(header) {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        // A scheme stands before its first parameter, with a space between.
        let (scheme, name) = match name.trim().split_once(' ') {
            Some((scheme, name)) => (Some(scheme), name.trim()),
            None if value.is_none() => (Some(name.trim()), ""),
            None => (None, name.trim()),
        };
        if let Some(scheme) = scheme {
            found.extend(parameters.take().and_then(known));
            parameters = Some((scheme.to_ascii_lowercase(), BTreeMap::new()));
        }
        if let (Some((_, map)), Some(value)) = (&mut parameters, value) {
            map.insert(name.to_ascii_lowercase(), value.trim().trim_matches('"').replace("\\\"", "\""));
        }
    }
    found.extend(parameters.and_then(known));
    found
}

fn known((scheme, mut parameters): (String, BTreeMap<String, String>)) -> Option<Challenge> {
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        }),
        _ => None,
    }
}

fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let separates = move |it: char| {
        is_quoted ^= it == '"';
        it == ',' && !is_quoted
    };
    text.split(separates).map(str::trim).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_are_read_with_commas_in_their_values() {
        let header = r#"Bearer realm="https://auth.x/token",service="registry.x",scope="repository:a/b:pull,push", Basic realm="it""#;
        let bearer = Challenge::Bearer {
            realm: "https://auth.x/token".to_owned(),
            service: Some("registry.x".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(challenges(header), [bearer, Challenge::Basic]);
        assert_eq!(challenges("Basic"), [Challenge::Basic]);
        assert_eq!(challenges("Negotiate, Bearer service=\"x\""), []);
    }

    #[test]
    fn an_issuer_is_asked_for_the_scope() {
        let (service, scope) = ("a b&c".to_owned(), "repository:a/b:pull,push".to_owned());
        let query = [("service", Some(&service)), ("scope", Some(&scope))];
        insta::assert_snapshot!(
            issuer("https://auth.x/token?x=1", &query),
            @"https://auth.x/token?x=1&service=a%20b%26c&scope=repository:a/b:pull,push"
        );
    }
}
