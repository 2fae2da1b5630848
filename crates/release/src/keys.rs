//! Keys that are trusted: ECDSA on P-256, as PEM, known by the hash of what is public.

#[cfg(feature = "sign")]
mod signing;

use std::{fmt, fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

#[cfg(feature = "sign")]
pub use signing::{PASSPHRASE_VARIABLE, SIGNING_KEY_VARIABLE, SigningKey};

use crate::{digest::Digest, error::Error};

/// What stands before a point on P-256 in a `SubjectPublicKeyInfo`.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: a four and two coordinates.
const POINT_BYTES: usize = 65;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Which key: the SHA-256 of its public half in DER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: [u8; POINT_BYTES],
}

/// Keys whose signatures count. Several are for the time in which one takes another's place.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<PublicKey>);

/// A key that cannot be used. Nothing of a private one is ever told.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Text without a public key.
    #[error(
        "{0} holds no public key: `-----BEGIN PUBLIC KEY-----` begins one; `release keys public` writes it"
    )]
    NoPublicKey(String),
    /// Another curve or algorithm.
    #[error("{0} holds a key that is not ECDSA on P-256; `release keys new` makes one")]
    OtherKind(String),
    /// No key that signs.
    #[error("{0} holds no private key in PKCS#8; {1}")]
    NoPrivateKey(String, &'static str),
    /// It is encrypted.
    #[error(
        "the signing key is encrypted; set SLIPWAY_SIGNING_PASSPHRASE, or give `--passphrase-stdin` and the passphrase \
         on standard input"
    )]
    Encrypted,
    /// The passphrase does not open it.
    #[error("the passphrase does not open the signing key; correct SLIPWAY_SIGNING_PASSPHRASE")]
    WrongPassphrase,
    /// Its file cannot be read.
    #[error(
        "the signing key in `{0}` cannot be read: {1}; name a file that you may read with `--signing-key FILE`"
    )]
    Unreadable(String, std::io::Error),
    /// Nobody said which key signs.
    #[error(
        "no signing key is given; name its file with `--signing-key FILE`, or set SLIPWAY_SIGNING_KEY to its PEM"
    )]
    NotGiven,
    /// A key would be overwritten.
    #[error("`{0}` is there already; a key is not overwritten, choose another name")]
    Exists(String),
    /// The system gives no randomness, or the library refuses.
    #[error("cannot make or use a key: {0}")]
    Failed(&'static str),
}

impl KeyId {
    /// The identifier as text: `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn as_digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PublicKey {
    /// Reads one from PEM; `from` says where the text comes from.
    ///
    /// # Errors
    /// When there is none, more than one, or it is of another kind.
    pub fn from_pem(text: &str, from: &str) -> Result<Self, KeyError> {
        let mut keys = TrustedKeys::from_pem(text, from)?.0;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            _ => Err(KeyError::NoPublicKey(from.to_owned())),
        }
    }

    /// The key as PEM, as openssl and cosign read it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let text = BASE64.encode(self.to_der());
        let mut pem = format!("{BEGIN}\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem + END + "\n"
    }

    /// Which key this is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.to_der()))
    }

    /// Whether this key made the signature of these bytes.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point).verify(bytes, signature).is_ok()
    }

    fn to_der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &self.point].concat()
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let point: [u8; POINT_BYTES] = der.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
        // Four begins an uncompressed point, the only form that is written.
        (point[0] == 4).then_some(Self { point })
    }
}

impl TrustedKeys {
    /// These keys.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }

    /// All public keys of a PEM text; `from` says where it comes from.
    ///
    /// # Errors
    /// When there is none, or one is of another kind.
    pub fn from_pem(text: &str, from: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some((_, begun)) = rest.split_once(BEGIN) {
            let Some((inner, after)) = begun.split_once(END) else {
                return Err(KeyError::NoPublicKey(from.to_owned()));
            };
            let plain: String = inner.split_whitespace().collect();
            let der = BASE64.decode(plain).map_err(|_| KeyError::NoPublicKey(from.to_owned()))?;
            keys.push(PublicKey::from_der(&der).ok_or_else(|| KeyError::OtherKind(from.to_owned()))?);
            rest = after;
        }
        if keys.is_empty() { Err(KeyError::NoPublicKey(from.to_owned())) } else { Ok(Self(keys)) }
    }

    /// The keys of several files.
    ///
    /// # Errors
    /// When a file cannot be read or holds no such key.
    pub fn from_files(paths: &[impl AsRef<Path>]) -> Result<Self, Error> {
        let mut all = Self::default();
        for path in paths {
            let path = path.as_ref();
            let text = fs::read_to_string(path).map_err(|error| Error::File {
                doing: "read",
                path: path.to_owned(),
                error,
            })?;
            all.0.extend(Self::from_pem(&text, &format!("`{}`", path.display()))?.0);
        }
        Ok(all)
    }

    /// The keys one by one.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// The key that made this signature of these bytes.
    #[must_use]
    pub fn signer(&self, bytes: &[u8], signature: &[u8]) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.verifies(bytes, signature))
    }

    /// Whether the key with this identifier is among them.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id().to_string() == id)
    }
}
