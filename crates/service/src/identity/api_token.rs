//! The form of API tokens: a random secret with a checksum, so that a typo is told from a wrong token without asking.

use std::fmt;
use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

/// What every token begins with, for people and for scanners of leaked secrets.
pub const PREFIX: &str = "slw_";

const SECRET_BYTES: usize = 32;
const SECRET_LENGTH: usize = 2 * SECRET_BYTES;
const CHECKSUM_LENGTH: usize = 8;

/// An API token: `slw_`, 64 hex digits of secret, 8 of checksum.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiToken(String);

/// A text is no API token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiTokenError {
    /// It is written differently.
    #[error("expected `slw_` and 72 lower-case hex digits")]
    Malformed,
    /// Its checksum does not fit: a typo, or a guess.
    #[error("the checksum does not fit")]
    Checksum,
    /// The system has no randomness to give.
    #[error("the system gives no random bytes")]
    Randomness,
}

impl ApiToken {
    /// A new token.
    ///
    /// # Errors
    /// [`ApiTokenError::Randomness`], when the system gives none.
    pub fn generate() -> Result<Self, ApiTokenError> {
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| ApiTokenError::Randomness)?;
        let secret = hex(&secret);
        let checksum = checksum(&secret);
        Ok(Self(format!("{PREFIX}{secret}{checksum}")))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// It has another form, or its checksum does not fit.
    pub fn parse(text: &str) -> Result<Self, ApiTokenError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ApiTokenError::Malformed)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_hex || digits.len() != SECRET_LENGTH + CHECKSUM_LENGTH {
            return Err(ApiTokenError::Malformed);
        }
        let (secret, given) = digits.split_at(SECRET_LENGTH);
        if checksum(secret) != given {
            return Err(ApiTokenError::Checksum);
        }
        Ok(Self(text.to_owned()))
    }

    /// The token itself: shown once, to who asked for it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored and compared instead of it: the SHA-256 of the whole text. A secret of 256 random bits needs
    /// no salt and no slow hash.
    pub fn sha256(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        bytes
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// Says nothing of the secret that the secret does not say itself.
fn checksum(secret: &str) -> String {
    let mut digits = hex(digest(&SHA256, format!("slipway-token-checksum:{secret}").as_bytes()).as_ref());
    digits.truncate(CHECKSUM_LENGTH);
    digits
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_read_and_any_changed_digit_is_noticed_without_asking_anyone() {
        let token = ApiToken::generate().unwrap();
        assert_eq!(ApiToken::parse(token.expose()), Ok(token.clone()));
        assert_eq!(token.expose().len(), 76);
        for at in PREFIX.len()..token.expose().len() {
            let mut typo = token.expose().to_owned();
            let other = if typo.as_bytes()[at] == b'0' { "1" } else { "0" };
            typo.replace_range(at..=at, other);
            assert_eq!(ApiToken::parse(&typo), Err(ApiTokenError::Checksum), "{at}");
        }
    }

    #[test]
    fn what_is_written_differently_is_none() {
        let token = ApiToken::generate().unwrap();
        let text = token.expose();
        let upper = format!("{PREFIX}{}", text[PREFIX.len()..].to_uppercase());
        for bad in ["", "slw_", &text[1..], &text[..75], &format!("{text}0"), &format!("{text} "), &upper] {
            assert_eq!(ApiToken::parse(bad), Err(ApiTokenError::Malformed), "{bad}");
        }
    }

    #[test]
    fn two_tokens_differ_in_what_is_stored_and_no_print_shows_one() {
        let (one, two) = (ApiToken::generate().unwrap(), ApiToken::generate().unwrap());
        assert_ne!(one.sha256(), two.sha256());
        assert_eq!(format!("{one:?}"), "[secret]");
    }
}
