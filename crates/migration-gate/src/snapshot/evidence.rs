//! Who ran a migration, told by who owns in the live database what it makes or changes.
//!
//! Each file is run once on a scratch server, as superuser, with an event trigger that writes down what it touches. What a
//! migration created belongs to whoever ran it, unless somebody gave it away; where it created nothing that still exists,
//! what it altered does, for only an owner may alter.

use std::collections::{BTreeMap, BTreeSet};

use scratch_postgres::{Options, Server};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::live::{Applied, Recorded};
use crate::{
    error::Error,
    files::MigrationFile,
    ledger::AppliedBy,
    project::{Project, Roles},
    refusal::Refusal,
    target::{Target, lost, run},
};

/// Writes down the identity of whatever a statement creates or alters; grants and temporary tables leave no trace.
const TRIGGER: &str = "
    CREATE SCHEMA gate_snapshot;
    CREATE TABLE gate_snapshot.traces (is_new boolean NOT NULL, identity text NOT NULL);
    CREATE FUNCTION gate_snapshot.note() RETURNS event_trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $gate$
    BEGIN
        INSERT INTO gate_snapshot.traces
        SELECT c.command_tag LIKE 'CREATE %' AND c.object_type <> 'index', o.identity
        FROM pg_event_trigger_ddl_commands() AS c, pg_identify_object(c.classid, c.objid, 0) AS o
        WHERE c.objid IS NOT NULL AND o.identity IS NOT NULL AND o.schema IS DISTINCT FROM 'pg_temp';
    END
    $gate$;
    CREATE EVENT TRIGGER gate_snapshot ON ddl_command_end EXECUTE FUNCTION gate_snapshot.note();";

/// What each migration touches, and why that is not known for some.
#[derive(Debug, Default)]
pub(super) struct Traces {
    by_version: BTreeMap<i64, Result<Touched, String>>,
    /// What people should know of the scratch database.
    pub(super) notes: Vec<String>,
}

/// Identities of objects, such as `public.orders`.
#[derive(Debug, Default)]
struct Touched {
    created: BTreeSet<String>,
    altered: BTreeSet<String>,
}

/// What the database tells of one migration.
#[derive(Debug)]
pub(super) enum Evidence {
    Role(AppliedBy),
    /// Nothing, and why.
    None(String),
}

impl Traces {
    /// Runs what production recorded, in its order, as far as the tree has it.
    pub(super) async fn learn(project: &Project, rows: &[Applied], options: &Options) -> Result<Self, Error> {
        if rows.is_empty() {
            return Ok(Self::default());
        }
        let server = Server::start(options).await?;
        let database = server.create_database("snapshot").await?;
        let target = Target::new(server.admin_url(), database.name())?.of(project);
        let learned = Self::run(project, rows, &target).await;
        database.drop().await?;
        server.stop().await?;
        learned
    }

    async fn run(project: &Project, rows: &[Applied], target: &Target) -> Result<Self, Error> {
        let mut traces = Self { notes: target.set_up(project).await?, ..Self::default() };
        // A migration may grant on the ledger.
        let mut owner = target.login(&project.roles.owner).await?;
        owner.open_ledger().await?;
        owner.close().await;
        let mut admin = target.admin().await?;
        run(&mut admin, TRIGGER.into())
            .await
            .map_err(|error| lost("preparing to learn what migrations make", &error))?;
        for row in rows {
            let touched = match file(project, row) {
                Some(file) => touched_by(&mut admin, file).await?,
                None => Err("the tree does not hold what the database has applied".into()),
            };
            traces.by_version.insert(row.version, touched);
        }
        drop(admin.close().await);
        Ok(traces)
    }
}

/// The file of a row: of its bytes, or one that the waivers take for it.
fn file<'p>(project: &'p Project, row: &Applied) -> Option<&'p MigrationFile> {
    let ups = || project.directory.files.iter().filter(|it| it.kind.is_up() && it.version == row.version);
    let allowed = project.waivers.allow_alternate(row.version, &row.checksum);
    ups().find(|it| it.checksum() == row.checksum).or_else(|| ups().find(|_| allowed))
}

async fn touched_by(
    admin: &mut PgConnection,
    file: &MigrationFile,
) -> Result<Result<Touched, String>, Error> {
    let Some(sql) = file.sql() else { return Ok(Err(format!("`{}` is not UTF-8", file.path))) };
    let outcome = run(admin, sql.to_owned()).await;
    if let Err(error) = outcome {
        return match Refusal::of(error) {
            Ok(refusal) => Ok(Err(format!("`{}` does not run on a scratch server: {refusal}", file.path))),
            Err(error) => Err(lost(&format!("running `{}`", file.path), &error)),
        };
    }
    // Whatever the file has set for its session ends with it.
    let statements = "RESET ALL; RESET SESSION AUTHORIZATION";
    run(admin, statements.into()).await.map_err(|error| lost("beginning anew", &error))?;
    let query = "DELETE FROM gate_snapshot.traces RETURNING is_new, identity";
    let rows: Vec<(bool, String)> = sqlx::query_as(AssertSqlSafe(query))
        .fetch_all(admin)
        .await
        .map_err(|error| lost("reading what a migration made", &error))?;
    let mut touched = Touched::default();
    for (is_new, identity) in rows {
        if is_new {
            touched.created.insert(identity)
        } else {
            touched.altered.insert(identity)
        };
    }
    Ok(Ok(touched))
}

impl Evidence {
    pub(super) fn of(version: i64, traces: &Traces, recorded: &Recorded, roles: &Roles) -> Self {
        let touched = match traces.by_version.get(&version) {
            Some(Ok(touched)) => touched,
            Some(Err(because)) => return Self::None(because.clone()),
            None => return Self::None("it was not run".into()),
        };
        let owned = |identities: &BTreeSet<String>| -> BTreeMap<String, String> {
            let owner = |it: &String| Some((recorded.owners.get(it)?.clone(), it.clone()));
            identities.iter().filter_map(owner).collect()
        };
        let created = owned(&touched.created);
        let owners = if created.is_empty() { owned(&touched.altered) } else { created };
        let names: Vec<&str> = owners.keys().map(String::as_str).collect();
        match names.as_slice() {
            [] => Self::None("nothing is left of it that has an owner".into()),
            [one] if *one == roles.deployer => Self::Role(AppliedBy::Deployer),
            [one] if *one == roles.owner => Self::Role(AppliedBy::Owner),
            _ => {
                let list: Vec<_> =
                    owners.iter().map(|(owner, object)| format!("`{object}` belongs to `{owner}`")).collect();
                Self::None(format!(
                    "{}; owner is `{}`, deployer `{}`",
                    list.join(", "),
                    roles.owner,
                    roles.deployer
                ))
            }
        }
    }
}
