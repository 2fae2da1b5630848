//! Making and reading the signed statement.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Identity, IdentityKeys, Role, sensitive};

/// How long a statement holds: a request's way through the gateway, and little more.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// How much the clocks of two hosts may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// No statement of the gateway's is longer.
const LENGTH_MAX: usize = 4096;

/// The only header there is. It is compared as a text and never interpreted: there is no algorithm to choose, and
/// no other token that is signed with a key of the same form can be taken for one of these.
const JWS_HEADER: &str = r#"{"alg":"HS256","typ":"slipway-identity+jwt"}"#;

/// Why a statement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error("there is no `x-slipway-identity`")]
    Missing,
    /// There is more than one.
    #[error("there is more than one `x-slipway-identity`")]
    Repeated,
    /// It is none that the gateway could have made.
    #[error("it is malformed")]
    Malformed,
    /// No key that is known here has signed it.
    #[error("no key of `IDENTITY_KEY_FILE` has signed it")]
    Forged,
    /// It is meant for another service.
    #[error("it is meant for another service")]
    Audience,
    /// It has been valid once.
    #[error("it has expired")]
    Expired,
    /// It was made in the future.
    #[error("it is not valid yet: the clocks of the gateway and this host differ")]
    NotYet,
    /// It was made for another request.
    #[error("it was made for another request")]
    OtherRequest,
}

/// Signs for one service behind the gateway.
#[derive(Debug, Clone)]
pub struct Signer {
    keys: IdentityKeys,
    audience: &'static str,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    sub: String,
    role: Role,
    rid: String,
    iat: u64,
    exp: u64,
}

impl Signer {
    /// Signs with the first of the keys for the service of this name.
    pub fn new(keys: IdentityKeys, audience: &'static str) -> Self {
        Self { keys, audience }
    }

    /// The header's value for a request that is sent now; `None` cannot happen: a compact JWS is ASCII.
    pub fn header_value(&self, identity: &Identity) -> Option<HeaderValue> {
        sensitive(&mint(&self.keys, self.audience, identity, SystemTime::now()))
    }
}

