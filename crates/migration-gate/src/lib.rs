//! The migration gate: would production accept these migrations, and could they be taken back?
//!
//! It executes, it does not guess. On a server of its own it brings a database to where production is, by replaying
//! production's ledger, each entry in a login of the role that it names; then it applies what is pending in a login of
//! the deployer, with sqlx's own framing (a file is one query, in one transaction with its line in the ledger), takes
//! each one back and applies it again.
//!
//! Each of the 72 hazards that `tests/it/catalogue` goes through is found; none is out of reach.
//!
//! [`codes::CODES`] is the table of what it can find. [`check`] judges; [`provision`] makes a database that is what
//! production is, for whoever needs one.

mod advice;
mod bench;
mod boot;
mod catalog;
mod checks;
pub mod codes;
mod conduct;
mod document;
mod dry_run;
mod error;
mod existing;
pub mod files;
mod finding;
mod git;
mod grants;
mod hand_over;
mod handlers;
mod history;
pub mod ledger;
mod lineage;
mod new;
mod origins;
mod phases;
mod plan;
mod prepared;
mod project;
mod provision;
mod queries;
mod refusal;
mod rehearsal;
mod release;
mod restrictions;
mod roles;
mod rollback;
mod samples;
pub mod seal;
mod seed;
mod session;
mod shape;
mod snapshot;
mod sources;
mod sqlx_config;
mod statements;
mod target;
mod timestamp;
mod trace;
mod upgrade;
pub mod waivers;
mod walk;
mod wire;
mod writes;

use std::future::Future;

use scratch_postgres::{Options, Server};

use crate::{
    checks::{down, not_judged, order_drift, owner_drift, schema},
    origins::Origins,
    plan::Plan,
    rehearsal::Rehearsal,
    target::Target,
    upgrade::{Depth, Reached, Scene},
};
pub use crate::{
    codes::Level,
    document::{DocumentError, did_you_mean},
    dry_run::{DryRun, dry_run},
    error::Error,
    finding::Finding,
    new::new,
    phases::Phases,
    prepared::{Inquiry, Prepared, prepared},
    project::{Boot, Policy, Prelude, Project, QueryFolder, RoleNames, Roles, Settings, Slot},
    provision::{Reach, provision},
    snapshot::{Live, Wish, snapshot},
};

/// What the gate found, and how far it got.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which the gate looks.
    pub findings: Vec<Finding>,
    /// What people should know although nothing is wrong.
    pub notes: Vec<String>,
    /// What kept it from judging the rest.
    pub stopped: Option<Error>,
    /// Migrations that production has and that were run again.
    pub applied: usize,
    /// Migrations that were judged.
    pub pending: usize,
    /// Prepared queries that were tried.
    pub queries: usize,
    /// How long it took, phase by phase.
    pub phases: Phases,
}

impl Report {
    /// Whether a finding fails the gate.
    pub fn is_red(&self) -> bool {
        self.findings.iter().any(|it| it.level == Level::Error)
    }

    /// Whether everything was judged that the project's settings ask for.
    fn is_complete(&self) -> bool {
        self.stopped.is_none() && self.findings.iter().all(|it| it.code != codes::NOT_JUDGED.name)
    }

    /// 0 clean, 1 a fault in the migrations, 2 configuration, 3 environment, 130 interrupted; a fault decides over
    /// whatever kept the rest from being judged.
    pub fn exit_code(&self) -> u8 {
        match &self.stopped {
            Some(Error::Interrupted) => Error::Interrupted.exit_code(),
            _ if self.is_red() => 1,
            Some(error) => error.exit_code(),
            None => 0,
        }
    }
}

/// Judges the project in a scratch database of its own, which is gone afterwards, also when `interrupt` comes first.
pub async fn check(project: &Project, options: &Options, interrupt: impl Future<Output = ()>) -> Report {
    let mut report = judged(project, options, interrupt).await;
    let applied = project.waivers.apply(&mut report.findings);
    report.notes.extend(applied.notes.iter().cloned());
    if report.is_complete() {
        report.findings.extend(project.waivers.unused(&applied, |code| project.judges(code)));
    }
    report
}

