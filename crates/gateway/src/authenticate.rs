//! Who a client is: what its `authorization` header shows, believed only after it was verified.

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use service::Problem;
use service::identity::{API_TOKEN_PREFIX, ApiToken, ApiTokenError, Role};

/// Longer than any token with the claims that are needed.
const TOKEN_LENGTH_MAX: usize = 8192;

/// Who asks, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The person or program.
    pub(crate) subject: String,
    /// What it may do, if anything.
    pub(crate) role: Option<Role>,
}

/// What a client shows.
#[derive(Debug)]
pub(crate) enum Credentials<'a> {
    /// A signed token, not yet verified.
    Jwt(&'a str),
    /// An API token whose checksum fits.
    ApiToken(ApiToken),
}

/// Why a client is not believed. What it is told helps who means well, and nobody to forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It shows nothing.
    Missing,
    /// It shows something else than a bearer token.
    Scheme,
    /// What it shows is no token.
    Malformed,
    /// The token is signed in a way that is not accepted here.
    Algorithm,
    /// The token names no key that is known, or none where it must.
    UnknownKey,
    /// The signature does not fit.
    Signature,
    /// The token has been valid once.
    Expired,
    /// The token will be valid.
    NotYet,
    /// The token is meant for someone else.
    Audience,
    /// The token comes from someone else.
    Issuer,
    /// A claim that is needed is missing or has another form.
    Claims,
    /// The API token is mistyped.
    Typo,
    /// The API token is not known, has expired or was revoked.
    UnknownToken,
}

/// What the `authorization` header shows.
///
/// # Errors
/// Nothing, or something that cannot be a token.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Credentials<'_>, Refusal> {
    let value = headers.get(AUTHORIZATION).ok_or(Refusal::Missing)?;
    let text = value.to_str().map_err(|_| Refusal::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refusal::Scheme)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Scheme);
    }
    if token.is_empty() || token.len() > TOKEN_LENGTH_MAX {
        return Err(Refusal::Malformed);
    }
    if !token.starts_with(API_TOKEN_PREFIX) {
        return Ok(Credentials::Jwt(token));
    }
    match ApiToken::parse(token) {
        Ok(token) => Ok(Credentials::ApiToken(token)),
        Err(ApiTokenError::Checksum) => Err(Refusal::Typo),
        Err(_) => Err(Refusal::Malformed),
    }
}

impl Credentials<'_> {
    /// What it counts as.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Jwt(_) => "jwt",
            Self::ApiToken(_) => "api_token",
        }
    }
}

impl Refusal {
    /// What the client is told.
    fn told(self) -> &'static str {
        match self {
            Self::Missing => "show a token: `authorization: Bearer …`",
            Self::Scheme => "only bearer tokens are accepted: `authorization: Bearer …`",
            Self::Malformed | Self::Algorithm | Self::Signature | Self::Claims => "the token is not valid",
            Self::UnknownKey => "the token names no key that is known here",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::Audience => "the token is meant for another audience",
            Self::Issuer => "the token comes from another issuer",
            Self::Typo => "the token is mistyped: its checksum does not fit",
            Self::UnknownToken => "the token is not known, has expired or was revoked",
        }
    }

    /// What it counts as: a label of bounded cardinality, and what the log says.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Scheme => "scheme",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Claims => "claims",
            Self::Typo => "typo",
            Self::UnknownToken => "unknown_token",
        }
    }

    /// The 401 (RFC 6750, 3).
    pub(crate) fn response(self) -> Response {
        let told = self.told();
        let challenge = match self {
            Self::Missing | Self::Scheme => r#"Bearer realm="slipway""#.to_owned(),
            _ => format!(r#"Bearer realm="slipway", error="invalid_token", error_description="{told}""#),
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", told);
        challenged(problem, &challenge)
    }
}

/// The 403 for a caller whose role does not suffice.
pub(crate) fn forbidden(needed: Role, has: Option<Role>) -> Response {
    let has = has.map_or_else(|| "you have none".to_owned(), |role| format!("yours is `{role}`"));
    let message = format!("this needs the role `{needed}`, and {has}");
    let challenge = format!(r#"Bearer realm="slipway", error="insufficient_scope", scope="{needed}""#);
    challenged(Problem::new(StatusCode::FORBIDDEN, "forbidden", message), &challenge)
}

fn challenged(problem: Problem, challenge: &str) -> Response {
    let mut response = problem.into_response();
    if let Ok(value) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Result<Credentials<'static>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        credentials(&headers).map(|credentials| match credentials {
            Credentials::Jwt(_) => Credentials::Jwt(""),
            Credentials::ApiToken(token) => Credentials::ApiToken(token),
        })
    }

    #[test]
    fn a_token_is_shown_as_a_bearer_and_a_mistyped_one_is_told_from_a_wrong_one() {
        assert!(matches!(shown("Bearer a.b.c"), Ok(Credentials::Jwt(_))));
        assert!(matches!(shown("bEaReR a.b.c"), Ok(Credentials::Jwt(_))));
        let token = ApiToken::generate().unwrap();
        assert!(matches!(shown(&format!("Bearer {}", token.expose())), Ok(Credentials::ApiToken(_))));
        let last = if token.expose().ends_with('0') { "1" } else { "0" };
        for (value, refusal) in [
            ("", Refusal::Scheme),
            ("Bearer", Refusal::Scheme),
            ("Bearer ", Refusal::Malformed),
            ("Basic YTpi", Refusal::Scheme),
            ("Bearer slw_short", Refusal::Malformed),
            (&format!("Bearer {}{last}", &token.expose()[..75]), Refusal::Typo),
            (&format!("Bearer {}", "a".repeat(TOKEN_LENGTH_MAX + 1)), Refusal::Malformed),
        ] {
            assert_eq!(shown(value).unwrap_err(), refusal, "{value}");
        }
        assert_eq!(credentials(&HeaderMap::new()).unwrap_err(), Refusal::Missing);
    }
}
