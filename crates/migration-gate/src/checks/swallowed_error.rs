//! `swallowed-error`: an error that a handler caught, and what a notice alone tells.
//!
//! That an error was caught is what the server says while the file runs. Which one it was comes from a rehearsal before:
//! the same file with handlers that say what they caught, rolled back.

use tokio_postgres::error::DbError;

use crate::{
    codes,
    conduct::Conduct,
    error::Error,
    existing::{self, Shape},
    files::MigrationFile,
    finding::Finding,
    handlers,
    session::Session,
    statements::{self, Statement},
    upgrade::Scene,
};

/// What a migration that may run twice catches on purpose: the thing is there already.
const ALREADY_THERE: &[&str] = &["42710", "42P07", "42701", "42P06", "42723", "42P04", "23505"];

/// An error that a handler in the file caught.
#[derive(Debug)]
pub(crate) struct Caught {
    sqlstate: String,
    message: String,
    line: u32,
    /// Whether the handler names no error, but takes all.
    takes_all: bool,
}

/// Runs a file that has handlers, to see what they catch, and rolls it back.
pub(crate) async fn rehearse(session: &mut Session<'_>, file: &MigrationFile) -> Result<Vec<Caught>, Error> {
    let sql = file.sql().unwrap_or_default();
    let ends_transaction = statements::split(sql).iter().filter(|it| !it.begins("ROLLBACK TO")).any(|it| {
        ["COMMIT", "END", "ROLLBACK", "ABORT", "BEGIN", "START", "PREPARE"].iter().any(|word| it.begins(word))
    });
    if file.is_outside_transaction() || ends_transaction {
        return Ok(Vec::new());
    }
    let Some(talking) = handlers::that_tell(sql) else { return Ok(Vec::new()) };
    let (_, conduct) = session.rehearse(&[&talking]).await?;
    Ok(conduct.notices.iter().filter_map(Caught::of).collect())
}

/// What the handlers of the file, or of functions that it calls, have caught.
pub(crate) fn check(file: &MigrationFile, role: &str, conduct: &Conduct, caught: &[Caught]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for error in caught.iter().take(conduct.caught) {
        let finding = finding(file, role, error);
        findings.extend(finding.filter(|it| !findings.contains(it)));
    }
    if conduct.caught > caught.len() {
        let finding = Finding::new(
            &codes::SWALLOWED_ERROR,
            "a handler in a function that the file calls caught an error",
        )
        .at(&file.path, 1)
        .means("the deployment is green, and what was refused has not happened")
        .fix("let the handler name the errors that it expects, and raise all others")
        .only_warns();
        findings.push(finding);
    }
    findings
}

fn finding(file: &MigrationFile, role: &str, error: &Caught) -> Option<Finding> {
    let denied = error.sqlstate == "42501";
    if !denied && (!error.takes_all || ALREADY_THERE.contains(&error.sqlstate.as_str())) {
        return None;
    }
    let what =
        format!("a handler hides that the server said: {} (SQLSTATE {})", error.message, error.sqlstate);
    let finding = Finding::new(&codes::SWALLOWED_ERROR, what).at(&file.path, error.line);
    Some(match (denied, error.takes_all) {
        (true, true) => finding
            .means(format!("the deployment is green, and what `{role}` may not do has not happened: the next release builds on it"))
            .fix(format!("let the owner do it, in a migration of its own, or do it with what `{role}` owns; and let the handler name the errors that it expects")),
        (true, false) => finding
            .means(format!("what `{role}` may not do has not happened, and nobody is told"))
            .fix("let an administrator do it, and the prelude here")
            .only_warns(),
        (false, _) => finding
            .means("the deployment is green, and what was refused has not happened")
            .fix("correct the statement; let the handler name the errors that it expects instead of `OTHERS`")
            .only_warns(),
    })
}

impl Caught {
    fn of(notice: &DbError) -> Option<Self> {
        let handler = handlers::Told::of(notice.hint()?)?;
        Some(Self {
            sqlstate: notice.code().code().into(),
            message: notice.message().into(),
            line: handler.line,
            takes_all: handler.takes_all,
        })
    }
}

/// What the server did not do, or did otherwise, and said so in a notice.
pub(crate) async fn notices(
    scene: &Scene<'_>,
    file: &MigrationFile,
    conduct: &Conduct,
) -> Result<Vec<Finding>, Error> {
    let mut findings: Vec<Finding> = conduct.said("42622").map(|it| truncated(file, it)).collect();
    for notice in conduct.said("42P07").chain(conduct.said("42701")) {
        findings.extend(passed_over(scene, file, conduct, notice).await?);
    }
    findings.dedup();
    Ok(findings)
}

fn truncated(file: &MigrationFile, notice: &DbError) -> Finding {
    let name = notice.message().split('"').nth(1).unwrap_or_default();
    let line = statements::line_where(file.sql().unwrap_or_default(), |it| it.names(name));
    Finding::new(&codes::SWALLOWED_ERROR, format!("the server cuts a name: {}", notice.message()))
        .at(&file.path, line)
        .means("the object has another name than the file says; a second name with the same beginning collides with it, and a down that uses the long one finds it only while servers cut alike")
        .fix("choose a name of at most 63 bytes")
        .only_warns()
}

/// `IF NOT EXISTS` on what exists: harmless where it would have made the same.
async fn passed_over(
    scene: &Scene<'_>,
    file: &MigrationFile,
    conduct: &Conduct,
    notice: &DbError,
) -> Result<Option<Finding>, Error> {
    let mut quoted = notice.message().split('"').skip(1).step_by(2);
    let (Some(name), relation) = (quoted.next(), quoted.next()) else { return Ok(None) };
    let all = statements::split(file.sql().unwrap_or_default());
    let is_it = |it: &&Statement<'_>| {
        it.begins(if relation.is_some() { "ALTER" } else { "CREATE" })
            && it.names("if not exists")
            && it.names(name)
            && relation.is_none_or(|table| it.names(table))
    };
    let Some(statement) = all.iter().find(is_it) else { return Ok(None) };
    let shape =
        existing::compare(scene.target, statement.text, (name, relation), &conduct.before.search_path)
            .await?;
    let Shape::Differs(difference) = shape else { return Ok(None) };
    let finding = Finding::new(
        &codes::SWALLOWED_ERROR,
        format!("`IF NOT EXISTS` passes over `{name}`, which is not what the file would make: {difference}"),
    )
    .at(&file.path, statement.line)
    .means("the deployment is green on the shape that is there; a new database gets the other one")
    .fix("leave the statement out, and alter what exists to what is wanted")
    .only_warns();
    Ok(Some(finding))
}
