//! The public entrance of Slipway's API: forwards `/v1` to control and keeps no state.

use std::process::ExitCode;

use gateway::Config;

fn main() -> ExitCode {
    let about = service::about!(&[("LISTEN", "0.0.0.0:8000"), ("ADMIN_LISTEN", "0.0.0.0:9000")]);
    service::run(about, |config: Config, parts| async move {
        let control = gateway::control(&config);
        parts.readiness.check("control", {
            let control = control.clone();
            move || gateway::alive(control.clone())
        });
        parts.serve(gateway::router(control)).await
    })
}
