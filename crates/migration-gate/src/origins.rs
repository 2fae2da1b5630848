//! Untouched copies of the database at two moments, from which further runs begin.

use crate::{checks::order_drift, error::Error, target::Target, upgrade::Scene};

/// Nobody is ever connected to these: a template must be alone. They go with the gate's other databases.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// After the prelude, before the first migration; only where something begins there.
    pub(crate) start: Option<Target>,
    /// Where production is, before the first pending migration; only where there is one.
    pub(crate) production: Option<Target>,
}

impl Origins {
    /// Keeps what the set-up has made.
    pub(crate) async fn keep_start(&mut self, scene: &Scene<'_>) -> Result<(), Error> {
        if scene.project.settings.all || order_drift::applies(scene.plan) {
            self.start = Some(scene.target.copy("start").await?);
        }
        Ok(())
    }

    /// Keeps what the replayed ledger has made.
    pub(crate) async fn keep_production(&mut self, scene: &Scene<'_>) -> Result<(), Error> {
        if !scene.plan.pending.is_empty() {
            self.production = Some(scene.target.copy("production").await?);
        }
        Ok(())
    }
}
