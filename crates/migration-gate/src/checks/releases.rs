//! What a release shipped, some production has applied: no such migration may be edited, removed or renumbered.

use crate::{
    codes::{self, Level},
    files::MigrationFile,
    finding::Finding,
    lineage::Shipped,
    project::{Project, Slot},
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let slots = project.slots();
    let mut findings = Vec::new();
    for (version, variants) in &project.lineage.releases {
        let slot = slots.iter().find(|slot| slot.version == *version);
        // What contradicts the ledger has been said already.
        let is_applied = slot.is_some_and(|it| it.applied.is_some());
        if slot.is_some_and(|it| it.applied.is_some() && it.holder().is_none()) {
            continue;
        }
        // The newest release decides; what older ones had besides is history that only warns.
        for (age, shipped) in variants.iter().rev().enumerate() {
            let Some(mut finding) = judge(project, slot, shipped) else { continue };
            if age > 0 || is_applied {
                finding.level = Level::Warning;
            }
            findings.push(finding);
            break;
        }
    }
    findings
}

/// What keeps a production that runs the release from taking this tree; nothing where it would.
fn judge(project: &Project, slot: Option<&Slot<'_>>, shipped: &Shipped) -> Option<Finding> {
    let up = &shipped.up;
    let version = up.version;
    if project.waivers.allow_alternate(version, &project.directory.checksum(&up.bytes)) {
        return None;
    }
    let ups = slot.map(|slot| slot.ups.as_slice()).unwrap_or_default();
    let same = |file: &MigrationFile| file.has_content(&up.bytes);
    if let Some(file) = ups.iter().find(|it| same(it)) {
        return (file.name != up.name).then(|| renamed(project, file, shipped));
    }
    if let Some(file) = ups.iter().find(|it| it.name == up.name) {
        return Some(edited(file, shipped));
    }
    if let Some(file) = ups.first() {
        return Some(taken(project, file, shipped));
    }
    (!project.waivers.allow_missing(version)).then(|| missing(project, shipped, same))
}

fn renamed(project: &Project, file: &MigrationFile, Shipped { up, tag, .. }: &Shipped) -> Finding {
    Finding::new(&codes::RENAMED_AFTER_APPLY, format!("release `{tag}` shipped it as `{}`", up.file_name))
        .at(&file.path, 1)
        .means("it is accepted in silence, and the ledger of whoever runs that release names a file that does not exist")
        .fix(project.rename_to(file, &up.name))
}

fn edited(file: &MigrationFile, Shipped { up, tag, .. }: &Shipped) -> Finding {
    Finding::new(&codes::EDITED_AFTER_APPLY, format!("this is not what release `{tag}` shipped as number {}", up.version))
        .at(&file.path, 1)
        .means(format!(
            "whoever runs `{tag}` cannot deploy this: `migration {} was previously applied but has been modified`",
            up.version
        ))
        .fix(format!("restore it (`git checkout {tag} -- {}`) and put the change into a new migration", file.path))
}

fn taken(project: &Project, file: &MigrationFile, Shipped { up, tag, .. }: &Shipped) -> Finding {
    let what = format!("slot {} is taken: release `{tag}` shipped `{}` in it", up.version, up.file_name);
    Finding::new(&codes::SLOT_APPLIED, what)
        .at(&file.path, 1)
        .means(format!(
            "whoever runs `{tag}` cannot deploy this: `migration {} was previously applied but has been modified`",
            up.version
        ))
        .fix(format!("{}, then bring `{}` back (merge the branch of `{tag}`)", project.renumber(file), up.file_name))
}

fn missing(project: &Project, shipped: &Shipped, same: impl Fn(&MigrationFile) -> bool) -> Finding {
    let Shipped { up, tag, .. } = shipped;
    let path = project.settings.migrations.join(&up.file_name).display().to_string();
    let moved = project.directory.files.iter().find(|file| file.kind.is_up() && same(file));
    let (what, fix) = match moved {
        Some(file) => (
            format!("release `{tag}` shipped this, which the tree has as `{}`", file.file_name()),
            project.renumber_to(file, up.version),
        ),
        None => (
            format!("release `{tag}` shipped this, and the tree does not hold it"),
            format!("git checkout {tag} -- {path}, and its down; or merge the branch of `{tag}`"),
        ),
    };
    Finding::new(&codes::MISSING_APPLIED, what)
        .at(path, 1)
        .means(format!(
            "whoever runs `{tag}` cannot deploy this: `migration {} was previously applied but is missing in the resolved \
             migrations`",
            up.version
        ))
        .fix(fix)
}
