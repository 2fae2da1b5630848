//! `ledger-unproven`: entries that no snapshot of a live database stands for.

use crate::{
    codes,
    finding::Finding,
    ledger::{Entry, Ledger},
    project::Project,
    seal::Seal,
};

/// The only way an entry gets into the ledger.
const SNAPSHOT: &str = "`cargo xtask migrations snapshot` reads the ledger from production and seals it";

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let ledger = &project.ledger;
    let Some(path) = &ledger.path else { return Vec::new() };
    let base = project.lineage.base.as_ref().and_then(|it| it.ledger.as_ref());
    let finding = match &ledger.seal {
        None if ledger.entries.is_empty() && base.is_none_or(|it| it.entries.is_empty()) => None,
        None => Some(unsealed(ledger)),
        Some(seal) if !seal.holds(&ledger.entries) => Some(broken(ledger, seal, base)),
        Some(seal) => base.and_then(|base| differs(ledger, seal, base)),
    };
    finding.map(|(line, finding)| finding.at(path, line)).into_iter().collect()
}

fn unsealed(ledger: &Ledger) -> (u32, Finding) {
    let line = ledger.entries.first().map_or(1, |it| it.line);
    (line, unproven("the ledger has no seal: nothing says which database its entries were read from"))
}

fn broken(ledger: &Ledger, seal: &Seal, base: Option<&Ledger>) -> (u32, Finding) {
    let changed = base.map(|base| changed(ledger, base)).unwrap_or_default();
    let (line, entries) = match changed.as_slice() {
        [] => (seal.line, "entries were added, changed or removed".to_owned()),
        [first, ..] => {
            let list: Vec<_> = changed.iter().map(|it| format!("{} `{}`", it.version, it.name)).collect();
            (first.line, format!("{} was added or changed", list.join(", ")))
        }
    };
    (line, unproven(format!("the ledger's seal does not match its entries: {entries} by hand")))
}

/// A seal that holds, but over less than the base has: an older snapshot, or one of another database.
fn differs(ledger: &Ledger, seal: &Seal, base: &Ledger) -> Option<(u32, Finding)> {
    let theirs = &base.seal.as_ref()?.source;
    let ours = &seal.source;
    let same_entries = ledger.entries.iter().map(Entry::content).eq(base.entries.iter().map(Entry::content));
    // RFC 3339 in UTC sorts as text.
    if ours.taken_at < theirs.taken_at && !same_entries {
        let what = format!(
            "the ledger was read at {}, before the one of the base ({})",
            ours.taken_at, theirs.taken_at
        );
        return Some((seal.line, unproven(what)));
    }
    if (&ours.cluster, &ours.database) != (&theirs.cluster, &theirs.database) {
        let what = format!(
            "the ledger was read from another database (`{}` on cluster {}) than the one of the base (`{}` on cluster {})",
            ours.database, ours.cluster, theirs.database, theirs.cluster
        );
        return Some((seal.line, unproven(what).only_warns()));
    }
    None
}

fn changed<'l>(ledger: &'l Ledger, base: &Ledger) -> Vec<&'l Entry> {
    let is_known =
        |entry: &&Entry| base.entry(entry.version).is_some_and(|it| it.content() == entry.content());
    ledger.entries.iter().filter(|it| !is_known(it)).collect()
}

fn unproven(what: impl Into<String>) -> Finding {
    Finding::new(&codes::LEDGER_UNPROVEN, what)
        .means("what is listed is taken for applied and is not judged; production may refuse it, or not have it at all")
        .fix(SNAPSHOT)
}
