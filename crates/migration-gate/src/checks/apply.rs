//! `apply-failed` and `not-owner`: what production's server would refuse, and whose fault it is.

use crate::{
    advice,
    codes::{self, Code},
    error::Error,
    finding::Finding,
    history,
    plan::Step,
    refusal::{Moment, Refusal},
    session::Session,
    upgrade::Scene,
};

/// The deployer's deployment stops at `step`.
pub(crate) async fn judge_pending(
    scene: &Scene<'_>,
    session: &mut Session<'_>,
    step: &Step<'_>,
    refusal: &Refusal,
) -> Result<Finding, Error> {
    lacking_extension(step, refusal)?;
    let line = session.line_of(refusal, step.up).await;
    let role = &session.role;
    let remains = if step.up.is_outside_transaction() {
        "what ran before the refused statement stays, and nothing records it"
    } else if !session.conduct.kept_transaction {
        "what ran before its own `COMMIT` stays, and nothing records it"
    } else {
        "nothing of the file is kept"
    };
    let mut means = format!("the deployment stops here and {remains}");
    let removal = history::removal(scene, step, refusal).await?;
    if let Some(removal) = &removal {
        means = format!("{removal}; {means}");
    }
    let (code, what, fix) = if refusal.asks_for_owner() {
        let object = advice::owned_object(scene.target, refusal).await?;
        let what = format!("`{role}` alters {object}: {refusal}");
        (&codes::NOT_OWNER, what, advice::leave_to_owner(&object, role, step.up))
    } else {
        let fix = match &removal {
            Some(removal) => advice::without_it(removal),
            None => advice::fix(refusal, step.up, role),
        };
        (code(refusal), said(refusal, role), fix)
    };
    Ok(Finding::new(code, what).at(&step.up.path, line).means(means).fix(fix))
}

/// What production has applied is refused here: the scratch schema is not production's.
pub(crate) async fn judge_replayed(
    scene: &Scene<'_>,
    session: Option<&mut Session<'_>>,
    step: &Step<'_>,
    refusal: &Refusal,
) -> Result<Finding, Error> {
    lacking_extension(step, refusal)?;
    let line = match session {
        Some(session) => session.line_of(refusal, step.up).await,
        None => 1,
    };
    let role = scene.project.role(step.role);
    let place = scene.project.ledger.entry(step.up.version).map(|entry| scene.project.ledger.place(entry));
    let place = place.unwrap_or_default();
    let what =
        format!("production applied this as `{role}`, but here it is refused: {}", said(refusal, role));
    let finding = Finding::new(code(refusal), what)
        .at(&step.up.path, line)
        .means("what production is cannot be rebuilt, so nobody knows what it would say to the rest")
        .fix(format!(
            "let the prelude make what production had before its first migration, or correct the role in {place}"
        ));
    Ok(finding)
}

/// sqlx's migrator cannot even begin.
pub(crate) fn judge_opening(scene: &Scene<'_>, refusal: &Refusal) -> Finding {
    let role = &scene.project.roles.deployer;
    let finding = Finding::new(&codes::APPLY_FAILED, said(refusal, role))
        .means("every deployment stops before its first migration, also when there is none to apply")
        .fix(advice::open_ledger(refusal, role));
    match (scene.plan.pending.first().or(scene.plan.applied.last()), &scene.project.prelude) {
        (Some(step), _) => finding.at(&step.up.path, 1),
        (None, Some(prelude)) => finding.at(&prelude.path, 1),
        (None, None) => finding,
    }
}

/// What the server said, and when.
pub(crate) fn said(refusal: &Refusal, role: &str) -> String {
    match refusal.moment {
        Moment::OpeningLedger => format!("`{role}` cannot open `_sqlx_migrations`: {refusal}"),
        Moment::File => refusal.to_string(),
        Moment::Recording => format!("the file runs, but `{role}` cannot record and commit it: {refusal}"),
    }
}

/// A server without an extension is the environment's fault, not the migration's.
pub(crate) fn lacking_extension(step: &Step<'_>, refusal: &Refusal) -> Result<(), Error> {
    let lacks = refusal.message.ends_with("is not available") && refusal.message.starts_with("extension ")
        || refusal.message.starts_with("could not open extension control file");
    if !lacks {
        return Ok(());
    }
    Err(Error::MissingExtension {
        message: format!("the scratch server says that {}", refusal.message),
        file: step.up.path.clone(),
        help: "install the package that holds it beside the local server, or name a server that has it in \
               `XTASK_POSTGRES_URL` or an image in `XTASK_POSTGRES_IMAGE`"
            .into(),
    })
}

/// Refusals that have a code of their own.
fn code(refusal: &Refusal) -> &'static Code {
    if refusal.asks_for_owner() {
        &codes::NOT_OWNER
    } else if refusal.asks_for_another_role() || refusal.asks_for_superuser() {
        &codes::ROLE_ESCAPE
    } else {
        match refusal.sqlstate.as_str() {
            "25001" => &codes::FRAMING,
            "2D000" => &codes::NESTED_TRANSACTION,
            _ => &codes::APPLY_FAILED,
        }
    }
}
