//! `nested-transaction`: the file begins or ends transactions, although sqlx has put one around it.

use crate::{codes, conduct::Conduct, files::MigrationFile, finding::Finding, statements};

/// What begins and ends transactions, by the first words.
const CONTROL: &[&str] =
    &["BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT", "PREPARE TRANSACTION"];

pub(super) fn check(file: &MigrationFile, conduct: &Conduct) -> Vec<Finding> {
    let told = conduct
        .said("25001")
        .chain(conduct.said("25P01"))
        .find(|it| it.message().contains("transaction in progress"));
    if conduct.kept_transaction && told.is_none() {
        return Vec::new();
    }
    let line = statements::line_where(file.sql().unwrap_or_default(), |it| {
        CONTROL.iter().any(|words| it.begins(words)) && !it.begins("ROLLBACK TO")
    });
    let finding = if conduct.kept_transaction {
        let said = told.map(|it| it.message()).unwrap_or_default();
        Finding::new(&codes::NESTED_TRANSACTION, format!("the server ignores a statement: {said}"))
            .means("the file runs in sqlx's transaction all the same, and not as it says")
            .only_warns()
    } else {
        Finding::new(&codes::NESTED_TRANSACTION, "the file ends the transaction that sqlx has put around it")
            .means("what it did so far is kept although the rest, or the line in the ledger, may fail: then the next deployment runs it again on what it left")
    };
    vec![
        finding.at(&file.path, line).fix("take the statements that begin and end transactions out of the file; what must not run in one needs a file of its own with `-- no-transaction`"),
    ]
}
