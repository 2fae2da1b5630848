//! The record of releases, environments and who did what, as an HTTP API.

use std::process::ExitCode;

use control::{AUDIENCE, App, Config, Followers};
use service::Awaited;
use service::identity::Verifier;
use store::Store;

fn main() -> ExitCode {
    // A request takes a few statements of 5 s at most; and the gateway waits for 30 s.
    let defaults =
        &[("LISTEN", "0.0.0.0:8001"), ("ADMIN_LISTEN", "0.0.0.0:9001"), ("REQUEST_TIMEOUT_S", "20")];
    let about = service::about!(defaults);
    service::run(about, |config: Config, mut parts| async move {
        let options = config.database_options().counted(&parts.metrics);
        let store = Store::open(config.database.expose(), options)?;
        store.tell(&parts.metrics);
        parts.readiness.check("database", {
            let store = store.clone();
            move || control::answers(store.clone())
        });
        let awaited = Awaited {
            what: "database",
            place: store.place(),
            place_setting: "DATABASE_URL",
            limit: ("DATABASE_WAIT_S", config.database_wait.0),
        };
        parts.wait_for(awaited, {
            let store = store.clone();
            move || control::reached(store.clone())
        });
        let followers = Followers::new(config.followers_max, config.heartbeat.0, &parts.shutdown);
        parts.background("events", followers.clone().look_out(store.clone()));
        let verifier = Verifier::new(config.identity_key, AUDIENCE);
        let served = parts.serve(control::router(App { store: store.clone(), followers, verifier })).await;
        store.close().await;
        served
    })
}
