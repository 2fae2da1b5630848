//! API tokens: control knows which hold; what it says is remembered for a few seconds.
//!
//! The token itself stays here: control is asked about its SHA-256.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{ResolveToken, ResolvedToken};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use service::forward::{ForwardError, Forwarder};
use service::identity::{self, ApiToken, Identity, Signer};
use service::request_id::RequestId;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::authenticate::{Caller, Refusal};
use crate::bounded::Bounded;

/// How long an answer of control's is believed: what a revoked token may still do.
const REMEMBERED: Duration = Duration::from_secs(5);

/// How many tokens are remembered, those that do not hold among them.
const TOKENS_MAX: usize = 10_000;

/// Longer than any answer about a token.
const ANSWER_BYTES_MAX: usize = 4096;

/// Where control is asked.
const PATH: &str = "/internal/v1/tokens/resolve";

/// Who the gateway itself is to control.
const SUBJECT: &str = "gateway";

/// Resolves tokens; whoever asks for the same one at the same time waits for the same answer.
#[derive(Debug)]
pub(crate) struct ApiTokens {
    control: Forwarder,
    signer: Signer,
    remembered: Mutex<Bounded<[u8; 32], Asked>>,
}

#[derive(Debug, Clone)]
struct Asked {
    at: Instant,
    answer: Arc<OnceCell<Option<Caller>>>,
}

/// Control has not said whether a token holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// It could not be asked.
    #[error("control cannot be asked about an API token")]
    Away(#[from] ForwardError),
    /// It answered with something else than was expected.
    #[error("control answered {0} when asked about an API token")]
    Answer(StatusCode),
    /// Its answer could not be read.
    #[error("control's answer about an API token cannot be read")]
    Unreadable(#[source] anyhow::Error),
}

impl ApiTokens {
    pub(crate) fn new(control: Forwarder, signer: Signer) -> Self {
        Self { control, signer, remembered: Mutex::new(Bounded::new(TOKENS_MAX)) }
    }

    /// Whether an answer about this token is at hand, so that control need not be asked.
    pub(crate) fn knows(&self, token: &ApiToken) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered
            .get(&token.sha256())
            .is_some_and(|asked| asked.at.elapsed() < REMEMBERED && asked.answer.initialized())
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// Control could not be asked.
    pub(crate) async fn resolve(
        &self,
        token: &ApiToken,
        request_id: &RequestId,
    ) -> Result<Result<Caller, Refusal>, ResolveError> {
        let sha256 = token.sha256();
        let answer = self.asked(sha256);
        let caller = answer.get_or_try_init(|| self.ask(&sha256, request_id)).await?;
        Ok(caller.clone().ok_or(Refusal::UnknownToken))
    }

    /// The answer that is believed now; not yet there when nobody has asked within the last seconds.
    fn asked(&self, sha256: [u8; 32]) -> Arc<OnceCell<Option<Caller>>> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = remembered.get(&sha256).filter(|asked| asked.at.elapsed() < REMEMBERED) {
            return asked.answer.clone();
        }
        // The time counts from the question: what control says is at least as new.
        let asked = Asked { at: Instant::now(), answer: Arc::default() };
        remembered.insert(sha256, asked.clone());
        asked.answer
    }

    async fn ask(&self, sha256: &[u8; 32], request_id: &RequestId) -> Result<Option<Caller>, ResolveError> {
        let response = self.control.forward(self.question(sha256, request_id)).await?;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX)
            .await
            .map_err(|error| ResolveError::Unreadable(error.into()))?;
        match status {
            StatusCode::OK => {
                let resolved: ResolvedToken =
                    serde_json::from_slice(&body).map_err(|error| ResolveError::Unreadable(error.into()))?;
                Ok(Some(Caller { subject: resolved.subject, role: Some(resolved.role) }))
            }
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(ResolveError::Answer(other)),
        }
    }

    fn question(&self, sha256: &[u8; 32], request_id: &RequestId) -> Request {
        let asked = ResolveToken { sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect() };
        let body = serde_json::to_string(&asked).unwrap_or_default();
        let mut request = Request::post(PATH).body(Body::from(body)).unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let gateway = Identity {
            subject: SUBJECT.to_owned(),
            role: identity::Role::Operator,
            request_id: request_id.as_str().to_owned(),
        };
        headers.extend(self.signer.header_value(&gateway).map(|value| (identity::HEADER, value)));
        headers.extend(request_id.header_value().map(|value| (service::request_id::HEADER, value)));
        request
    }
}
