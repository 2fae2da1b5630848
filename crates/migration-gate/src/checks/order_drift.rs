//! `order-drift`: a new database applies the files by number, production as they came.

use crate::{
    catalog::{self, Reader, Sides},
    checks::apply,
    codes,
    error::Error,
    finding::Finding,
    origins::Origins,
    plan::{Plan, Step},
    upgrade::Scene,
    walk::Walk,
};

const NEW: Sides = Sides { after: "in a new database" };
/// How many late files are named.
const NAMED: usize = 3;

/// Files that production runs after one with a higher number.
#[derive(Debug)]
struct Late<'p> {
    /// Those that can still be moved come first.
    steps: Vec<Step<'p>>,
    /// How many of them are pending.
    pending: usize,
}

/// Builds a new database by number, each file as the role that the ledger names, and compares it with what production
/// will be; nothing where both orders are the same.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    origins: &Origins,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let (Some(start), Some(late)) = (&origins.start, Late::of(scene.plan)) else { return Ok(()) };
    let target = scene.target.beside("new");
    let mut walk = Walk::begin(scene, start, &target).await?;
    let finding = compare(scene, &late, &mut walk).await?;
    findings.extend(finding.map(|it| late.explain(scene, it)));
    walk.end().await
}

/// Whether the two orders differ.
pub(crate) fn applies(plan: &Plan<'_>) -> bool {
    Late::of(plan).is_some()
}

async fn compare(scene: &Scene<'_>, late: &Late<'_>, walk: &mut Walk<'_>) -> Result<Option<Finding>, Error> {
    let mut steps = [&scene.plan.applied[..], &scene.plan.pending].concat();
    steps.sort_by_key(|step| step.up.version);
    for step in &steps {
        if let Some(refusal) = walk.apply(step).await? {
            let line = walk.line_of(&refusal, step.up).await;
            let said = apply::said(&refusal, scene.project.role(step.role));
            let what = format!("on a new database, which runs the files by number, this is refused: {said}");
            return Ok(Some(Finding::new(&codes::ORDER_DRIFT, what).at(&step.up.path, line)));
        }
    }
    let mut reader = Reader::of(scene.target).await?;
    let production = reader.read().await?;
    reader.close().await;
    let drift = production.difference(&walk.catalog().await?);
    if drift.is_empty() {
        return Ok(None);
    }
    let what = format!(
        "a new database, which runs the files by number, is not what production will be: {}",
        catalog::told(&drift, &NEW)
    );
    let place = |step: &Step<'_>| {
        drift.iter().find_map(|it| it.line_in(step.up)).map(|line| (step.up.path.clone(), line))
    };
    let first = late.steps.first().map(|step| (step.up.path.clone(), 1));
    let place = late.steps.iter().find_map(place).or(first);
    let finding = Finding::new(&codes::ORDER_DRIFT, what);
    Ok(Some(match place {
        Some((path, line)) => finding.at(path, line),
        None => finding,
    }))
}

impl<'p> Late<'p> {
    fn of(plan: &Plan<'p>) -> Option<Self> {
        let mut highest = i64::MIN;
        let mut late = |steps: &[Step<'p>]| -> Vec<Step<'p>> {
            let mut found = Vec::new();
            for step in steps {
                if step.up.version < highest {
                    found.push(*step);
                }
                highest = highest.max(step.up.version);
            }
            found
        };
        let applied = late(&plan.applied);
        let mut steps = late(&plan.pending);
        let pending = steps.len();
        steps.extend(applied);
        (!steps.is_empty()).then_some(Self { steps, pending })
    }

    /// What production has run in its own order cannot be moved any more: of that it is only warned.
    fn explain(&self, scene: &Scene<'_>, finding: Finding) -> Finding {
        let placed =
            self.steps.iter().take(self.pending).find(|step| finding.file.as_ref() == Some(&step.up.path));
        let movable = placed.or(self.steps.first().filter(|_| self.pending > 0)).copied();
        let mut names: Vec<String> =
            self.steps.iter().take(NAMED).map(|step| format!("`{}`", step.up.file_name())).collect();
        if self.steps.len() > NAMED {
            names.push(format!("{} more", self.steps.len() - NAMED));
        }
        let runs = if self.steps.len() == 1 { "runs" } else { "run" };
        let finding = finding.means(format!(
            "{} {runs} there after a file with a higher number; what starts from nothing, as new environments and tests do, is \
             not what production is",
            names.join(" and ")
        ));
        match movable {
            Some(step) => finding.fix(scene.project.renumber(step.up)),
            None => finding
                .only_warns()
                .fix("write a migration that leaves both the same, whichever of the two it meets"),
        }
    }
}
