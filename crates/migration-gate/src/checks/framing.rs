//! `framing`: what a file does around its transaction, where sqlx sends it as one query.

use crate::{
    codes, conduct::Conduct, files::MigrationFile, finding::Finding, refusal::Refusal, statements,
    statements::Statement,
};

/// What no transaction takes back and no ledger of this database tells.
const BEYOND: &[&str] = &[
    "CREATE DATABASE",
    "DROP DATABASE",
    "ALTER SYSTEM",
    "CREATE TABLESPACE",
    "DROP TABLESPACE",
    "CREATE SUBSCRIPTION",
    "DROP SUBSCRIPTION",
];

/// Functions that do something on a connection of their own.
const ELSEWHERE: &[&str] = &["dblink", "dblink_exec", "dblink_send_query"];

pub(super) fn check(file: &MigrationFile, conduct: &Conduct) -> Vec<Finding> {
    let sql = file.sql().unwrap_or_default();
    let mut findings = Vec::new();
    if file.is_outside_transaction() {
        findings.extend(several(file, conduct.statements));
        findings.extend(beyond(file, sql));
    }
    findings.extend(elsewhere(file, sql));
    findings
}

/// One database took the file, and a second one on the same server, which is as the first one was, does not.
pub(crate) fn of_the_server(file: &MigrationFile, line: u32, refusal: &Refusal) -> Finding {
    let what = format!("what one database accepts, a second one on the same server refuses: {refusal}");
    Finding::new(&codes::FRAMING, what)
        .at(&file.path, line)
        .only_warns()
        .means("a server that has it already, for another database or from a restored one, refuses the deployment")
        .fix("let a database administrator make it once, and the prelude here; or let the file pass over what is there")
}

fn several(file: &MigrationFile, statements: usize) -> Option<Finding> {
    if statements < 2 {
        return None;
    }
    let what = format!(
        "`-- no-transaction`, but {statements} statements: in one query they are one transaction all the same"
    );
    let finding = Finding::new(&codes::FRAMING, what)
        .at(&file.path, 1)
        .means("the marker only takes the ledger out of the transaction: killed in between, the file is applied and nothing records it")
        .fix("take the marker away, or put what needs it into a file of its own, one statement in each")
        .only_warns();
    Some(finding)
}

fn beyond(file: &MigrationFile, sql: &str) -> Option<Finding> {
    let is_it = |it: &Statement<'_>| BEYOND.iter().any(|words| it.begins(words));
    let statements = statements::split(sql);
    let statement = statements.iter().find(|it| is_it(it))?;
    let words: Vec<_> = statement.text.split_whitespace().take(2).collect();
    let finding = Finding::new(
        &codes::FRAMING,
        format!("`{}` reaches beyond this database", words.join(" ").to_uppercase()),
    )
    .at(&file.path, statement.line)
    .means("no rollback takes it back, and a second database on that server is refused or changed with it")
    .fix("let a database administrator do it, and the prelude here");
    Some(finding)
}

fn elsewhere(file: &MigrationFile, sql: &str) -> Option<Finding> {
    let calls = |it: &Statement<'_>| {
        let text = it.text.to_lowercase();
        ELSEWHERE.iter().any(|name| text.contains(&format!("{name}(")))
            && !it.begins("CREATE FUNCTION")
            && !it.begins("CREATE OR REPLACE FUNCTION")
    };
    let statements = statements::split(sql);
    let statement = statements.iter().find(|it| calls(it))?;
    let finding = Finding::new(&codes::FRAMING, "`dblink` acts on a connection of its own")
        .at(&file.path, statement.line)
        .means("where the migration is rolled back, what that connection did stays")
        .fix("do it outside of the migration, or on this connection")
        .only_warns();
    Some(finding)
}
