//! Signed tokens of clients (JWT, RFC 7519): EdDSA and HS256, by keys that can change while the gateway runs.

mod backend;
mod jwks;
mod mint;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use service::identity::Role;
use service::settings::FromSetting;
use service::shutdown::Shutdown;

use crate::authenticate::{Caller, Refusal};
use crate::figures::Figures;
use jwks::{JwksError, Keys};

pub use mint::TOKEN;

/// What issuer and audience are called unless the environment says otherwise.
const NAME: &str = "slipway";

/// How tokens may be signed; which of them counts for a token is its key's matter.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::EdDSA, Algorithm::HS256];

/// How often the file of keys is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longer than any name of a person or program.
const SUBJECT_LENGTH_MAX: usize = 255;

/// How the subjects of API tokens begin.
const API_TOKEN_SUBJECTS: &str = "token/";

/// A file of keys that was readable when the gateway started.
#[derive(Debug, Clone)]
pub struct KeysFile {
    path: PathBuf,
    text: Vec<u8>,
}

/// What a token must say, and the keys with which it may be signed; clones share the keys.
#[derive(Clone)]
pub(crate) struct Verifier {
    keys: Arc<RwLock<Arc<Keys>>>,
    /// What tokens must say, made once for each way to sign.
    validations: Arc<[(Algorithm, Validation)]>,
    figures: Figures,
}

/// What a token's claims must be.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// By how much the clocks of the issuer and this host may differ.
    pub(crate) clock_skew: Duration,
}

/// The claims that are read; those that every token must have are compared before.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: Option<String>,
    roles: Option<Vec<String>>,
}

impl FromSetting for KeysFile {
    const EXPECTED: &'static str =
        "the path of a JSON Web Key Set with Ed25519 public keys (`OKP`) or secrets (`oct`)";

    fn from_setting(text: &str) -> Option<Self> {
        Self::load(text).ok()
    }

    fn reason(text: &str) -> Option<String> {
        Self::load(text).err().map(|error| error.to_string())
    }
}

impl KeysFile {
    fn load(path: &str) -> Result<Self, JwksError> {
        let path = PathBuf::from(path);
        let text = jwks::read(&path)?;
        Keys::parse(&text).map(|_| Self { path, text })
    }
}

impl Verifier {
    pub(crate) fn new(file: Option<&KeysFile>, claims: Expected, figures: Figures) -> Self {
        backend::install();
        // It was parsed once, when the setting was read.
        let keys = file.and_then(|file| Keys::parse(&file.text).ok()).unwrap_or_default();
        match file {
            Some(_) => tracing::info!(keys = keys.count(), "keys for tokens loaded"),
            None => tracing::warn!("`TOKEN_KEYS_FILE` is not set: only API tokens are accepted"),
        }
        figures.keys.set([], keys.count() as f64);
        figures.keys_stale.set([], 0.0);
        let validations = ALGORITHMS.map(|algorithm| (algorithm, claims.validation(algorithm))).into();
        Self { keys: Arc::new(RwLock::new(Arc::new(keys))), validations, figures }
    }

    /// Who the token says asks.
    ///
    /// # Errors
    /// It is not signed with a key that is known, or not valid here and now.
    pub(crate) fn verify(&self, token: &str) -> Result<Caller, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        // It asks to be understood in a way that is not known here (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let key = keys.named(header.kid.as_deref()).ok_or(Refusal::UnknownKey)?;
        // The key says how it is used; a token that says otherwise is after something.
        if header.alg != key.algorithm {
            return Err(Refusal::Algorithm);
        }
        let (_, validation) = self
            .validations
            .iter()
            .find(|(algorithm, _)| *algorithm == key.algorithm)
            .ok_or(Refusal::Algorithm)?;
        let claims: Claims =
            decode(token, &key.verifies, validation).map_err(|error| refusal(&error))?.claims;
        claims.caller()
    }

    /// Looks at the file until the service drains, and takes over the keys that it holds. What cannot be used changes
    /// nothing: the keys that are known stay.
    pub(crate) async fn watch(self, file: KeysFile, shutdown: Shutdown) -> anyhow::Result<()> {
        let KeysFile { path, mut text } = file;
        let mut fault = None;
        loop {
            tokio::select! {
                () = shutdown.draining() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let looked = path.clone();
            match tokio::task::spawn_blocking(move || jwks::read(&looked)).await? {
                // It is what it was when its keys were taken over.
                Ok(now) if now == text => fault = None,
                read => match read.and_then(|now| Keys::parse(&now).map(|keys| (now, keys))) {
                    Ok((now, keys)) => {
                        (text, fault) = (now, None);
                        self.take_over(keys);
                    }
                    Err(error) => {
                        let error = error.to_string();
                        // Once for each fault, not once a second.
                        if fault.as_ref() != Some(&error) {
                            let message = "the keys for tokens cannot be used; those from before stay";
                            tracing::error!(file = %path.display(), error, "{message}");
                        }
                        fault = Some(error);
                    }
                },
            }
            self.figures.keys_stale.set([], if fault.is_some() { 1.0 } else { 0.0 });
        }
    }

    fn take_over(&self, keys: Keys) {
        tracing::info!(keys = keys.count(), "keys for tokens changed");
        self.figures.keys.set([], keys.count() as f64);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl Expected {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = self.clock_skew.as_secs();
        validation.validate_nbf = true;
        validation
    }
}

impl Claims {
    fn caller(self) -> Result<Caller, Refusal> {
        let plain = !self.sub.is_empty()
            && self.sub.len() <= SUBJECT_LENGTH_MAX
            && !self.sub.contains(char::is_control)
            // Whom control calls so has shown an API token.
            && !self.sub.starts_with(API_TOKEN_SUBJECTS);
        if !plain {
            return Err(Refusal::Claims);
        }
        let named = self.role.into_iter().chain(self.roles.into_iter().flatten());
        // A provider's roles for other services are in there too.
        let role = named.filter_map(|name| name.parse::<Role>().ok()).max();
        Ok(Caller { subject: self.sub, role })
    }
}

fn refusal(error: &jsonwebtoken::errors::Error) -> Refusal {
    match error.kind() {
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYet,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm => Refusal::Algorithm,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            Refusal::Claims
        }
        _ => Refusal::Malformed,
    }
}
