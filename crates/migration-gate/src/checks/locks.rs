//! `lock-scan`, `lock-rewrite`, `backfill-under-lock`: what production's users would wait for.

use crate::{
    codes,
    finding::Finding,
    project::Project,
    rehearsal::Rehearsed,
    trace::{Effect, Mode, Reason, Touch},
};

/// Judges every statement of the migration.
pub(crate) fn judge(project: &Project, migration: &Rehearsed<'_>) -> Vec<Finding> {
    let path = &migration.step.up.path;
    let mut findings = Vec::new();
    let mut backfill: Option<&Effect> = None;
    for effect in &migration.effects {
        let mine = |touch: &&Touch| !project.settings.small_tables.contains(&touch.name);
        let tables: Vec<&Touch> = effect.existing().filter(mine).collect();
        let rewritten: Vec<_> = effect.rewritten().into_iter().filter(|(touch, _)| mine(touch)).collect();
        if let Some(earlier) = backfill
            && let Some(locked) = tables.iter().find(|it| it.takes_strong_lock())
        {
            findings.push(before_lock(earlier, effect, locked).at(path, earlier.line));
            backfill = None;
        }
        let found = if !rewritten.is_empty() {
            rewritten.into_iter().map(|(touch, reason)| rewrite(effect, touch, reason)).collect()
        } else if let Some(finding) = under_lock(effect, &tables) {
            vec![finding]
        } else {
            backfill = backfill.or(writes_many(effect, &tables).then_some(effect));
            scan(effect, &tables).into_iter().collect::<Vec<_>>()
        };
        findings.extend(found.into_iter().map(|it| it.at(path, effect.line)));
        findings.extend(collateral(effect).map(|it| it.at(path, effect.line)));
    }
    findings.extend(several(migration).map(|it| it.at(path, 1)));
    findings
}

fn rewrite(effect: &Effect, touch: &Touch, reason: Reason) -> Finding {
    let table = &touch.name;
    let (because, fix) = match reason {
        Reason::Default => (
            "each row gets a value of its own",
            "add the column without the default, then `SET DEFAULT`, fill the old rows in batches in a later file; a \
             constant default costs nothing",
        ),
        Reason::Type => (
            "the column's type changes",
            "add a column of the new type, fill it in batches, let the code write both, and drop the old one in a later \
             release",
        ),
        Reason::Persistence => {
            ("`SET LOGGED` and `SET UNLOGGED` copy it", "make a new table and move the rows in batches")
        }
        Reason::AccessMethod => {
            ("its access method changes", "make a new table and move the rows in batches")
        }
        Reason::Copied if effect.commands.iter().any(|it| it.tag == "REFRESH MATERIALIZED VIEW") => (
            "the view is filled again",
            "`REFRESH MATERIALIZED VIEW CONCURRENTLY`, which needs a unique index on the view, and lets readers read",
        ),
        Reason::Copied => ("every row is copied", COPIED),
    };
    Finding::new(&codes::LOCK_REWRITE, format!("writes `{table}` anew under ACCESS EXCLUSIVE: {because}"))
        .means(format!(
            "{} until all its rows are copied and its indexes built",
            Mode::AccessExclusive.waits(table)
        ))
        .fix(format!("{fix}; {SMALL}"))
}

/// Whether it goes over the rows of a table, to write them or others: not one row by its key, nor to see that a
/// constraint holds.
fn writes_many(effect: &Effect, tables: &[&Touch]) -> bool {
    let moves = effect.touched.iter().any(|it| it.inserted + it.changed > 0);
    let opens = effect.commands.is_empty() && effect.touched.iter().any(|it| it.opened_for_writing);
    tables.iter().any(|it| goes_over(it) && (moves || opens || it.opened_for_writing))
}

fn goes_over(touch: &Touch) -> bool {
    touch.walks > 0 || touch.changed > 1
}

/// It runs under a lock that an earlier statement took, or that it took itself as a block of several.
fn under_lock(effect: &Effect, tables: &[&Touch]) -> Option<Finding> {
    if !writes_many(effect, tables) {
        return None;
    }
    let held = |touch: &&&Touch| {
        touch.before.is_some_and(Mode::is_strong) || !effect.commands.is_empty() && touch.takes_strong_lock()
    };
    let locked = tables.iter().filter(held).max_by_key(|it| it.held)?;
    let mode = locked.held?;
    let walked = tables.iter().find(|it| goes_over(it))?;
    let finding = Finding::new(
        &codes::BACKFILL_UNDER_LOCK,
        format!(
            "goes over the rows of `{}` while the transaction holds {} on `{}`",
            walked.name,
            mode.name(),
            locked.name
        ),
    );
    let fix = "put the rows into a file of their own, after this one, in batches where the table is large";
    Some(
        finding
            .means(format!("{} until the last row is written", mode.waits(&locked.name)))
            .fix(format!("{fix}; {SMALL}")),
    )
}

