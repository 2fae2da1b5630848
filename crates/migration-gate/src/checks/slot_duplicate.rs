//! `slot-duplicate`: two files of the tree with one number.

use crate::{
    codes,
    files::MigrationFile,
    finding::Finding,
    project::{Project, Slot},
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.slots().iter().flat_map(|slot| ups(project, slot).into_iter().chain(downs(slot))).collect()
}

fn ups(project: &Project, slot: &Slot<'_>) -> Vec<Finding> {
    let newcomers = slot.newcomers();
    let keeps = |path: &str| newcomers.iter().all(|it| it.path != path);
    let Some(first) = slot.ups.iter().find(|it| keeps(&it.path)).or(slot.ups.first()) else {
        return Vec::new();
    };
    let others = newcomers.iter().filter(|it| it.path != first.path);
    others
        .map(|file| {
            let what = format!("number {} is also that of `{}`", slot.version, first.file_name());
            let means = if file.is_outside_transaction() {
                "on a new database both run, and only one of them is recorded"
            } else {
                "whichever runs second stops with `duplicate key value violates unique constraint \"_sqlx_migrations_pkey\"`"
            };
            Finding::new(&codes::SLOT_DUPLICATE, what).at(&file.path, 1).means(means).fix(project.renumber(file))
        })
        .collect()
}

fn downs(slot: &Slot<'_>) -> Vec<Finding> {
    let is_of = |down: &&&MigrationFile| slot.ups.iter().any(|up| up.name == down.name);
    let Some(keeper) = slot.downs.iter().find(is_of).or(slot.downs.first()) else { return Vec::new() };
    // The downs of migrations that have to move go with them.
    let surplus = slot.downs.iter().filter(|it| it.path != keeper.path && !is_of(it));
    surplus
        .map(|file| {
            let what = format!("number {} already has the down `{}`", slot.version, keeper.file_name());
            Finding::new(&codes::SLOT_DUPLICATE, what)
                .at(&file.path, 1)
                .means("`sqlx migrate revert` runs both, one after the other")
                .fix("keep the one that reverts the up of this number and remove the other")
        })
        .collect()
}
