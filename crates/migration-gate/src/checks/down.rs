//! `down-fails`, `down-leaves-drift` and `reup-fails`: each migration is applied, taken back and applied again.

use crate::{
    catalog::{self, Catalog, Difference, Sides},
    checks::{apply, framing, invalid_index, not_judged},
    codes,
    error::Error,
    files::MigrationFile,
    finding::Finding,
    origins::Origins,
    plan::Step,
    refusal::Refusal,
    session::Session,
    upgrade::{Reached, Scene},
    walk::{Made, Walk},
};

const AFTER_DOWN: Sides = Sides { after: "after the down" };
const AFTER_SECOND_UP: Sides = Sides { after: "after the second up" };

/// What is pending, and with `--all` what production has too; in a copy, so that what a bad down leaves behind is in
/// nobody's way. Returns what each pending one made.
pub(crate) async fn judge<'p>(
    scene: &Scene<'p>,
    origins: &Origins,
    reached: Reached,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Made<'p>>, Error> {
    let (origin, steps) = match (&origins.start, &origins.production) {
        (Some(start), _) if scene.project.settings.all => {
            (start, [&scene.plan.applied[..], &scene.plan.pending].concat())
        }
        (_, Some(production)) => (production, scene.plan.pending.clone()),
        (_, None) => return Ok(Vec::new()),
    };
    let target = scene.target.beside("down");
    let mut walk = Walk::begin(scene, origin, &target).await?;
    let mut before = walk.catalog().await?;
    let mut made = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if let Some(refusal) = walk.apply(step).await? {
            // What was refused before has been reported. Only what belongs to the whole server can be refused here alone.
            if reached == Reached::End {
                let files: Vec<String> = steps[index..].iter().map(|it| it.up.file_name()).collect();
                let because = format!("a second database on the same server refuses it: {refusal}");
                let line = walk.line_of(&refusal, step.up).await;
                findings.push(framing::of_the_server(step.up, line, &refusal));
                findings.extend(not_judged::report(&files, &because));
            }
            break;
        }
        let after = walk.catalog().await?;
        if walk.is_pending(step) {
            let change = Made { step: *step, differences: before.difference(&after) };
            invalid_index::judge_retry(&mut walk, &change, findings).await?;
            made.push(change);
        }
        // A down that cannot be sent is the finding of another check.
        if let Some(down) = step.down.filter(|it| crate::plan::broken(it).is_none()) {
            let round = Round { step, down, before: &before, after: &after };
            if round.judge(&mut walk, findings).await? == Left::Changed {
                walk.begin_again(&steps[..=index]).await?;
            }
        }
        before = after;
    }
    walk.end().await?;
    Ok(made)
}

/// What a round leaves behind.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    AsItWas,
    Changed,
}

/// One migration down and up again.
#[derive(Debug)]
struct Round<'r> {
    step: &'r Step<'r>,
    down: &'r MigrationFile,
    before: &'r Catalog,
    /// After the first up.
    after: &'r Catalog,
}

