//! The keys with which the gateway signs and the services behind it verify.

use std::fmt;
use std::sync::Arc;

use ring::hmac;

use crate::settings::{Exposure, FromSetting};

/// A key that can be guessed is no key: 32 characters are what a random one of 128 bits takes in hex.
const LENGTH_MIN: usize = 32;

/// One key, or two while one replaces the other: the first signs, all verify.
///
/// To rotate without a refused request: add the new key as the second line everywhere, then swap the lines everywhere,
/// then drop the old one, with a restart of each service at each step.
#[derive(Clone)]
pub struct IdentityKeys(Arc<[hmac::Key]>);

impl IdentityKeys {
    /// The key that signs.
    pub(super) fn signing(&self) -> &hmac::Key {
        // There is at least one, by `from_setting`.
        &self.0[0]
    }

    /// Whether one of the keys made this tag; compared in constant time.
    pub(super) fn made(&self, tag: &[u8], message: &[u8]) -> bool {
        self.0.iter().any(|key| hmac::verify(key, message, tag).is_ok())
    }
}

impl fmt::Debug for IdentityKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{} secret]", self.0.len())
    }
}

impl FromSetting for IdentityKeys {
    const EXPECTED: &'static str =
        "one key, or two for a rotation, each on a line of its own and at least 32 characters long";
    const EXPOSURE: Exposure = Exposure::Secret;

    fn from_setting(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let fits = matches!(lines.len(), 1 | 2) && lines.iter().all(|line| line.len() >= LENGTH_MIN);
        fits.then(|| {
            Self(lines.iter().map(|line| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes())).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_key_or_two_and_none_that_is_short() {
        let (one, two) = ("a".repeat(32), "b".repeat(32));
        for good in
            [one.clone(), format!("{one}\n"), format!("{one}\r\n{two}\r\n"), format!("\n{one}\n\n{two}\n")]
        {
            assert!(IdentityKeys::from_setting(&good).is_some(), "{good:?}");
        }
        for bad in ["", "\n", "short", &one[1..], &format!("{one}\nshort"), &[&*one; 3].join("\n")] {
            assert!(IdentityKeys::from_setting(bad).is_none(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", IdentityKeys::from_setting(&one).unwrap()), "[1 secret]");
    }
}
