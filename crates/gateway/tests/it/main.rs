//! The built gateway, as its container runs it, in front of a control that the test can take away.

mod api_tokens;
mod documented;
mod forwarding;
mod jwt;
mod lifecycle;
mod limits;
mod rate_limits;
mod tokens;
mod tricks;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use service::testing::{Answer, Binary, FakeUpstream, Running, TestGateway};
use tokens::{Key, KeysFile, claims, text};

/// The gateway in front of a control with the routes given. It knows one key, and who asks is `ann`, an operator.
struct World {
    control: FakeUpstream,
    gateway: Running,
    key: Key,
    /// Its key is what control would verify with.
    identity: TestGateway,
    _keys: KeysFile,
}

impl World {
    async fn new(routes: Router) -> Self {
        Self::with(routes, &[]).await
    }

    async fn with(routes: Router, settings: &[(&str, &str)]) -> Self {
        let control = FakeUpstream::start(routes).await;
        let key = Key::hs256("main");
        let keys = KeysFile::of(&[&key]);
        let identity = TestGateway::before("control");
        let binary = gateway()
            .env("CONTROL_URL", &control.url())
            .env("IDENTITY_KEY", identity.key())
            .env("TOKEN_KEYS_FILE", text(&keys.path()));
        let binary = settings.iter().fold(binary, |binary, (name, value)| binary.env(name, value));
        Self { gateway: binary.start().await, control, key, identity, _keys: keys }
    }

    /// Asks as an operator.
    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("it is a path")).await
    }

    /// Sends a request as an operator.
    async fn send(&self, request: Request) -> Answer {
        self.send_with(&self.token(), request).await
    }

    /// Sends a request with this token.
    async fn send_with(&self, token: &str, mut request: Request) -> Answer {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is ASCII");
        request.headers_mut().insert("authorization", value);
        self.gateway.send(request).await
    }

    /// Asks with this token.
    async fn get_with(&self, token: &str, path: &str) -> Answer {
        self.send_with(token, Request::get(path).body(Body::empty()).expect("it is a path")).await
    }

    /// An operator's token.
    fn token(&self) -> String {
        self.key.signs(&claims("ann", "operator"))
    }
}

fn gateway() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_gateway"))
}
