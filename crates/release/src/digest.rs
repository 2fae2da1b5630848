//! The name of content by what it is: `sha256:` and 64 hexadecimal digits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How a digest begins; nothing else is taken.
const PREFIX: &str = "sha256:";

/// A SHA-256 digest of a manifest, a blob or a configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    /// Invariant: 64 lower-case hexadecimal digits.
    hex: String,
}

/// Text that is no digest.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no digest: `sha256:` and 64 hexadecimal digits in lower case are one")]
pub struct NoDigest(String);

/// Computes a digest from content that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct Digester(Sha256);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::default();
        digester.update(bytes);
        digester.finish()
    }

    /// The 64 hexadecimal digits without what they are digits of.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl Digester {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        let hex = self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Digest { hex }
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let hex = text.strip_prefix(PREFIX).unwrap_or_default();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() == 64 && hex.bytes().all(is_hex) {
            Ok(Self { hex: hex.to_owned() })
        } else {
            Err(NoDigest(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_well_known_one() {
        insta::assert_snapshot!(
            Digest::of(b""),
            @"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn anything_but_sha256_in_lower_case_is_refused() {
        let good = Digest::of(b"it").to_string();
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        for bad in [&good[..70], &good.to_uppercase(), &good.replace("sha256", "sha512"), "", "sha256:"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
