//! `down-fails` and `reup-fails`: each pending migration is reverted and applied again.

use crate::{
    checks::apply, codes, error::Error, files::MigrationFile, finding::Finding, plan::Step, refusal::Refusal,
    session::Session, upgrade::Scene,
};

/// The session beside the deployment's must not wait for ever for what that one holds.
const SETTINGS: &[(&str, &str)] = &[("lock_timeout", "10s")];

/// Down and up again, in a login of the deployer. Returns why the schema is not where it was, if it is not.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    step: &Step<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<String>, Error> {
    // A down that cannot be sent is the finding of another check.
    let Some(down) = step.down.filter(|it| crate::plan::broken(it).is_none()) else { return Ok(None) };
    let mut session = scene.target.login_with(&scene.project.roles.deployer, SETTINGS).await?;
    if let Some(refusal) = session.revert(down).await? {
        findings.push(down_fails(&mut session, down, &refusal).await);
        // Inside a transaction nothing has changed: the later migrations can still be judged.
        let unclear = down.is_outside_transaction();
        session.close().await;
        return Ok(unclear.then(|| format!("`{}` may have run halfway", down.file_name())));
    }
    if let Some(refusal) = session.apply(step.up).await? {
        findings.push(reup_fails(&mut session, step.up, down, &refusal).await);
        session.close().await;
        return Ok(Some(format!("`{}` cannot be applied again", step.up.file_name())));
    }
    session.close().await;
    Ok(None)
}

async fn down_fails(session: &mut Session<'_>, down: &MigrationFile, refusal: &Refusal) -> Finding {
    let line = session.line_of(refusal, down).await;
    let fix = if refusal.asks_for_owner() {
        format!("undo only what the up does: the rest is not `{}`'s", session.role)
    } else {
        "correct the statement so that it undoes what the up does, on the schema that the up leaves".into()
    };
    Finding::new(&codes::DOWN_FAILS, apply::said(refusal, &session.role))
        .at(&down.path, line)
        .means("in the incident that needs it, the rollback stops here")
        .fix(fix)
}

async fn reup_fails(
    session: &mut Session<'_>,
    up: &MigrationFile,
    down: &MigrationFile,
    refusal: &Refusal,
) -> Finding {
    let line = session.line_of(refusal, up).await;
    let what = format!("after its down, the up is refused: {}", apply::said(refusal, &session.role));
    Finding::new(&codes::REUP_FAILS, what)
        .at(&up.path, line)
        .means("after a rollback this release, repaired, cannot be deployed again")
        .fix(format!("let `{}` undo everything that the up makes", down.path))
}