async fn judged(project: &Project, options: &Options, interrupt: impl Future<Output = ()>) -> Report {
    let mut report = Report {
        findings: checks::of_files(project),
        notes: project.lineage.notes.clone(),
        ..Report::default()
    };
    let plan = Plan::of(project);
    if let Some(left_out) = &plan.left_out {
        report.findings.extend(not_judged::report(&left_out.files, &left_out.because));
    }
    if plan.applied.is_empty() && plan.pending.is_empty() {
        return report;
    }
    report.phases.end("files");
    let work = async |scene: &Scene<'_>| execute(scene, &mut report).await;
    report.stopped = on_server(project, &plan, options, interrupt, work).await.err();
    checks::lint::judge(&plan, &mut report);
    report
}

/// Does `work` in a database on a scratch server, and takes both away again, whatever happens.
async fn on_server(
    project: &Project,
    plan: &Plan<'_>,
    options: &Options,
    interrupt: impl Future<Output = ()>,
    work: impl AsyncFnOnce(&Scene<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let server = Server::start(options).await?;
    let worked = async {
        let database = server.create_database("gate").await?;
        let target = Target::new(server.admin_url(), database.name())?.of(project);
        let scene = Scene { target: &target, project, plan };
        let outcome = tokio::select! {
            biased;
            () = interrupt => Err(Error::Interrupted),
            outcome = work(&scene) => outcome,
        };
        let swept = target.sweep().await;
        // What stopped it is said; that a server which is gone holds no database needs no word.
        drop(database.drop().await);
        outcome.and(swept)
    };
    let outcome = worked.await;
    server.stop().await?;
    outcome
}

async fn execute(scene: &Scene<'_>, report: &mut Report) -> Result<(), Error> {
    report.phases.end("server");
    report.notes.extend(scene.target.set_up(scene.project).await?);
    report.applied = scene.plan.applied.len();
    report.phases.end("set-up");
    let mut origins = Origins::default();
    origins.keep_start(scene).await?;
    if upgrade::replay(scene, &[], &mut report.findings).await? == Reached::Fault {
        return Ok(());
    }
    report.phases.end("ledger");
    let rehearsal = Rehearsal::prepare(scene).await?;
    origins.keep_production(scene).await?;
    let together = boot::prepare(scene).await?;
    report.phases.end("copies");
    let reached = upgrade::pending(scene, &[], Depth::Judge, &mut report.findings).await?;
    report.pending = scene.plan.pending.len();
    report.phases.end("pending");
    let made = down::judge(scene, &origins, reached, &mut report.findings).await?;
    report.phases.end("down");
    if reached == Reached::End {
        order_drift::judge(scene, &origins, &mut report.findings).await?;
        report.phases.end("order");
        owner_drift::judge(scene, &origins, report).await?;
        report.phases.end("owner");
        schema::judge(scene, &made, &mut report.findings).await?;
        report.phases.end("schema");
    }
    boot::judge(scene, together, reached, report).await?;
    report.phases.end("two at once");
    rehearsal::judge(scene, rehearsal, reached, report).await?;
    report.phases.end("rehearsal");
    if reached == Reached::End {
        let trials = checks::queries::judge(scene, origins.production.as_ref(), report).await?;
        report.phases.end("queries");
        checks::rollback::judge(scene, origins.production.as_ref(), &trials, report).await?;
        report.phases.end("rollback");
        checks::indexes::judge(scene, origins.production.as_ref(), &trials, report).await?;
        report.phases.end("indexes");
    } else if !scene.project.sent.is_empty() {
        report.notes.push("no query was tried: not all of the pending migrations could be applied".into());
    }
    Ok(())
}
