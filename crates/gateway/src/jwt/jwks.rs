//! The file of keys with which clients' tokens are signed: a JSON Web Key Set (RFC 7517), read strictly.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// No file of keys is larger.
const BYTES_MAX: usize = 256 * 1024;

/// As much as SHA-256 makes of a longer one (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

const ED25519_BYTES: usize = 32;

/// The keys that are known. Invariant: each has the one algorithm that its kind is for, so that no token
/// decides how a key is used.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<Key>);

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) verifies: DecodingKey,
}

/// Why a file holds no keys that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwksError {
    /// The system refused it.
    #[error("it cannot be read ({0})")]
    Unreadable(std::io::ErrorKind),
    /// It is too large to be one.
    #[error("it is larger than {BYTES_MAX} bytes")]
    TooLarge,
    /// It is no JSON, or not that of a key set. What it holds is secret, so only the place is told.
    #[error("it is no JSON Web Key Set (line {0}, column {1})")]
    Malformed(usize, usize),
    /// One of its keys is faulty.
    #[error("key {0}: {1}")]
    Key(usize, &'static str),
    /// Two keys have the same name.
    #[error("two keys have the `kid` `{0}`")]
    SameId(String),
    /// More than one key, and one has no name.
    #[error("where there is more than one key each needs a `kid`")]
    NoId,
    /// Nothing in it can verify a token here.
    #[error("it holds no key of the kinds `OKP` with `Ed25519` and `oct`")]
    NoKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// What this code reads of a key; what else it says is not for it.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    /// The private part of a pair.
    d: Option<String>,
    /// A secret that both sides have.
    k: Option<String>,
}

/// What a key can be.
pub(super) enum Material {
    /// The public part of an Ed25519 pair, and the private one where it is there.
    Ed25519 { public: Vec<u8>, private: Option<Vec<u8>> },
    /// A secret for HMAC.
    Secret(Vec<u8>),
}

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or holds no keys that can be used.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, JwksError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, jwk) in jwks(text)?.into_iter().enumerate() {
            let fault = |what| JwksError::Key(index + 1, what);
            // A provider's set may hold keys of other kinds, for others.
            let Some(material) = jwk.material().map_err(fault)? else { continue };
            let (algorithm, verifies) = match material {
                Material::Ed25519 { private: Some(_), .. } => {
                    return Err(fault("it is a private key: whoever only verifies must not have it"));
                }
                Material::Ed25519 { public, .. } => (Algorithm::EdDSA, DecodingKey::from_ed_der(&public)),
                Material::Secret(secret) => (Algorithm::HS256, DecodingKey::from_secret(&secret)),
            };
            if let Some(id) =
                jwk.kid.as_ref().filter(|id| keys.iter().any(|key| key.id.as_ref() == Some(*id)))
            {
                return Err(JwksError::SameId(id.clone()));
            }
            keys.push(Key { id: jwk.kid, algorithm, verifies });
        }
        match keys.len() {
            0 => Err(JwksError::NoKey),
            1 => Ok(Self(keys)),
            _ if keys.iter().any(|key| key.id.is_none()) => Err(JwksError::NoId),
            _ => Ok(Self(keys)),
        }
    }

    /// The key that a token names; where there is only one, a token need not name it.
    pub(crate) fn named(&self, id: Option<&str>) -> Option<&Key> {
        match id {
            Some(id) => self.0.iter().find(|key| key.id.as_deref() == Some(id)),
            None => self.0.first().filter(|_| self.0.len() == 1),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The bytes of a file of keys.
///
/// # Errors
/// The system refuses it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, JwksError> {
    std::fs::read(path).map_err(|error| JwksError::Unreadable(error.kind()))
}

/// The keys of a set, or the one that stands alone.
pub(super) fn jwks(text: &[u8]) -> Result<Vec<Jwk>, JwksError> {
    if text.len() > BYTES_MAX {
        return Err(JwksError::TooLarge);
    }
    let malformed = |error: serde_json::Error| JwksError::Malformed(error.line(), error.column());
    let value: serde_json::Value = serde_json::from_slice(text).map_err(malformed)?;
    if value.get("keys").is_none() && value.get("kty").is_some() {
        return Ok(vec![serde_json::from_value(value).map_err(malformed)?]);
    }
    serde_json::from_slice::<Set>(text).map(|set| set.keys).map_err(malformed)
}

impl Jwk {
    /// What the key is; `None` when it is of a kind that is not used here.
    pub(super) fn material(&self) -> Result<Option<Material>, &'static str> {
        let (kind, algorithm) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => ("OKP", "EdDSA"),
            ("oct", _) => ("oct", "HS256"),
            _ => return Ok(None),
        };
        if self.alg.as_deref().is_some_and(|alg| alg != algorithm) {
            return Err(
                "its `alg` is none that its `kty` is used with here (`OKP`: `EdDSA`, `oct`: `HS256`)",
            );
        }
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err("its `use` is not `sig`");
        }
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify" || op == "sign");
        if self.key_ops.as_ref().is_some_and(|ops| !verifies(ops)) {
            return Err("its `key_ops` lack `verify`");
        }
        if kind == "oct" {
            let secret = bytes(self.k.as_deref()).ok_or("its `k` is no base64url")?;
            let long_enough = secret.len() >= SECRET_BYTES_MIN;
            return if long_enough {
                Ok(Some(Material::Secret(secret)))
            } else {
                Err("its `k` has less than 32 bytes")
            };
        }
        let ed25519 = |text: Option<&str>| bytes(text).filter(|bytes| bytes.len() == ED25519_BYTES);
        let public = ed25519(self.x.as_deref()).ok_or("its `x` is not the base64url of 32 bytes")?;
        let private = match &self.d {
            Some(text) => Some(ed25519(Some(text)).ok_or("its `d` is not the base64url of 32 bytes")?),
            None => None,
        };
        Ok(Some(Material::Ed25519 { public, private }))
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}
