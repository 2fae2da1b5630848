//! What the record tells Prometheus of its connections.

use std::sync::Arc;

use metrics::{Metrics, buckets};

use crate::{Acquired, Options, Store};

impl Options {
    /// Counts every wait for a connection.
    pub fn counted(self, metrics: &Metrics) -> Self {
        let help = "How long a query waited for a connection to the database";
        let waits = metrics.histogram("db_pool_acquire_seconds", help, [], buckets::WAIT_S);
        let help = "Queries that got no connection to the database in time";
        let timeouts = metrics.counter("db_pool_acquire_timeouts", help, []);
        // There before the first one: an increase is seen only of what was told before.
        timeouts.add([], 0);
        let observer = Arc::new(move |took, how| {
            waits.observe([], took);
            if how == Acquired::TimedOut {
                timeouts.inc([]);
            }
        });
        Self { observer: Some(observer), ..self }
    }
}

impl Store {
    /// Tells how many connections are in which state, and how many there may be.
    pub fn tell(&self, metrics: &Metrics) {
        let asked = self.clone();
        let help = "Connections to the database, by state";
        metrics.read_gauge("db_pool_connections", help, ["state"], move || {
            let state = asked.pool_state();
            vec![(["idle".into()], state.idle.into()), (["in_use".into()], state.in_use.into())]
        });
        let asked = self.clone();
        let help = "Connections to the database that there may be";
        metrics.read_gauge("db_pool_connections_max", help, [], move || {
            vec![([], asked.pool_state().max.into())]
        });
    }
}
