//! `missing-applied`: what production has applied and the tree does not hold.

use crate::{codes, finding::Finding, ledger::Entry, project::Project};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let slots = project.slots();
    let gone = slots
        .iter()
        .filter(|slot| slot.ups.is_empty() && !slot.is_given_up())
        .filter_map(|slot| slot.applied);
    gone.map(|entry| missing(project, entry)).collect()
}

fn missing(project: &Project, entry: &Entry) -> Finding {
    let version = entry.version;
    let moved =
        project.directory.files.iter().find(|file| file.kind.is_up() && file.checksum() == entry.checksum);
    let (what, fix) = match moved {
        Some(file) => (
            format!(
                "production applied {version} `{}`, which the tree has as `{}`",
                entry.name,
                file.file_name()
            ),
            project.renumber_to(file, version),
        ),
        None => (
            format!("production applied {version} `{}`, which the tree does not hold", entry.name),
            format!(
                "merge the branch that has it, or restore it: `git log --all --diff-filter=D -- '*_{}*.sql'` finds the \
                 commit that removed it",
                entry.name.replace(' ', "_")
            ),
        ),
    };
    let means = format!(
        "the deployment stops with `migration {version} was previously applied but is missing in the resolved migrations`"
    );
    let finding = Finding::new(&codes::MISSING_APPLIED, what).means(means).fix(fix);
    match &project.ledger.path {
        Some(path) => finding.at(path, entry.line),
        None => finding,
    }
}
