//! `slot-applied`: a number that production has given to another migration.

use crate::{codes, finding::Finding, project::Project};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for slot in project.slots() {
        let Some(entry) = slot.applied else { continue };
        // A second file with the very bytes that production has is a duplicate, which sqlx never notices.
        for file in slot.newcomers().into_iter().filter(|it| it.checksum() != entry.checksum) {
            let what = format!(
                "slot {} is taken: production applied `{}` there ({})",
                slot.version,
                entry.name,
                project.ledger.place(entry)
            );
            let means = format!(
                "the deployment stops with `migration {} was previously applied but has been modified`, and this file is \
                 never applied",
                slot.version
            );
            let restore = if slot.holder().is_some() {
                String::new()
            } else {
                format!(
                    ", then bring the applied `{}` into the branch (merge the one that has it)",
                    entry.name
                )
            };
            findings.push(
                Finding::new(&codes::SLOT_APPLIED, what)
                    .at(&file.path, 1)
                    .means(means)
                    .fix(project.renumber(file) + &restore),
            );
        }
    }
    findings
}
