//! `renamed-after-apply`: the applied bytes under another name.

use crate::{codes, finding::Finding, project::Project};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for slot in project.slots() {
        let (Some(entry), Some(file)) = (slot.applied, slot.holder()) else { continue };
        if entry.is_named(&file.name) {
            continue;
        }
        let what = format!("production recorded it as `{}` ({})", entry.name, project.ledger.place(entry));
        findings.push(
            Finding::new(&codes::RENAMED_AFTER_APPLY, what)
                .at(&file.path, 1)
                .means("it is accepted in silence, and the ledger names a file that does not exist")
                .fix(project.rename_to(file, &entry.name.replace(' ', "_"))),
        );
    }
    findings
}
