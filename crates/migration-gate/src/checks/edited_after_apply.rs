//! `edited-after-apply`: other bytes than those that production applied, under the same number and name.

use sha2::{Digest, Sha384};

use crate::{
    codes,
    files::{MigrationFile, hex},
    finding::Finding,
    ledger::Entry,
    project::Project,
};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for slot in project.slots().iter().filter(|slot| slot.holder().is_none()) {
        let Some(entry) = slot.applied else { continue };
        let Some(file) = slot.ups.iter().find(|file| entry.is_named(&file.name)) else { continue };
        let place = project.ledger.place(entry);
        let (what, fix) = match same_but_for(file, entry) {
            Some(difference) => (
                format!("this is what production applied but for {difference} ({place})"),
                format!("restore the bytes that were applied: `git log -p -- {}` has them", file.path),
            ),
            None => (
                format!("this is not what production applied as number {} ({place})", slot.version),
                format!(
                    "restore it (`git log -- {}` shows who changed it, `git checkout COMMIT^ -- {}` takes it back) and put \
                     the change into a new migration",
                    file.path, file.path
                ),
            ),
        };
        let means = format!(
            "the deployment stops with `migration {} was previously applied but has been modified`",
            slot.version
        );
        findings.push(Finding::new(&codes::EDITED_AFTER_APPLY, what).at(&file.path, 1).means(means).fix(fix));
    }
    findings
}

/// Differences that no eye sees are named.
fn same_but_for(file: &MigrationFile, entry: &Entry) -> Option<&'static str> {
    let text = file.sql()?;
    let unix = text.replace("\r\n", "\n");
    let variants = [
        ("its line ends", unix.clone()),
        ("its line ends", unix.replace('\n', "\r\n")),
        ("a byte order mark", text.trim_start_matches('\u{feff}').to_owned()),
        ("white space at its end", text.trim_end().to_owned()),
        ("white space at its end", format!("{}\n", text.trim_end())),
    ];
    variants
        .into_iter()
        .find(|(_, variant)| hex(&Sha384::digest(variant.as_bytes())) == entry.checksum)
        .map(|(difference, _)| difference)
}
