//! `not-null-without-default`, and `apply-failed` where it takes rows to see it.

use crate::{
    codes::{self, Level},
    files::MigrationFile,
    finding::Finding,
    refusal::Refusal,
    samples::Samples,
    statements::line_at,
};

/// What rows had against a migration.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) refusal: Refusal,
    /// From 1.
    pub(crate) line: u32,
    /// Whether the column in question was there before the statement.
    pub(crate) existed: bool,
}

/// What a refusal tells that was met on made-up rows.
pub(crate) enum Verdict {
    Finding(Finding),
    Note(String),
}

/// The made-up rows were refused: some of that is sure for any row, some depends on what production's rows hold.
pub(crate) fn of_made_up(up: &MigrationFile, met: &Met) -> Verdict {
    let refusal = &met.refusal;
    if refusal.null_column().is_some() {
        return Verdict::Finding(null(up, met));
    }
    // Rows that are no number, too long, twice there: production's may be of another kind.
    if refusal.sqlstate.starts_with("22") || refusal.sqlstate == "23505" {
        let finding = Finding::new(&codes::APPLY_FAILED, format!("with made-up rows in the tables: {refusal}"))
            .only_warns()
            .at(&up.path, met.line)
            .means("the deployment stops here if one row of production is like that")
            .fix("correct such rows in an earlier migration, or show with rows of your own in `sample-rows.sql` that there are none");
        return Verdict::Finding(finding);
    }
    Verdict::Note(format!("`{}` was tried without rows, because made-up ones do not fit: {refusal}", up.path))
}

/// The project's own rows were refused, which are what production's look like.
pub(crate) fn of_the_project(up: &MigrationFile, met: &Met) -> Finding {
    if met.refusal.null_column().is_some() && !met.existed {
        return null(up, met);
    }
    Finding::new(
        &codes::APPLY_FAILED,
        format!("with the project's sample rows in the tables: {}", met.refusal),
    )
    .at(&up.path, met.line)
    .means("the deployment stops here as soon as one row is like that, and nothing of the file is kept")
    .fix("correct such rows in an earlier migration, or in this one before the statement")
}

/// The sample rows themselves cannot be put in.
pub(crate) fn of_samples(samples: &Samples, refusal: &Refusal) -> Finding {
    let line = refusal.position.map_or(1, |it| line_at(&samples.sql, it));
    Finding::new(&codes::APPLY_FAILED, format!("the sample rows are refused: {refusal}"))
        .at(&samples.path, line)
        .means("nothing: no deployment runs this file, and pending migrations are judged without its rows")
        .fix("write rows that fit the schema right before the pending migration that they are for")
}

/// Findings of rows and of locks, one for each fault: what stops at a row also walks the table to find it.
pub(crate) fn merged(of_rows: Vec<Finding>, of_locks: Vec<Finding>) -> Vec<Finding> {
    let place = |it: &Finding| (it.file.clone(), it.line);
    let is_error = |it: &&Finding| it.level == Level::Error;
    let refused: Vec<_> = of_rows.iter().filter(is_error).map(place).collect();
    let locked: Vec<_> = of_locks.iter().filter(is_error).map(place).collect();
    let rows = of_rows.into_iter().filter(|it| is_error(&it) || !locked.contains(&place(it)));
    let mut all: Vec<Finding> = rows.collect();
    all.extend(of_locks.into_iter().filter(|it| !refused.contains(&place(it))));
    all
}

fn null(up: &MigrationFile, met: &Met) -> Finding {
    let (table, column) = met.refusal.null_column().unwrap_or_default();
    let finding = if met.existed {
        Finding::new(
            &codes::NOT_NULL_WITHOUT_DEFAULT,
            format!(
                "`{column}` of `{table}` may hold NULL, and a row that does refuses this: {}",
                met.refusal
            ),
        )
        .only_warns()
        .means("the deployment stops here unless every row has a value")
    } else {
        Finding::new(
            &codes::NOT_NULL_WITHOUT_DEFAULT,
            format!("adds `{column}` to `{table}`, NOT NULL and without a default: {}", met.refusal),
        )
        .means(format!(
            "the deployment stops here as soon as `{table}` holds one row, and nothing of the file is kept"
        ))
    };
    finding.at(&up.path, met.line).fix(
        "give it a default, or add it nullable, fill it in a later file, and only then `CHECK … NOT VALID`, `VALIDATE \
         CONSTRAINT`, `SET NOT NULL`",
    )
}
