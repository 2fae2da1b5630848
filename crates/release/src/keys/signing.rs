//! Keys that sign: PKCS#8 in PEM, with a passphrase or without.

use std::{fmt, fs, path::Path};

use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument,
    pkcs5::{pbes2, scrypt},
};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::{KeyError, POINT_BYTES, PublicKey};
use crate::{credentials::Secret, error::Error};

/// Holds a signing key's PEM.
pub const SIGNING_KEY_VARIABLE: &str = "SLIPWAY_SIGNING_KEY";
/// Holds the passphrase of an encrypted signing key.
pub const PASSPHRASE_VARIABLE: &str = "SLIPWAY_SIGNING_PASSPHRASE";
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// What a guess at a passphrase costs: 2 to this many blocks of a kilobyte. OpenSSL takes no more than 32 MB.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;

/// A key that signs.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    document: SecretDocument,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| KeyError::Failed("the system has no randomness"))?;
        let document = SecretDocument::try_from(made.as_ref());
        Self::from_document(document.map_err(|_| KeyError::Failed("a new key is no PKCS#8"))?, "the new key")
    }

    /// The key of a command: the named file's, else the one that [`SIGNING_KEY_VARIABLE`] holds.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn find(
        file: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
        passphrase: Option<Secret>,
    ) -> Result<Self, Error> {
        let set = |name| variable(name).filter(|it| !it.is_empty());
        let passphrase = passphrase.or_else(|| set(PASSPHRASE_VARIABLE).map(Secret::new));
        if let Some(path) = file {
            let shown = path.display().to_string();
            let text =
                fs::read_to_string(path).map_err(|error| KeyError::Unreadable(shown.clone(), error))?;
            return Ok(Self::from_pem(&text, &format!("`{shown}`"), passphrase.as_ref())?);
        }
        let Some(text) = set(SIGNING_KEY_VARIABLE) else { return Err(KeyError::NotGiven.into()) };
        // Some keepers of secrets hand line feeds on as `\n`.
        let text = if text.contains('\n') { text } else { text.replace("\\n", "\n") };
        Ok(Self::from_pem(&text, &format!("`{SIGNING_KEY_VARIABLE}`"), passphrase.as_ref())?)
    }

    /// Reads a key; `from` says where the text comes from.
    ///
    /// # Errors
    /// When there is none, it is of another kind, or the passphrase lacks or is wrong.
    pub fn from_pem(text: &str, from: &str, passphrase: Option<&Secret>) -> Result<Self, KeyError> {
        let no_key = |help| KeyError::NoPrivateKey(from.to_owned(), help);
        if text.contains("BEGIN EC PRIVATE") {
            return Err(no_key("`openssl pkcs8 -topk8 -in FILE` converts what openssl made"));
        }
        if text.contains("BEGIN ENCRYPTED SIGSTORE") || text.contains("BEGIN ENCRYPTED COSIGN") {
            return Err(no_key(
                "cosign's own form is not read; `release keys new` makes one that cosign verifies",
            ));
        }
        let help = "`release keys new` makes one";
        let (label, document) = SecretDocument::from_pem(text.trim_start()).map_err(|_| no_key(help))?;
        match label {
            PLAIN => Self::from_document(document, from),
            ENCRYPTED => {
                let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
                let encrypted: EncryptedPrivateKeyInfoRef<'_> =
                    document.decode_msg().map_err(|_| no_key(help))?;
                let opened = encrypted.decrypt(passphrase.reveal());
                Self::from_document(opened.map_err(|_| KeyError::WrongPassphrase)?, from)
            }
            _ => Err(no_key(help)),
        }
    }

    /// The key as PEM, encrypted where a passphrase is given.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn to_pem(&self, passphrase: Option<&Secret>) -> Result<Secret, KeyError> {
        let failed = |_| KeyError::Failed("it cannot be written as PKCS#8");
        let Some(passphrase) = passphrase else {
            let pem = self.document.to_pem(PLAIN, LineEnding::LF).map_err(failed)?;
            return Ok(Secret::new(pem.as_str()));
        };
        let random = SystemRandom::new();
        let (mut salt, mut start) = ([0; 16], [0; 16]);
        let filled = random.fill(&mut salt).and_then(|()| random.fill(&mut start));
        filled.map_err(|_| KeyError::Failed("the system has no randomness"))?;
        let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
            .map_err(|_| KeyError::Failed("the cost of a passphrase is out of range"))?;
        let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, start)
            .map_err(|_| KeyError::Failed("it cannot be encrypted"))?;
        let info: PrivateKeyInfoRef<'_> = self.document.decode_msg().map_err(failed)?;
        let encrypted = info.encrypt_with_params(parameters, passphrase.reveal());
        let encrypted = encrypted.map_err(|_| KeyError::Failed("it cannot be encrypted"))?;
        let pem = encrypted.to_pem(ENCRYPTED, LineEnding::LF).map_err(failed)?;
        Ok(Secret::new(pem.as_str()))
    }

    /// What others need to verify what this key signs.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs these bytes: ASN.1 DER, as cosign keeps it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), bytes);
        let signature = signature.map_err(|_| KeyError::Failed("the system has no randomness"))?;
        Ok(signature.as_ref().to_vec())
    }

    fn from_document(document: SecretDocument, from: &str) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_bytes(), &random);
        let pair = pair.map_err(|_| KeyError::OtherKind(from.to_owned()))?;
        let point: [u8; POINT_BYTES] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::Failed("its public half has another length"))?;
        Ok(Self { pair, document, public: PublicKey { point } })
    }
}
