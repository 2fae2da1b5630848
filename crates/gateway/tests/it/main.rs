//! The built gateway, as its container runs it, in front of a control that the test can take away.

mod forwarding;
mod lifecycle;
mod limits;

use axum::Router;
use service::testing::{Binary, FakeUpstream, Running};

/// The gateway in front of a control with the routes given.
struct World {
    control: FakeUpstream,
    gateway: Running,
}

impl World {
    async fn new(routes: Router) -> Self {
        Self::with(routes, &[]).await
    }

    async fn with(routes: Router, settings: &[(&str, &str)]) -> Self {
        let control = FakeUpstream::start(routes).await;
        let binary = gateway().env("CONTROL_URL", &control.url());
        let binary = settings.iter().fold(binary, |binary, (name, value)| binary.env(name, value));
        Self { gateway: binary.start().await, control }
    }
}

fn gateway() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_gateway"))
}
