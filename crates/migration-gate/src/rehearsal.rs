//! The pending migrations once more, in a copy of production's schema that watches what each statement does.

use sqlx::PgConnection;

use crate::{
    Report,
    checks::locks,
    error::Error,
    files::MigrationFile,
    plan::Step,
    session::Session,
    target::Target,
    trace::{self, Effect},
    upgrade::{Reached, Scene},
};

/// Every table is small here, and the planner would walk them all: this lets it do what it does with a large one.
const LARGE_TABLES: &[(&str, &str)] =
    &[("enable_seqscan", "off"), ("enable_indexonlyscan", "off"), ("enable_mergejoin", "off")];

const SUFFIX: &str = "rehearsal";

/// A copy of the database as production has it, before anything pending.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    copy: Target,
}

/// A pending migration, and what it did.
#[derive(Debug)]
pub(crate) struct Rehearsed<'p> {
    pub(crate) step: Step<'p>,
    pub(crate) effects: Vec<Effect>,
}

/// What the rehearsal showed.
#[derive(Debug, Default)]
pub(crate) struct Performance<'p> {
    pub(crate) migrations: Vec<Rehearsed<'p>>,
    /// What could not be watched, and why.
    pub(crate) notes: Vec<String>,
}

impl Rehearsal {
    /// Copies the database, to which nobody may be connected; nothing where nothing is pending.
    pub(crate) async fn prepare(scene: &Scene<'_>) -> Result<Option<Self>, Error> {
        if scene.plan.pending.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { copy: scene.target.copy(SUFFIX).await? }))
    }

    /// Applies what is pending in a login of the deployer, and takes the copy away.
    pub(crate) async fn perform<'p>(self, scene: &Scene<'p>) -> Result<Performance<'p>, Error> {
        let performance = self.apply_all(scene).await;
        self.copy.remove().await?;
        performance
    }

    async fn login(&self, scene: &Scene<'_>) -> Result<Session<'_>, Error> {
        let mut settings = LARGE_TABLES.to_vec();
        settings.extend(scene.project.settings.time_zone.as_deref().map(|zone| ("TimeZone", zone)));
        self.copy.login_with(&scene.project.roles.deployer, &settings).await
    }

    async fn apply_all<'p>(&self, scene: &Scene<'p>) -> Result<Performance<'p>, Error> {
        let mut performance = Performance::default();
        let mut admin = self.copy.admin().await?;
        let mut session = self.login(scene).await?;
        let opened = session.open_ledger().await?;
        let (None, Some(ledger)) = (opened, trace::ledger(&mut admin).await?) else {
            return Ok(performance);
        };
        trace::install(&mut admin, &ledger).await?;
        for step in &scene.plan.pending {
            if !apply(&mut session, step.up).await? {
                performance.notes.push(format!("`{}` could not be watched for locks", step.up.path));
                break;
            }
            let effects = trace::read(&mut admin, step.up).await?;
            performance.migrations.push(Rehearsed { step: *step, effects });
        }
        session.close().await;
        close(admin).await;
        Ok(performance)
    }
}

/// Rehearses what was accepted, and reports what production's users would notice.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    rehearsal: Option<Rehearsal>,
    reached: Reached,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(rehearsal) = rehearsal else { return Ok(()) };
    if reached == Reached::Fault {
        report.notes.push("locks are judged as soon as every migration is accepted".into());
        return rehearsal.copy.remove().await;
    }
    let performance = rehearsal.perform(scene).await?;
    for migration in &performance.migrations {
        report.findings.extend(locks::judge(scene.project, migration));
    }
    report.notes.extend(performance.notes);
    Ok(())
}

/// With marks between its statements where that goes, else as it is; whether it was accepted.
async fn apply(session: &mut Session<'_>, up: &MigrationFile) -> Result<bool, Error> {
    if let Some(marked) = trace::marked(up)
        && session.apply(&marked).await?.is_none()
    {
        return Ok(true);
    }
    Ok(session.apply(up).await?.is_none())
}

async fn close(admin: PgConnection) {
    drop(sqlx::Connection::close(admin).await);
}
