//! `ignored-file`: files that look like migrations and that sqlx never runs.

use crate::{
    codes,
    files::{Stray, StrayReason},
    finding::Finding,
    project::Project,
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.directory.strays.iter().filter_map(stray).chain(lone_downs(project)).collect()
}

fn stray(stray: &Stray) -> Option<Finding> {
    let (what, fix) = match stray.reason {
        StrayReason::NotANumber => return None,
        StrayReason::Misnamed => (
            "sqlx does not take this file for a migration",
            "call it `NUMBER_name.sql` (or `.up.sql` and `.down.sql`), in lower case, or move it out of the directory",
        ),
        StrayReason::InFolder => (
            "sqlx does not look into folders",
            "move it up into the migrations directory, or out of it altogether",
        ),
    };
    let finding = finding(stray, what).fix(fix);
    // What was never numbered may have been put there on purpose.
    Some(if stray.is_numbered() { finding } else { finding.only_warns() })
}

fn finding(stray: &Stray, what: &str) -> Finding {
    Finding::new(&codes::IGNORED_FILE, what)
        .at(&stray.path, 1)
        .means("it is never applied and nobody is told; the release then asks for what it would have made")
}

fn lone_downs(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for slot in project.slots().iter().filter(|slot| slot.ups.is_empty() && slot.applied.is_none()) {
        findings.extend(slot.downs.iter().map(|down| {
            Finding::new(&codes::IGNORED_FILE, format!("there is no up with number {}", down.slot))
                .at(&down.path, 1)
                .means("it is never run, and the up that it was written for has no down")
                .fix("give it the number of its up, or remove it")
        }));
    }
    findings
}
