//! The record of releases, environments and who did what, as an HTTP API.

use std::process::ExitCode;

use control::Config;
use store::Store;

fn main() -> ExitCode {
    let about = service::about!(&[("LISTEN", "0.0.0.0:8001"), ("ADMIN_LISTEN", "0.0.0.0:9001")]);
    service::run(about, |config: Config, parts| async move {
        let store = Store::connect_lazily(config.database.expose())?;
        parts.readiness.check("database", {
            let store = store.clone();
            move || control::answers(store.clone())
        });
        let served = parts.serve(control::router(store.clone())).await;
        store.close().await;
        served
    })
}
