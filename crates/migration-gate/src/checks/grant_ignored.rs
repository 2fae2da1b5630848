//! `grant-ignored`: a GRANT or REVOKE that the server answers with a warning, and does not do.

use std::collections::BTreeSet;

use crate::{codes, conduct::Conduct, files::MigrationFile, finding::Finding, statements};

pub(super) fn check(file: &MigrationFile, role: &str, conduct: &Conduct) -> Vec<Finding> {
    let said: BTreeSet<(&str, &str)> = conduct
        .said("01007")
        .map(|it| ("GRANT", it.message()))
        .chain(conduct.said("01006").map(|it| ("REVOKE", it.message())))
        .collect();
    // A REVOKE that fails for a table fails for each of its columns, too.
    let is_part = |message: &str| {
        let relation = message.split_once(" of relation ").map(|(_, relation)| relation);
        relation.is_some_and(|it| said.iter().any(|(_, whole)| whole.ends_with(&format!("for {it}"))))
    };
    said.iter()
        .filter(|(_, message)| !is_part(message))
        .map(|(verb, message)| finding(file, role, verb, message))
        .collect()
}

fn finding(file: &MigrationFile, role: &str, verb: &str, message: &str) -> Finding {
    let object = message.split('"').nth(1).unwrap_or_default();
    let sql = file.sql().unwrap_or_default();
    let line = statements::line_where(sql, |it| it.names(verb) && it.names(object));
    let means = match verb {
        "GRANT" => "the deployment is green and nobody has got the right: the services meet SQLSTATE 42501",
        _ => "the deployment is green and the right is still there",
    };
    Finding::new(&codes::GRANT_IGNORED, format!("`{role}` may not {verb} this, and is only warned: {message}"))
        .at(&file.path, line)
        .means(means)
        .fix(format!(
            "let the owner of `{object}` do it, or give `{role}` the right WITH GRANT OPTION in a migration of the owner's"
        ))
}
