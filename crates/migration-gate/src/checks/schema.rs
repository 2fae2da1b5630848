//! What stands at the end, after everything that is pending: only what the pending migrations made or changed is judged.

use std::collections::BTreeMap;

use crate::{
    catalog::{self, Difference, Reader},
    checks::{foreign_ownership, invalid_index, replication, rls_gap},
    error::Error,
    finding::Finding,
    upgrade::Scene,
    walk::Made,
};

/// An object, and the migration that last changed it.
#[derive(Debug)]
pub(crate) struct Touched<'m> {
    pub(crate) made: &'m Made<'m>,
    /// Whether it is pending migrations that made it.
    pub(crate) is_new: bool,
}

/// Objects by what a catalog calls them.
pub(crate) type AllTouched<'m> = BTreeMap<&'m str, Touched<'m>>;

impl Touched<'_> {
    /// Places a finding about `object` where the migration speaks of it.
    pub(crate) fn place(&self, object: &str, finding: Finding) -> Finding {
        let up = self.made.step.up;
        finding.at(&up.path, catalog::line_of(up, object).unwrap_or(1))
    }
}

/// Reads the catalog once and asks every rule.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    made: &[Made<'_>],
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let touched = touched(made);
    if touched.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::of(scene.target).await?;
    let end = reader.read().await?;
    reader.close().await;
    findings.extend(foreign_ownership::check(scene, &end, &touched));
    findings.extend(invalid_index::check(&end, &touched));
    findings.extend(rls_gap::check(scene, &touched).await?);
    findings.extend(replication::check(scene, &end, &touched).await?);
    Ok(())
}

fn touched<'m>(made: &'m [Made<'m>]) -> AllTouched<'m> {
    let mut touched: AllTouched<'m> = BTreeMap::new();
    for step in made {
        for difference in &step.differences {
            let is_new = is_new(difference) || touched.get(&*difference.object).is_some_and(|it| it.is_new);
            touched.insert(&difference.object, Touched { made: step, is_new });
        }
    }
    touched
}

/// Whether the object itself is what differs.
fn is_new(difference: &Difference) -> bool {
    difference.aspect.is_empty() && difference.before.is_none()
}
