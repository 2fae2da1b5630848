//! The edge: forwards every request to the service behind, with streaming and WebSocket.

use std::process::ExitCode;

use proxy::Config;

fn main() -> ExitCode {
    // Bodies are passed on as they come, so they may be larger than what a service keeps in memory.
    let defaults = &[
        ("LISTEN", "0.0.0.0:8080"),
        ("ADMIN_LISTEN", "0.0.0.0:9080"),
        // An upload may take its time, and a WebSocket begins with an answer.
        ("REQUEST_TIMEOUT_S", "3600"),
        ("REQUEST_BODY_MAX_BYTES", "1073741824"),
    ];
    service::run(service::about!(defaults), |config: Config, parts| async move {
        let upstream = proxy::upstream(&config, &parts.shutdown);
        parts.readiness.check("upstream", {
            let upstream = upstream.clone();
            move || proxy::alive(upstream.clone())
        });
        parts.serve(proxy::router(upstream)).await
    })
}
