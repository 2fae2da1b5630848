//! How control uses the database, and what it tells of that.

use std::sync::Arc;

use metrics::{Metrics, buckets};
use store::{Acquired, Options, Store};

use crate::Config;

/// The options of its configuration; every wait for a connection is counted.
pub fn options(config: &Config, metrics: &Metrics) -> Options {
    let help = "How long a query waited for a connection to the database";
    let waits = metrics.histogram("db_pool_acquire_seconds", help, [], buckets::WAIT_S);
    let help = "Queries that got no connection to the database in time";
    let timeouts = metrics.counter("db_pool_acquire_timeouts", help, []);
    Options {
        // One of them listens for hints.
        connections_max: config.connections_max.max(2),
        acquire_timeout: config.acquire_timeout.0,
        statement_timeout: config.statement_timeout.0,
        lock_timeout: config.lock_timeout.0,
        observer: Some(Arc::new(move |took, how| {
            waits.observe([], took);
            if how == Acquired::TimedOut {
                timeouts.inc([]);
            }
        })),
        ..Options::of("slipway-control")
    }
}

/// Tells how many connections are in which state, and how many there may be.
pub fn tell(store: &Store, metrics: &Metrics) {
    let asked = store.clone();
    let help = "Connections to the database, by state";
    metrics.read_gauge("db_pool_connections", help, ["state"], move || {
        let state = asked.pool_state();
        vec![(["idle".into()], state.idle.into()), (["in_use".into()], state.in_use.into())]
    });
    let asked = store.clone();
    let help = "Connections to the database that there may be";
    metrics
        .read_gauge("db_pool_connections_max", help, [], move || vec![([], asked.pool_state().max.into())]);
}
