//! Two of sqlx's own migrators, started together on what production is.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqlSafeStr as _,
    migrate::{Migrate as _, MigrateError, Migration, Migrator},
    postgres::PgConnectOptions,
};

use crate::{
    Report, codes,
    error::Error,
    files::MigrationFile,
    finding::Finding,
    project::Boot,
    target::{Target, lost, run},
    upgrade::{Reached, Scene},
};

/// How long two migrators may take together before they count as stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server says to one of two that wait for each other.
const STUCK: [&str; 2] = ["40P01", "55P03"];

/// How a migrator ended that the server refused something.
struct Refused {
    /// Whether a migration was being applied, not only waited for.
    applying: bool,
    sqlstate: String,
    message: String,
}

/// A copy of what production is; none where nothing pending can make two migrators wait for each other.
pub(crate) async fn prepare(scene: &Scene<'_>) -> Result<Option<Target>, Error> {
    if scene.project.settings.boot != Boot::Waits || first_outside(scene).is_none() {
        return Ok(None);
    }
    scene.target.copy("boot").await.map(Some)
}

/// Starts two migrators in the copy, and takes it away.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    copy: Option<Target>,
    reached: Reached,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(copy) = copy else { return Ok(()) };
    // What one migrator is refused, two are too.
    if reached == Reached::End {
        start_two(scene, &copy, report).await?;
    }
    copy.remove().await
}

async fn start_two(scene: &Scene<'_>, copy: &Target, report: &mut Report) -> Result<(), Error> {
    let mut admin = copy.admin().await?;
    notice_soon(scene, &mut admin).await?;
    let login = copy.login_of_sqlx(&scene.project.roles.deployer);
    let migrator = migrator(scene);
    let both = async {
        tokio::join!(start(&login, &migrator), start(&login, &migrator), let_both_in(copy, &mut admin))
    };
    let Ok((one, other, let_in)) = tokio::time::timeout(PATIENCE, both).await else {
        report.findings.extend(finding(scene, "they wait for each other without end"));
        return Ok(());
    };
    let_in?;
    drop(admin.close().await);
    let refused: Vec<Refused> = [one?, other?].into_iter().flatten().collect();
    if let Some(stuck) = refused.iter().find(|it| STUCK.contains(&it.sqlstate.as_str())) {
        let said = format!("`{}` (SQLSTATE {})", stuck.message, stuck.sqlstate);
        report.findings.extend(finding(
            scene,
            &if stuck.applying {
                format!(
                    "the one at work ends with {said} and leaves what it had begun, such as an invalid index"
                )
            } else {
                format!("the one that waits for its turn ends with {said}")
            },
        ));
    } else if let Some(other) = refused.first() {
        // Such as a role of the whole server, which is there already: that is not about two at once.
        report.notes.push(format!("two migrators at once could not be judged: {}", other.message));
    }
    Ok(())
}

fn finding(scene: &Scene<'_>, how: &str) -> Option<Finding> {
    let file = first_outside(scene)?;
    let finding = Finding::new(&codes::CONCURRENT_BOOT, format!("of two migrators that start together, {how}"))
        .at(&file.path, 1)
        .means("with two replicas that migrate when they start, one does not come up, and which one is chance")
        .fix(
            "migrate in one job before the replicas start (`--boot alone`), or let the migrator ask for its lock with \
             `pg_try_advisory_lock` again and again (`--boot polls`)",
        );
    Some(finding)
}

/// Lets the server look for deadlocks at once, not after a second.
async fn notice_soon(scene: &Scene<'_>, admin: &mut PgConnection) -> Result<(), Error> {
    let doing = "setting up two migrators";
    let statement: String = sqlx::query_scalar(
        "SELECT format('ALTER ROLE %I IN DATABASE %I SET deadlock_timeout = %L', $1::text, current_database(), '200ms')",
    )
    .bind(&scene.project.roles.deployer)
    .fetch_one(&mut *admin)
    .await
    .map_err(|error| lost(doing, &error))?;
    run(admin, statement).await.map_err(|error| lost(doing, &error))?;
    // Held until both wait for it: else one might be done before the other one begins.
    let taken = admin.lock().await;
    taken.map_err(|error| Error::Lost { doing: doing.into(), cause: error.to_string() })
}

/// Gives sqlx's lock back as soon as two wait for it.
async fn let_both_in(copy: &Target, admin: &mut PgConnection) -> Result<(), Error> {
    let doing = "starting two migrators";
    let mut watch = copy.admin().await?;
    for _ in 0..400 {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_one(&mut watch)
        .await
        .map_err(|error| lost(doing, &error))?;
        if waiting == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(watch.close().await);
    let given = admin.unlock().await;
    given.map_err(|error| Error::Lost { doing: doing.into(), cause: error.to_string() })
}

async fn start(login: &PgConnectOptions, migrator: &Migrator) -> Result<Option<Refused>, Error> {
    let doing = "starting two migrators";
    let mut connection = login.connect().await.map_err(|error| lost(doing, &error))?;
    let outcome = migrator.run(&mut connection).await;
    drop(connection.close().await);
    let (error, applying) = match outcome {
        Ok(()) => return Ok(None),
        Err(MigrateError::ExecuteMigration(error, _)) => (error, true),
        Err(MigrateError::Execute(error)) => (error, false),
        Err(other) => return Err(Error::Lost { doing: doing.into(), cause: other.to_string() }),
    };
    let said =
        error.as_database_error().map(|it| (it.code().unwrap_or_default().into(), it.message().into()));
    let Some((sqlstate, message)) = said else { return Err(lost(doing, &error)) };
    Ok(Some(Refused { applying, sqlstate, message }))
}

/// sqlx's own, with what is pending.
fn migrator(scene: &Scene<'_>) -> Migrator {
    let pending = scene.plan.pending.iter().filter_map(|step| as_sqlx(step.up)).collect();
    let mut migrator = Migrator::with_migrations(pending);
    migrator.set_ignore_missing(true);
    migrator.dangerous_set_table_name(scene.target.ledger.clone());
    for schema in &scene.target.schemas {
        migrator.create_schema(schema.clone());
    }
    migrator
}

fn as_sqlx(file: &MigrationFile) -> Option<Migration> {
    Some(Migration::new(
        file.version,
        file.description().into(),
        file.kind.as_sqlx(),
        AssertSqlSafe(file.sql()?.to_owned()).into_sql_str(),
        file.is_outside_transaction(),
    ))
}

fn first_outside<'p>(scene: &Scene<'p>) -> Option<&'p MigrationFile> {
    scene.plan.pending.iter().map(|step| step.up).find(|file| file.is_outside_transaction())
}