/// Rows first, the lock after: the rows' locks wait for it.
fn before_lock(backfill: &Effect, later: &Effect, locked: &Touch) -> Finding {
    let what = format!(
        "goes over many rows, and line {} of the same transaction then takes {} on `{}`",
        later.line,
        locked.held.map_or("a lock", Mode::name),
        locked.name
    );
    let walked = backfill.existing().find(|it| goes_over(it));
    let walked = walked.map_or("what it wrote", |it| it.name.as_str());
    Finding::new(&codes::BACKFILL_UNDER_LOCK, what)
        .only_warns()
        .means(format!(
            "who writes the same rows of `{walked}` waits until that lock is granted and the file ends"
        ))
        .fix(format!("put the rows into a file of their own, before this one; {SMALL}"))
}

fn scan(effect: &Effect, tables: &[&Touch]) -> Option<Finding> {
    let made_here = |relation: i64| effect.touched.iter().any(|it| it.relation == relation && !it.existing);
    let altered: Vec<Option<i64>> = effect.commands.iter().map(|it| it.relation).collect();
    // To see that a table of this deployment fits to an old one, nothing has to be read of the old one.
    if !altered.is_empty() && altered.iter().all(|it| it.is_some_and(made_here)) {
        return None;
    }
    let walked = |touch: &&&Touch| {
        let ddl = !effect.commands.is_empty() || touch.takes_strong_lock();
        ddl && !touch.emptied && touch.walks + touch.lookups > 0 && touch.held.is_some_and(Mode::is_strong)
    };
    let scanned: Vec<&&Touch> = tables.iter().filter(walked).collect();
    let mode = scanned.iter().filter_map(|it| it.held).max()?;
    let names = scanned.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(" and ");
    let what = format!("reads {names} from end to end under {}", mode.name());
    let waits: Vec<_> = scanned.iter().filter_map(|it| Some(it.held?.waits(&it.name))).collect();
    Some(
        Finding::new(&codes::LOCK_SCAN, what)
            .means(format!("{} until the last row is read", waits.join(", ")))
            .fix(format!("{}; {SMALL}", safe_form(effect))),
    )
}

/// Words of the statement only choose the advice.
fn safe_form(effect: &Effect) -> &'static str {
    let text = effect.text.to_ascii_uppercase();
    let makes = |tag: &str| effect.commands.iter().any(|it| it.tag == tag);
    if makes("CREATE INDEX") {
        "`CREATE INDEX CONCURRENTLY`, alone in a file whose first bytes are `-- no-transaction`"
    } else if text.starts_with("REINDEX") {
        "`REINDEX … CONCURRENTLY`, alone in a file whose first bytes are `-- no-transaction`"
    } else if text.starts_with("CLUSTER") {
        COPIED
    } else if text.contains("VALIDATE CONSTRAINT") {
        "put `VALIDATE CONSTRAINT` into a later file: here it runs under the lock of what came before it"
    } else if text.contains("UNIQUE") || text.contains("PRIMARY KEY") {
        "`CREATE UNIQUE INDEX CONCURRENTLY` in a file of its own (`-- no-transaction`), then `ADD CONSTRAINT … USING INDEX`"
    } else if text.contains("SET NOT NULL") {
        "`ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID`, in a later file `VALIDATE CONSTRAINT`, then `SET NOT NULL`, which \
         reads nothing any more"
    } else {
        "add the constraint `NOT VALID`, and `VALIDATE CONSTRAINT` in a later file, which lets everybody work"
    }
}

/// What `CASCADE` took along besides what the statement names; a column's own constraints and indexes always go with it.
fn collateral(effect: &Effect) -> Option<Finding> {
    if effect.collateral.is_empty() || !effect.text.to_ascii_uppercase().contains("CASCADE") {
        return None;
    }
    let finding = Finding::new(&codes::LINT, format!("`CASCADE` also drops {}", effect.collateral.join(", ")))
        .means("they are gone with it, and whoever uses them is refused")
        .fix("drop by name what is meant to go, without `CASCADE`: then what nobody thought of stops the migration");
    Some(finding)
}

/// Strong locks on several tables, by one statement after the other: who takes them the other way round meets a
/// deadlock.
fn several(migration: &Rehearsed<'_>) -> Option<Finding> {
    let mut taken: Vec<&str> = Vec::new();
    for effect in &migration.effects {
        let locks = |it: &&Touch| it.held == Some(Mode::AccessExclusive) && it.before < it.held;
        // A table and its partitions are one.
        taken.extend(effect.existing().find(locks).map(|it| it.name.as_str()));
    }
    if taken.len() < 2 {
        return None;
    }
    let names = taken.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
    let mut finding = Finding::new(
        &codes::LOCK_SCAN,
        format!("takes ACCESS EXCLUSIVE on {names} in one transaction, in this order"),
    )
    .means("a transaction that uses them in another order meets a deadlock, and one of the two is ended")
    .fix("a file for each table, where they are busy together");
    finding.level = codes::Level::Info;
    Some(finding)
}

const SMALL: &str = "or name a table that is and stays small in `small-tables`";

const COPIED: &str =
    "leave it out of the deployment: an online tool, such as `pg_repack`, does it while everybody works";
