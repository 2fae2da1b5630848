//! Applying: lock, look again, then one migration after the other, each in the login of its role.

use sqlx::PgConnection;
use sqlx::migrate::Migrate;
use tracing::info;

use crate::database::{self, Access, LEDGER, Ledger};
use crate::failure::Failure;
use crate::plan::{Applied, Plan, Step, title};
use crate::settings::Settings;
use crate::source::{Role, Source};

/// The sessions of a run; the deployer's holds the lock.
struct Sessions {
    deployer: PgConnection,
    owner: Option<PgConnection>,
}

/// Applies what is pending and returns how many migrations that were.
pub(crate) async fn apply(source: &Source, settings: &Settings) -> Result<usize, Failure> {
    let access = Access::Apply { lock_timeout: settings.lock_timeout.0 };
    let mut deployer = database::open(settings.deployer(), access).await?;
    database::lock(&mut deployer, settings.wait.0).await?;
    let applied = applied(&mut deployer, settings).await?;
    let plan = Plan::new(source, &applied)?;

    let owner = if plan.needs_owner() {
        Some(database::open(settings.owner_for(&first_time(&plan))?, access).await?)
    } else {
        None
    };
    let mut sessions = Sessions { deployer, owner };
    for step in &plan.steps {
        sessions.apply(step).await?;
    }
    Ok(plan.steps.len())
}

/// What the database says has been applied, read by the deployer, or by the owner where only that one may.
pub(crate) async fn applied(
    deployer: &mut PgConnection,
    settings: &Settings,
) -> Result<Vec<Applied>, Failure> {
    match database::read_ledger(deployer).await? {
        Ledger::Absent => Ok(Vec::new()),
        Ledger::Rows(rows) => Ok(rows),
        Ledger::Unreadable => {
            let purpose = format!("the deployer may not read the ledger `{LEDGER}`");
            let mut owner = database::open(settings.owner_for(&purpose)?, Access::ReadOnly).await?;
            match database::read_ledger(&mut owner).await? {
                Ledger::Rows(rows) => Ok(rows),
                Ledger::Absent => Ok(Vec::new()),
                Ledger::Unreadable => Err(Failure::Database(format!(
                    "neither the deployer nor the owner may read the ledger `{LEDGER}`"
                ))),
            }
        }
    }
}

impl Sessions {
    async fn apply(&mut self, step: &Step<'_>) -> Result<(), Failure> {
        let connection = match (step.role, &mut self.owner) {
            (Role::Owner, Some(owner)) => owner,
            _ => &mut self.deployer,
        };
        let migration = step.migration;
        let failed = |error| Failure::of_migration(migration, error);
        connection.ensure_migrations_table(LEDGER).await.map_err(failed)?;
        let took = connection.apply(LEDGER, migration).await.map_err(failed)?;
        info!(
            version = migration.version,
            name = &*migration.description,
            role = step.role.name(),
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "migration applied"
        );
        Ok(())
    }
}

fn first_time(plan: &Plan<'_>) -> String {
    let owners = plan.steps.iter().filter(|step| step.role == Role::Owner);
    let titles: Vec<String> =
        owners.map(|step| title(step.migration.version, &step.migration.description)).collect();
    format!("this database lacks what production's owner made ({})", titles.join(", "))
}
