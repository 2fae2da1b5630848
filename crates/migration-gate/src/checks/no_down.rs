//! `no-down`: ups that a revert would pass over.

use crate::{
    codes,
    files::{Kind, MigrationFile},
    finding::Finding,
    project::Project,
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A project may have changed its style: what came before a migration tells what it should be.
    let mut reversible_so_far = false;
    for slot in project.slots() {
        let is_pair = slot.is_reversible() || reversible_so_far && slot.applied.is_none();
        let claimed = slot.downs.iter().map(|it| it.name.as_str()).collect::<Vec<_>>();
        for (index, up) in slot.ups.iter().enumerate() {
            // One up takes whatever down there is, as sqlx does; of several each needs its own.
            let has_down = if index == 0 && slot.ups.len() == 1 {
                !slot.downs.is_empty()
            } else {
                claimed.contains(&up.name.as_str())
            };
            if is_pair && !has_down {
                let finding = lacking(up);
                findings.push(if slot.applied.is_some() { finding.only_warns() } else { finding });
            }
        }
        if !slot.ups.is_empty() {
            reversible_so_far = slot.is_reversible();
        }
    }
    findings
}

fn lacking(up: &MigrationFile) -> Finding {
    let down = MigrationFile { kind: Kind::Down, ..up.clone() }.path_in_slot(&up.slot);
    let fix = match up.kind {
        Kind::Simple => {
            let renamed = MigrationFile { kind: Kind::Up, ..up.clone() }.path_in_slot(&up.slot);
            format!("git mv {} {renamed}, and write `{down}`", up.path)
        }
        Kind::Up | Kind::Down => format!("write `{down}`, which undoes what this file does"),
    };
    Finding::new(&codes::NO_DOWN, "the migration has no down, and the ones around it have")
        .at(&up.path, 1)
        .means("`sqlx migrate revert` passes over it and reverts the one before it, beneath a change that is still there")
        .fix(fix)
}
