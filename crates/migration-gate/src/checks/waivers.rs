//! `waiver-unused`: alternates and missing migrations that no ledger and no release asks for.

use crate::{finding::Finding, lineage::Past, project::Project};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let waivers = &project.waivers;
    let alternates = waivers.alternates.iter().filter(|it| !differs(project, it.version, &it.checksum));
    let alternates = alternates.map(|it| {
        let what = format!("nobody has recorded other bytes of migration {} with this checksum", it.version);
        waivers.idle(it.line(), &what)
    });
    let missing = waivers.missing.iter().filter(|it| !is_gone(project, it.version));
    let missing = missing.map(|it| {
        let what = format!("migration {} is in the tree, or nobody has recorded it", it.version);
        waivers.idle(it.line(), &what)
    });
    alternates.chain(missing).collect()
}

/// Whether somebody recorded `checksum` for `version`, and the tree has other bytes.
fn differs(project: &Project, version: i64, checksum: &str) -> bool {
    let ours = |it: &&crate::files::MigrationFile| it.kind.is_up() && it.version == version;
    let tree_has_it = project.directory.files.iter().filter(ours).any(|it| it.checksum() == checksum);
    let recorded = project.ledger.entry(version).is_some_and(|it| it.checksum == checksum);
    let held = past(project, version).any(|it| project.directory.checksum(&it.bytes) == checksum);
    !tree_has_it && (recorded || held)
}

fn is_gone(project: &Project, version: i64) -> bool {
    let in_tree = project.directory.files.iter().any(|it| it.kind.is_up() && it.version == version);
    let recorded = project.ledger.entry(version).is_some();
    !in_tree && (recorded || past(project, version).next().is_some())
}

fn past(project: &Project, version: i64) -> impl Iterator<Item = &Past> {
    let shipped = project.lineage.releases.get(&version).into_iter().flatten().map(|it| &it.up);
    let base = project.lineage.base.iter().flat_map(|it| &it.tip).filter(move |it| it.version == version);
    shipped.chain(base)
}
