//! `role-escape`: a file that changes who runs, or where the session looks for names.

use crate::{
    codes,
    conduct::{Conduct, Identity},
    error::Error,
    files::MigrationFile,
    finding::Finding,
    project::Project,
    session::Session,
    statements::{self, Statement},
    upgrade::Scene,
};

/// What changes who runs, by the first words.
const CHANGES: &[&str] = &[
    "SET ROLE",
    "SET LOCAL ROLE",
    "SET SESSION ROLE",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION",
    "SET LOCAL SESSION AUTHORIZATION",
    "SET SESSION SESSION AUTHORIZATION",
    "RESET SESSION AUTHORIZATION",
];

/// What the file left behind in its session.
pub(super) fn check(project: &Project, file: &MigrationFile, conduct: &Conduct) -> Vec<Finding> {
    let (before, after) = (&conduct.before, &conduct.after);
    let sql = file.sql().unwrap_or_default();
    if (&before.current_user, &before.session_user) != (&after.current_user, &after.session_user) {
        let line = statements::line_where(sql, changes_role);
        let what = format!(
            "the file leaves the session as `{}`, it began as `{}`",
            after.current_user, before.current_user
        );
        let finding = Finding::new(&codes::ROLE_ESCAPE, what)
            .at(&file.path, line)
            .means("sqlx's line in the ledger and every later migration of that deployment run as another role than when deployed alone")
            .fix("take it away, or write `SET LOCAL ROLE`, which ends with the transaction");
        // Both are what the policy allows; that it depends on what is deployed together is still worth a word.
        let allowed = project.may_become(&after.current_user) && after.session_user == before.session_user;
        return vec![if allowed { finding.only_warns() } else { finding }];
    }
    if before.search_path != after.search_path {
        let line = statements::line_where(sql, |it| it.begins("SET") && it.names("search_path"));
        let what = format!(
            "the file leaves `search_path` at `{}`, it was `{}`",
            after.search_path, before.search_path
        );
        let finding = Finding::new(&codes::ROLE_ESCAPE, what)
            .at(&file.path, line)
            .means("a later migration that is deployed together with this one looks for names in other schemas than one deployed alone")
            .fix("write `SET LOCAL search_path`, which ends with the transaction")
            .only_warns();
        return vec![finding];
    }
    Vec::new()
}

/// Statements that change who runs and that another one undoes before the end.
pub(crate) async fn inside(
    scene: &Scene<'_>,
    session: &mut Session<'_>,
    file: &MigrationFile,
) -> Result<Option<Finding>, Error> {
    let all = statements::split(file.sql().unwrap_or_default());
    let changes: Vec<_> = all.iter().filter(|it| changes_role(it)).collect();
    if changes.is_empty() {
        return Ok(None);
    }
    let before = session.conduct.after.clone();
    let texts: Vec<_> = changes.iter().map(|it| it.text).collect();
    let (identities, _) = session.rehearse(&texts).await?;
    let escaped =
        |it: &Identity| it.current_user != before.current_user && !scene.project.may_become(&it.current_user);
    let found = changes.iter().zip(&identities).find(|(_, identity)| escaped(identity));
    Ok(found.map(|(statement, identity)| {
        Finding::new(
            &codes::ROLE_ESCAPE,
            format!("from here on the file runs as `{}`, not as `{}`", identity.current_user, before.current_user),
        )
        .at(&file.path, statement.line)
        .means("what it makes is owned by a role that the policy does not name, and a deployer without that membership is refused")
        .fix(format!("run everything as `{}`: take the statement away", before.current_user))
    }))
}

fn changes_role(statement: &Statement<'_>) -> bool {
    CHANGES.iter().any(|words| statement.begins(words))
}
