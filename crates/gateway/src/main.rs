//! The public entrance of Slipway's API: knows who asks, and forwards to control what they may ask.

use std::process::ExitCode;

use gateway::{Config, Entrance};

fn main() -> ExitCode {
    let defaults = &[("LISTEN", "0.0.0.0:8000"), ("ADMIN_LISTEN", "0.0.0.0:9000")];
    service::run(service::about!(defaults, &[gateway::TOKEN]), |config: Config, mut parts| async move {
        let control = gateway::control(&config);
        parts.readiness.check("control", {
            let control = control.clone();
            move || gateway::alive(control.clone())
        });
        let entrance = Entrance::new(&config, control, &parts.metrics);
        if let Some(file) = config.token_keys {
            parts.background("token keys", entrance.watch_keys(file, parts.shutdown.clone()));
        }
        parts.serve(entrance.router()).await
    })
}
