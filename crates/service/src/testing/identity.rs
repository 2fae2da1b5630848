//! The gateway's part in tests of what stands behind it: says who asks.

use axum::extract::Request;
use axum::http::HeaderValue;

use crate::identity::{self, Identity, IdentityKeys, Role, Signer};
use crate::request_id::RequestId;
use crate::settings::FromSetting as _;

/// Signs as the gateway does, with a key of its own.
#[derive(Debug, Clone)]
pub struct TestGateway {
    key: String,
    signer: Signer,
}

impl TestGateway {
    /// A gateway in front of the service of this name, with a new random key.
    pub fn before(service: &'static str) -> Self {
        let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let signer = Signer::new(keys_of(&key), service);
        Self { key, signer }
    }

    /// The key, as the variable `IDENTITY_KEY` takes it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same key, for a [`Verifier`](identity::Verifier).
    pub fn keys(&self) -> IdentityKeys {
        keys_of(&self.key)
    }

    /// The request as it arrives when the gateway has let `subject` in. An `x-request-id` that it has is kept.
    ///
    /// # Panics
    /// When the subject cannot stand in a header.
    pub fn says(&self, mut request: Request, subject: &str, role: Role) -> Request {
        let id = RequestId::of(request.headers());
        let who = Identity { subject: subject.to_owned(), role, request_id: id.as_str().to_owned() };
        let token: HeaderValue = self.signer.header_value(&who).expect("a compact JWS is ASCII");
        request.headers_mut().insert(identity::HEADER, token);
        request.headers_mut().insert(crate::request_id::HEADER, id.header_value().expect("an id is ASCII"));
        request
    }
}

fn keys_of(key: &str) -> IdentityKeys {
    IdentityKeys::from_setting(key).expect("64 hex digits are a key")
}
