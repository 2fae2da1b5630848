//! What the branch that this one is merged into holds: its slots are taken, its files are not this branch's to change.
//!
//! A branch that is merely behind is no fault: only what it did itself, since it began, is judged.

use crate::{
    codes::{self, Level},
    files::MigrationFile,
    finding::Finding,
    lineage::{Base, Past},
    project::{Project, Slot},
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let Some(base) = &project.lineage.base else { return Vec::new() };
    let slots = project.slots();
    let mut findings: Vec<Finding> = Vec::new();
    for theirs in &base.tip {
        let slot = slots.iter().find(|slot| slot.version == theirs.version);
        // What contradicts the ledger has been said already.
        if slot.is_some_and(|it| it.applied.is_some() && it.holder().is_none() && !it.is_given_up()) {
            continue;
        }
        findings.extend(judge(project, base, slot, theirs));
    }
    findings.extend(late(project, base, &slots));
    findings
}

fn judge(project: &Project, base: &Base, slot: Option<&Slot<'_>>, theirs: &Past) -> Option<Finding> {
    let ups = slot.map(|slot| slot.ups.as_slice()).unwrap_or_default();
    let was_there = base.at_fork(theirs.version).any(|it| it.name == theirs.name);
    if let Some(file) = ups.iter().find(|it| it.has_content(&theirs.bytes)) {
        return (file.name != theirs.name).then(|| renamed(project, base, file, theirs));
    }
    if let Some(file) = ups.iter().find(|it| it.name == theirs.name) {
        let unchanged =
            base.at_fork(theirs.version).any(|it| it.name == file.name && file.has_content(&it.bytes));
        return match (was_there, unchanged) {
            (true, true) => None,
            (true, false) => Some(weigh(project, edited(base, file, theirs))),
            (false, _) => Some(taken(project, base, file, theirs)),
        };
    }
    if let Some(file) = ups.first() {
        let unchanged = base.at_fork(theirs.version).any(|it| it.name == file.name);
        return (!unchanged).then(|| taken(project, base, file, theirs));
    }
    let is_excused = slot.is_some_and(Slot::is_given_up) || project.waivers.allow_missing(theirs.version);
    (was_there && !is_excused).then(|| weigh(project, missing(project, base, theirs)))
}

/// What the ledger does not list has not reached production, so that changing it there still works.
fn weigh(project: &Project, finding: Finding) -> Finding {
    if project.ledger.entries.is_empty() { finding } else { Finding { level: Level::Warning, ..finding } }
}

fn renamed(project: &Project, base: &Base, file: &MigrationFile, theirs: &Past) -> Finding {
    Finding::new(&codes::RENAMED_AFTER_APPLY, format!("`{}` has it as `{}`", base.revision, theirs.file_name))
        .at(&file.path, 1)
        .means("it is accepted in silence; where it has been applied the ledger names a file that does not exist")
        .fix(project.rename_to(file, &theirs.name))
}

fn edited(base: &Base, file: &MigrationFile, theirs: &Past) -> Finding {
    let Base { revision, .. } = base;
    Finding::new(&codes::EDITED_AFTER_APPLY, format!("this is not what `{revision}` holds as number {}", theirs.version))
        .at(&file.path, 1)
        .means(format!(
            "whatever `{revision}` was deployed to stops with `migration {} was previously applied but has been modified`",
            theirs.version
        ))
        .fix(format!("git checkout {revision} -- {}, and put the change into a new migration", file.path))
}

fn taken(project: &Project, base: &Base, file: &MigrationFile, theirs: &Past) -> Finding {
    let Base { revision, .. } = base;
    let what = format!("slot {} is taken: `{revision}` has `{}` in it", theirs.version, theirs.file_name);
    Finding::new(&codes::SLOT_DUPLICATE, what)
        .at(&file.path, 1)
        .means(format!(
            "once this is merged two files share the number, and the deployment of whatever has applied `{}` stops",
            theirs.file_name
        ))
        .fix(project.renumber(file))
}

fn missing(project: &Project, base: &Base, theirs: &Past) -> Finding {
    let Base { revision, .. } = base;
    let path = project.settings.migrations.join(&theirs.file_name).display().to_string();
    let same = |file: &&MigrationFile| file.kind.is_up() && file.has_content(&theirs.bytes);
    let (what, fix) = match project.directory.files.iter().find(same) {
        Some(file) => (
            format!("`{revision}` has this, which the tree has as `{}`", file.file_name()),
            project.renumber_to(file, theirs.version),
        ),
        None => (
            format!("`{revision}` has this, and this branch has removed it"),
            format!(
                "git checkout {revision} -- {path}, and its down; a new migration takes back what it does"
            ),
        ),
    };
    Finding::new(&codes::MISSING_APPLIED, what)
        .at(path, 1)
        .means(format!(
            "whatever `{revision}` was deployed to stops with `migration {} was previously applied but is missing in the \
             resolved migrations`",
            theirs.version
        ))
        .fix(fix)
}

/// New migrations that sort before what the base has.
fn late(project: &Project, base: &Base, slots: &[Slot<'_>]) -> Vec<Finding> {
    let Some(last) = base.tip.iter().max_by_key(|it| it.version) else { return Vec::new() };
    let known = |version: i64| base.tip.iter().chain(&base.fork).any(|it| it.version == version);
    let new = slots.iter().filter(|slot| slot.applied.is_none() && !known(slot.version));
    let late = new.filter(|slot| slot.version < last.version).filter_map(|slot| slot.ups.first());
    late.map(|file| {
        let what =
            format!("number {} comes before {}, which `{}` has", file.slot, last.version, base.revision);
        Finding::new(&codes::LATE_VERSION, what)
            .at(&file.path, 1)
            .means(format!(
                "it is applied after {} wherever `{}` has been deployed, and before it on every new database",
                last.version, base.revision
            ))
            .fix(project.renumber(file))
    })
    .collect()
}