impl Round<'_> {
    async fn judge(&self, walk: &mut Walk<'_>, findings: &mut Vec<Finding>) -> Result<Left, Error> {
        let (up, down) = (self.step.up, self.down);
        let mut session = walk.beside(self.step).await?;
        if let Some(refusal) = session.revert(down).await? {
            findings.push(down_fails(&mut session, down, &refusal).await);
            session.close().await;
            // Inside a transaction nothing has changed.
            return Ok(if down.is_outside_transaction() { Left::Changed } else { Left::AsItWas });
        }
        let reverted = walk.catalog().await?;
        let drift = self.before.difference(&reverted);
        if let Some(refusal) = session.apply(up).await? {
            findings.push(self.reup_fails(&mut session, &refusal, &drift).await);
            session.close().await;
            return Ok(Left::Changed);
        }
        if !drift.is_empty() {
            findings.push(leaves_drift(self.step, down, &drift));
        }
        findings.extend(self.destroys(&reverted));
        session.close().await;
        let drift_of_up = self.after.difference(&walk.catalog().await?);
        if drift_of_up.is_empty() {
            return Ok(Left::AsItWas);
        }
        if drift.is_empty() {
            findings.push(reup_drifts(up, down, &drift_of_up));
        }
        Ok(Left::Changed)
    }

    async fn reup_fails(
        &self,
        session: &mut Session<'_>,
        refusal: &Refusal,
        drift: &[Difference],
    ) -> Finding {
        let (up, down) = (self.step.up, self.down);
        let line = session.line_of(refusal, up).await;
        let what = format!("after its down, the up is refused: {}", apply::said(refusal, &session.role));
        let mut fix = format!("let `{}` undo everything that the up makes", down.path);
        if !drift.is_empty() {
            fix += &format!("; now it leaves {}", catalog::told(drift, &AFTER_DOWN));
        }
        Finding::new(&codes::REUP_FAILS, what)
            .at(&up.path, line)
            .means("after a rollback this release, repaired, cannot be deployed again")
            .fix(fix)
    }

    /// Tables and columns that the up has left alone and the down has not, whatever stands there now.
    fn destroys(&self, reverted: &Catalog) -> Option<Finding> {
        let (before, after, reverted) = (self.before.places(), self.after.places(), reverted.places());
        let names: std::collections::BTreeSet<&String> = reverted.values().collect();
        let lost: Vec<String> = before
            .iter()
            .filter(|(place, name)| {
                // What is missing is drift; here it is there again, but empty.
                after.contains_key(place) && !reverted.contains_key(place) && names.contains(name)
            })
            .map(|(_, name)| name.clone())
            .collect();
        let whole: Vec<&String> = lost
            .iter()
            .filter(|name| !lost.iter().any(|other| name.ends_with(&format!(" of {other}"))))
            .collect();
        let first = whole.first()?;
        let more = if whole.len() > 1 { format!(" and {} more", whole.len() - 1) } else { String::new() };
        let what = format!("the down drops {first}{more}, which was there before the up, and makes it anew");
        Some(
            Finding::new(&codes::DOWN_LEAVES_DRIFT, what)
                .at(&self.down.path, catalog::line_of(self.down, first).unwrap_or(1))
                .only_informs()
                .means("the schema is as before, but what stood in it is gone after a rollback")
                .fix("rename it back instead of making it again, if what it holds is still needed"),
        )
    }
}

fn leaves_drift(step: &Step<'_>, down: &MigrationFile, drift: &[Difference]) -> Finding {
    let what = format!("the schema is not what it was before the up: {}", catalog::told(drift, &AFTER_DOWN));
    let line = drift.iter().find_map(|it| it.line_in(down)).unwrap_or(1);
    let labels_only = drift.iter().all(|it| it.aspect == "labels");
    let fix = if labels_only {
        "PostgreSQL cannot take back an enum's label: waive this, and say in the down that it stays"
            .to_owned()
    } else {
        format!("let the down undo everything that `{}` does, and nothing else", step.up.file_name())
    };
    Finding::new(&codes::DOWN_LEAVES_DRIFT, what)
        .at(&down.path, line)
        .means("after a rollback the old release runs on a schema that nobody has ever tested")
        .fix(fix)
}

fn reup_drifts(up: &MigrationFile, down: &MigrationFile, drift: &[Difference]) -> Finding {
    let what = format!(
        "applied after its down, the up makes another schema: {}",
        catalog::told(drift, &AFTER_SECOND_UP)
    );
    Finding::new(&codes::DOWN_LEAVES_DRIFT, what)
        .at(&up.path, drift.iter().find_map(|it| it.line_in(up)).unwrap_or(1))
        .means("a database that was rolled back once is not what the others are")
        .fix(format!("let `{}` put back what the up builds on", down.path))
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
