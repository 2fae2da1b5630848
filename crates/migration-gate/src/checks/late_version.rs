//! `late-version`: pending migrations that sort before an applied one.

use crate::{codes, finding::Finding, project::Project};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let Some(last) = project.ledger.entries.iter().max_by_key(|entry| entry.version) else {
        return Vec::new();
    };
    let slots = project.slots();
    let late = slots.iter().filter(|slot| slot.applied.is_none() && slot.version < last.version);
    late.filter_map(|slot| slot.ups.first())
        .map(|file| {
            let what =
                format!("number {} comes before {}, which production has applied", file.slot, last.version);
            Finding::new(&codes::LATE_VERSION, what)
                .at(&file.path, 1)
                .means(format!(
                    "it is applied after {} there, and before it on every new database",
                    last.version
                ))
                .fix(project.renumber(file))
        })
        .collect()
}