/// Signs, at `now`, that `identity` asks the service named `audience`.
pub fn mint(keys: &IdentityKeys, audience: &str, identity: &Identity, now: SystemTime) -> String {
    let iat = unix_s(now);
    let claims = serde_json::json!({
        "aud": audience, "sub": identity.subject, "role": identity.role, "rid": identity.request_id,
        "iat": iat, "exp": iat + LIFETIME.as_secs(),
    });
    let message = format!("{}.{}", encoded(JWS_HEADER), encoded(&claims.to_string()));
    let tag = hmac::sign(keys.signing(), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Reads, at `now` and as the service named `audience`, who asks.
///
/// # Errors
/// It was not signed by the gateway, for this service, within the last seconds.
pub fn verify(
    keys: &IdentityKeys,
    audience: &str,
    token: &str,
    now: SystemTime,
) -> Result<Identity, IdentityError> {
    if token.len() > LENGTH_MAX {
        return Err(IdentityError::Malformed);
    }
    let (message, tag) = token.rsplit_once('.').ok_or(IdentityError::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(IdentityError::Malformed)?;
    if header != encoded(JWS_HEADER) {
        return Err(IdentityError::Malformed);
    }
    if !keys.made(&decoded(tag)?, message.as_bytes()) {
        return Err(IdentityError::Forged);
    }
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| IdentityError::Malformed)?;
    if claims.aud != audience {
        return Err(IdentityError::Audience);
    }
    let now = unix_s(now);
    if claims.iat > now + CLOCK_SKEW.as_secs() {
        return Err(IdentityError::NotYet);
    }
    // One that claims to live longer than any does was not made by this code.
    let ends = claims.exp.min(claims.iat.saturating_add(LIFETIME.as_secs()));
    if now >= ends.saturating_add(CLOCK_SKEW.as_secs()) {
        return Err(IdentityError::Expired);
    }
    Ok(Identity { subject: claims.sub, role: claims.role, request_id: claims.rid })
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn decoded(text: &str) -> Result<Vec<u8>, IdentityError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| IdentityError::Malformed)
}

fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::FromSetting as _;

    fn keys(lines: &[&str]) -> IdentityKeys {
        let lines: Vec<String> = lines.iter().map(|line| line.repeat(32)).collect();
        IdentityKeys::from_setting(&lines.join("\n")).unwrap()
    }

    fn ann() -> Identity {
        Identity { subject: "ann".to_owned(), role: Role::Releaser, request_id: "r-1".to_owned() }
    }

    fn at(unix_s: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(unix_s)
    }

    fn minted() -> String {
        mint(&keys(&["a"]), "control", &ann(), at(1000))
    }

    #[test]
    fn what_the_gateway_signed_is_what_the_service_reads() {
        assert_eq!(verify(&keys(&["a"]), "control", &minted(), at(1001)), Ok(ann()));
    }

    #[test]
    fn it_holds_for_one_service_and_for_30_seconds_give_or_take_the_clocks() {
        let read = |audience, now| verify(&keys(&["a"]), audience, &minted(), at(now)).map(|_| ());
        assert_eq!(read("worker", 1001), Err(IdentityError::Audience));
        assert_eq!(read("control", 994), Err(IdentityError::NotYet));
        assert_eq!(read("control", 995), Ok(()));
        assert_eq!(read("control", 1034), Ok(()));
        assert_eq!(read("control", 1035), Err(IdentityError::Expired));
    }

    #[test]
    fn while_keys_are_rotated_each_side_reads_what_the_other_signs() {
        let (old, both, swapped, new) = (keys(&["a"]), keys(&["a", "b"]), keys(&["b", "a"]), keys(&["b"]));
        let passes = |signs: &IdentityKeys, reads: &IdentityKeys| {
            verify(reads, "control", &mint(signs, "control", &ann(), at(1000)), at(1000)).is_ok()
        };
        for (signs, reads) in
            [(&old, &both), (&both, &old), (&both, &swapped), (&swapped, &both), (&swapped, &new)]
        {
            assert!(passes(signs, reads));
        }
        assert!(!passes(&old, &new));
    }

    #[test]
    fn nothing_that_was_changed_or_signed_otherwise_is_believed() {
        let read = |token: &str| verify(&keys(&["a"]), "control", token, at(1000)).map(|_| ());
        let good = minted();
        let parts: Vec<&str> = good.split('.').collect();
        let operator = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let operator = encoded(&operator.replace("releaser", "operator"));
        let none = encoded(r#"{"alg":"none"}"#);
        let plain = encoded(r#"{"alg":"HS256","typ":"JWT"}"#);
        let resigned = |header: &str| {
            let message = format!("{header}.{}", parts[1]);
            let tag = hmac::sign(keys(&["a"]).signing(), message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
        };
        for (token, error) in [
            (String::new(), IdentityError::Malformed),
            ("..".to_owned(), IdentityError::Malformed),
            (parts[..2].join("."), IdentityError::Malformed),
            (format!("{}.{operator}.{}", parts[0], parts[2]), IdentityError::Forged),
            (format!("{}.{}.", parts[0], parts[1]), IdentityError::Forged),
            (format!("{}.{}.{}", parts[0], parts[1], &parts[2][..20]), IdentityError::Forged),
            (format!("{none}.{}.", parts[1]), IdentityError::Malformed),
            // Signed with the right key, yet another kind of token.
            (resigned(&none), IdentityError::Malformed),
            (resigned(&plain), IdentityError::Malformed),
            (format!("{good}="), IdentityError::Malformed),
            (format!("{good}.{}", parts[2]), IdentityError::Forged),
            (format!(" {good}"), IdentityError::Malformed),
            ("a".repeat(LENGTH_MAX + 1), IdentityError::Malformed),
        ] {
            assert_eq!(read(&token), Err(error), "{token}");
        }
        assert_eq!(verify(&keys(&["b"]), "control", &good, at(1000)), Err(IdentityError::Forged));
    }
}
