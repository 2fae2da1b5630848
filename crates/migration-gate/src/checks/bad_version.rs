//! `bad-version`: numbers that sqlx cannot read, and time stamps that no calendar has.

use crate::{
    codes,
    files::{MigrationFile, StrayReason},
    finding::Finding,
    project::Project,
    timestamp,
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let unreadable = project.directory.strays.iter().filter(|it| it.reason == StrayReason::NotANumber);
    let mut findings: Vec<Finding> = unreadable
        .map(|stray| {
            Finding::new(&codes::BAD_VERSION, "what stands before the first `_` is not a number")
                .at(&stray.path, 1)
                .means("sqlx refuses the whole directory: `error parsing migration filename`; nothing can be deployed")
                .fix("begin the name with the next free number, or move the file out of the directory")
        })
        .collect();
    let slots = project.slots();
    if project.numbers_by_time() {
        let pending =
            slots.iter().filter(|slot| slot.applied.is_none() && !timestamp::is_timestamp(slot.version));
        findings.extend(pending.flat_map(|slot| &slot.ups).map(|up| no_moment(up)));
    }
    findings
}

fn no_moment(up: &MigrationFile) -> Finding {
    let what =
        format!("`{}` is no moment of the form YYYYMMDDhhmmss, and this project numbers by time", up.slot);
    Finding::new(&codes::BAD_VERSION, what)
        .at(&up.path, 1)
        .means("it is applied, and sorts in the wrong place for as long as the project lives")
        .fix("rename it, and its down, to the time at which it was written: `date -u +%Y%m%d%H%M%S` prints the current one")
}
