//! `invalid-index`: an index that is there, but is neither used nor enforced.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    catalog::{Catalog, Difference},
    checks::schema::AllTouched,
    codes,
    error::Error,
    finding::Finding,
    target::lost,
    trace,
    walk::{Made, Walk},
};

const INVALID: &str = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass";
const VALID: &str = "UPDATE pg_index SET indisvalid = true WHERE indexrelid = $1::text::regclass";
const DOING: &str = "acting out a deployment that was cut off";

/// Acts out a first attempt that failed half way and left its index invalid: the file runs again. Afterwards all is as
/// it was.
pub(crate) async fn judge_retry(
    walk: &mut Walk<'_>,
    made: &Made<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let indexes: Vec<&Difference> = made.differences.iter().filter(|it| is_new_index(it)).collect();
    if indexes.is_empty() || !made.step.up.is_outside_transaction() {
        return Ok(());
    }
    let mut admin = walk.admin().await?;
    let Some(ledger) = trace::ledger(&mut admin, walk.ledger()).await? else { return Ok(()) };
    let version = made.step.up.version;
    for index in &indexes {
        mark(&mut admin, index, INVALID).await?;
        // The first attempt has recorded nothing.
        change(&mut admin, format!("UPDATE {ledger} SET version = -1 - version WHERE version = $1"), version)
            .await?;
        let mut session = walk.beside(&made.step).await?;
        let accepted = session.apply(made.step.up).await?.is_none();
        session.close().await;
        let name = name_of(index);
        let left = walk.catalog().await?.fact(&index.object, &format!("index {name}: valid")).is_some();
        if accepted && left {
            findings.push(finding(made, index));
        }
        change(&mut admin, format!("DELETE FROM {ledger} WHERE version = $1"), version).await?;
        change(&mut admin, format!("UPDATE {ledger} SET version = $1 WHERE version = -1 - $1"), version)
            .await?;
        mark(&mut admin, index, VALID).await?;
    }
    drop(admin.close().await);
    Ok(())
}

/// Indexes that are invalid at the end: of new tables, and new ones of others.
pub(crate) fn check(end: &Catalog, touched: &AllTouched<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (object, touched) in touched {
        for (aspect, why) in end.facts(object) {
            let Some(index) = aspect.strip_suffix(": valid") else { continue };
            let differences = &touched.made.differences;
            if !touched.is_new && !differences.iter().any(|it| it.object == **object && it.aspect == index) {
                continue;
            }
            let what = format!("{index} of {object} is invalid at the end");
            let finding = touched.place(index, Finding::new(&codes::INVALID_INDEX, what));
            findings.push(if why == "no" {
                finding
                    .means("no query uses it, and what it should keep unique is not")
                    .fix("drop it and make it again, alone in a file that begins with `-- no-transaction`")
            } else {
                finding
                    .only_warns()
                    .means(
                        "a partition lacks it: queries walk that one, and what it should keep unique is not",
                    )
                    .fix("make it on every partition and attach each: `ALTER INDEX … ATTACH PARTITION …`")
            });
        }
    }
    findings
}

fn finding(made: &Made<'_>, index: &Difference) -> Finding {
    let is_unique = index.after.as_deref().is_some_and(|it| it.starts_with("CREATE UNIQUE"));
    let costs = if is_unique { "what it should keep unique is not" } else { "no query uses it" };
    let name = name_of(index);
    let what = format!(
        "after an attempt that failed half way, the second run passes over index `{name}` of {}, which that left invalid",
        index.object
    );
    Finding::new(&codes::INVALID_INDEX, what)
        .at(&made.step.up.path, index.line_in(made.step.up).unwrap_or(1))
        .means(format!("the migration is recorded as done, and the index stays invalid: {costs}"))
        .fix(format!(
            "leave out `IF NOT EXISTS`, so that the second run fails until `DROP INDEX CONCURRENTLY {name};` was run"
        ))
}

fn is_new_index(difference: &Difference) -> bool {
    difference.aspect.starts_with("index ") && !difference.aspect.contains(':') && difference.before.is_none()
}

fn name_of(index: &Difference) -> &str {
    index.aspect.strip_prefix("index ").unwrap_or(&index.aspect)
}

async fn mark(admin: &mut PgConnection, index: &Difference, statement: &'static str) -> Result<(), Error> {
    // An index stands in the schema of its table.
    let table = index.object.rsplit(' ').next().unwrap_or_default();
    let schema = table.rsplit_once('.').map_or("public", |(schema, _)| schema);
    let name = format!("{schema}.{}", name_of(index));
    sqlx::query(statement).bind(name).execute(admin).await.map(drop).map_err(|error| lost(DOING, &error))
}

async fn change(admin: &mut PgConnection, statement: String, version: i64) -> Result<(), Error> {
    let changed = sqlx::query(AssertSqlSafe(statement)).bind(version).execute(admin).await;
    changed.map(drop).map_err(|error| lost(DOING, &error))
}
