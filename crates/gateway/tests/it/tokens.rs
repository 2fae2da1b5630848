//! Tokens of clients, good and bad, signed by keys that each test makes for itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A key that signs tokens.
pub(crate) enum Key {
    Hs256 { id: &'static str, secret: Vec<u8> },
    Ed25519 { id: &'static str, seed: Vec<u8>, pair: Ed25519KeyPair },
}

/// The gateway's file of keys.
pub(crate) struct KeysFile {
    directory: TempDir,
}

impl Key {
    pub(crate) fn hs256(id: &'static str) -> Self {
        Self::Hs256 { id, secret: random() }
    }

    pub(crate) fn ed25519(id: &'static str) -> Self {
        let seed = random();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        Self::Ed25519 { id, seed, pair }
    }

    /// What the gateway is given of it.
    pub(crate) fn public(&self) -> Value {
        match self {
            Self::Hs256 { id, secret } => {
                json!({ "kty": "oct", "kid": id, "alg": "HS256", "k": encoded(secret) })
            }
            Self::Ed25519 { id, pair, .. } => {
                let x = encoded(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": x })
            }
        }
    }

    /// What whoever signs has of it.
    pub(crate) fn private(&self) -> Value {
        let mut jwk = self.public();
        if let Self::Ed25519 { seed, .. } = self {
            jwk["d"] = encoded(seed).into();
        }
        jwk
    }

    /// A token that says so.
    pub(crate) fn signs(&self, claims: &Value) -> String {
        let (algorithm, id) = match self {
            Self::Hs256 { id, .. } => ("HS256", id),
            Self::Ed25519 { id, .. } => ("EdDSA", id),
        };
        self.signs_under(&json!({ "alg": algorithm, "typ": "JWT", "kid": id }), claims)
    }

    /// The same under a header of one's own.
    pub(crate) fn signs_under(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = match self {
            Self::Hs256 { secret, .. } => mac(secret, &message),
            Self::Ed25519 { pair, .. } => encoded(pair.sign(message.as_bytes())),
        };
        format!("{message}.{signature}")
    }
}

impl KeysFile {
    pub(crate) fn of(keys: &[&Key]) -> Self {
        let file = Self { directory: TempDir::new().expect("a directory can be made") };
        file.holds(&set(keys));
        file
    }

    /// Replaces what it holds, as a secret store does: at once.
    pub(crate) fn holds(&self, text: &str) {
        let fresh = self.directory.path().join("fresh");
        std::fs::write(&fresh, text).expect("it can be written");
        std::fs::rename(fresh, self.path()).expect("it can be replaced");
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("keys.json")
    }

    /// Another file beside it.
    pub(crate) fn beside(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    pub(crate) fn remove(&self) {
        std::fs::remove_file(self.path()).expect("it is there");
    }
}

/// The key set of these keys.
pub(crate) fn set(keys: &[&Key]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

/// The claims of a good token.
pub(crate) fn claims(subject: &str, role: &str) -> Value {
    let issued = now();
    json!({ "iss": "slipway", "aud": "slipway", "sub": subject, "role": role, "iat": issued, "exp": issued + 600 })
}

/// The HMAC of a message, as a token's last part.
pub(crate) fn mac(secret: &[u8], message: &str) -> String {
    encoded(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()))
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

fn random() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    bytes
}
