//! A database that is what production is, on a server that somebody gives.

use crate::{
    Report,
    checks::{self, not_judged},
    codes::{self, Level},
    error::Error,
    finding::Finding,
    plan::Plan,
    project::Project,
    target::{Past, Target},
    upgrade::{self, Depth, Reached, Scene},
};

/// How far the database is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What production has.
    Ledger,
    /// What production has, and what is pending.
    Pending,
}

/// Makes `database` on the server at `server_url` where it does not exist, runs the prelude, replays the ledger role by
/// role, then applies what is pending as deployer.
///
/// It may be run again: what the database has is passed over, as sqlx does. A project whose files or ledger are at
/// fault is not provisioned; the report says why.
pub async fn provision(project: &Project, server_url: &str, database: &str, reach: Reach) -> Report {
    let mut report = Report::default();
    report.findings.extend(checks::of_files(project).into_iter().filter(|it| it.level == Level::Error));
    // A missing down hinders nobody who goes forward, and what is not proven can still be built.
    let hinders = |it: &Finding| it.code != codes::NO_DOWN.name && it.code != codes::LEDGER_UNPROVEN.name;
    report.findings.retain(hinders);
    project.waivers.apply(&mut report.findings);
    let plan = Plan::of(project);
    if let Some(left_out) = &plan.left_out {
        report.findings.extend(not_judged::report(&left_out.files, &left_out.because));
    }
    if !report.is_red() {
        let outcome = execute(project, &plan, (server_url, database), reach, &mut report).await;
        report.stopped = outcome.err();
    }
    report
}

async fn execute(
    project: &Project,
    plan: &Plan<'_>,
    (server_url, database): (&str, &str),
    reach: Reach,
    report: &mut Report,
) -> Result<(), Error> {
    let target = Target::new(server_url, database)?.of(project);
    target.create().await?;
    let recorded = recorded(&target, plan, database).await?;
    let past = if recorded.is_empty() { Past::None } else { Past::Prelude };
    report.notes = target.set_up_after(project, past).await?;
    let scene = Scene { target: &target, project, plan };
    report.applied = plan.applied.len();
    if upgrade::replay(&scene, &recorded, &mut report.findings).await? == Reached::End
        && reach == Reach::Pending
    {
        report.pending = plan.pending.len();
        upgrade::pending(&scene, &recorded, Depth::Apply, &mut report.findings).await?;
    }
    Ok(())
}

/// What the database already has; other content than the tree's is no base to build on.
async fn recorded(target: &Target, plan: &Plan<'_>, database: &str) -> Result<Vec<i64>, Error> {
    let recorded = target.recorded().await?;
    for (version, checksum) in &recorded {
        let known = plan
            .applied
            .iter()
            .chain(&plan.pending)
            .any(|step| step.up.version == *version && step.up.checksum() == *checksum);
        if !known {
            return Err(Error::Configuration(format!(
                "database `{database}` has applied another migration {version} than the one in the tree; drop the database or \
                 name another one"
            )));
        }
    }
    Ok(recorded.into_iter().map(|(version, _)| version).collect())
}
