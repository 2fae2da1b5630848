//! The pending migrations once more, in a copy of production's schema with rows in it, where each statement is watched.

use std::fs;

use sqlx::{PgConnection, Row as _};

use crate::{
    Report,
    checks::{locks, rows},
    error::Error,
    files::MigrationFile,
    finding::Finding,
    plan::Step,
    refusal::Refusal,
    samples::{self, Samples},
    seed,
    session::Session,
    statements,
    target::{Target, lost, run},
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
    /// What rows in the tables had against a migration.
    pub(crate) findings: Vec<Finding>,
    /// What could not be tried or watched, and why.
    pub(crate) notes: Vec<String>,
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
    let of_locks = performance.migrations.iter().flat_map(|it| locks::judge(scene.project, it)).collect();
    report.findings.extend(rows::merged(performance.findings, of_locks));
    report.notes.extend(performance.notes);
    Ok(())
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

    async fn apply_all<'p>(&self, scene: &Scene<'p>) -> Result<Performance<'p>, Error> {
        let mut admin = self.copy.admin().await?;
        let mut session = login(&self.copy, scene).await?;
        let opened = session.open_ledger().await?;
        let (None, Some(ledger)) = (opened, trace::ledger(&mut admin, &self.copy.ledger).await?) else {
            return Ok(Performance::default());
        };
        trace::install(&mut admin, &ledger).await?;
        let performance = Performance { notes: strangers(scene)?, ..Performance::default() };
        let mut stage = Stage { scene, copy: &self.copy, admin, session, made_up: Vec::new(), performance };
        stage.put(samples::for_all(&scene.project.settings.migrations)?).await?;
        for step in &scene.plan.pending {
            if !stage.play(step).await? {
                break;
            }
        }
        stage.session.close().await;
        drop(sqlx::Connection::close(stage.admin).await);
        Ok(stage.performance)
    }
}

/// The copy while migrations are applied to it.
struct Stage<'s, 'p> {
    scene: &'s Scene<'p>,
    copy: &'s Target,
    admin: PgConnection,
    session: Session<'s>,
    /// Tables whose rows were made up.
    made_up: Vec<String>,
    performance: Performance<'p>,
}

impl<'p> Stage<'_, 'p> {
    /// Applies one migration to tables with rows in them; whether the next one can be applied after it.
    async fn play(&mut self, step: &Step<'p>) -> Result<bool, Error> {
        self.put(samples::before(&self.scene.project.settings.migrations, step.up)?).await?;
        let seeded = seed::fill(&mut self.admin).await?;
        self.made_up.extend(seeded.tables);
        let accepted = match self.apply(step.up).await? {
            None => true,
            Some(refusal) => self.without_rows(step, refusal).await?,
        };
        if !accepted {
            let path = &step.up.path;
            self.performance
                .notes
                .push(format!("`{path}` and what comes after it could not be watched for locks"));
            return Ok(false);
        }
        let effects = trace::read(&mut self.admin, step.up).await?;
        for (table, said) in &seeded.empty {
            let shown = table.trim_start_matches("public.");
            if effects.iter().flat_map(Effect::existing).any(|it| it.name == shown) {
                let note =
                    format!("`{}` was tried without rows in `{shown}`: {said}; {OWN_ROWS}", step.up.path);
                self.performance.notes.push(note);
            }
        }
        self.performance.migrations.push(Rehearsed { step: *step, effects });
        Ok(true)
    }

    /// Tries again with fewer rows, and tells which ones it was; whether it was accepted in the end.
    async fn without_rows(&mut self, step: &Step<'p>, refusal: Refusal) -> Result<bool, Error> {
        let met = self.meet(step, refusal).await?;
        let made_up = std::mem::take(&mut self.made_up);
        seed::clear(&mut self.admin, &made_up).await?;
        let Some(refusal) = self.apply(step.up).await? else {
            match rows::of_made_up(step.up, &met) {
                rows::Verdict::Finding(finding) => self.performance.findings.push(finding),
                rows::Verdict::Note(note) => self.performance.notes.push(format!("{note}; {OWN_ROWS}")),
            }
            return Ok(true);
        };
        let met = self.meet(step, refusal).await?;
        let all = self.all_tables().await?;
        seed::clear(&mut self.admin, &all).await?;
        let accepted = self.apply(step.up).await?.is_none();
        if accepted {
            self.performance.findings.push(rows::of_the_project(step.up, &met));
        }
        Ok(accepted)
    }

    /// With marks between its statements where that goes, else as it is.
    async fn apply(&mut self, up: &MigrationFile) -> Result<Option<Refusal>, Error> {
        let marked = trace::marked(up);
        let mut refused = None;
        for file in marked.iter().chain([up]) {
            refused = self.session.apply(file).await?;
            if refused.is_none() {
                break;
            }
            run(&mut self.admin, UNFINISHED.into())
                .await
                .map_err(|error| lost("dropping an index", &error))?;
            // What it has counted so far is no part of the next attempt.
            self.session = login(self.copy, self.scene).await?;
        }
        Ok(refused)
    }

    /// Where the refusal was met, and on what.
    async fn meet(&mut self, step: &Step<'_>, refusal: Refusal) -> Result<rows::Met, Error> {
        let line = self.session.line_of(&refusal, step.up).await;
        let existed = match refusal.null_column() {
            Some((table, column)) => self.has_column(step.up, line, table, column).await?,
            None => true,
        };
        Ok(rows::Met { refusal, line, existed })
    }

    /// Whether the column is there when the statement at `line` begins.
    async fn has_column(
        &mut self,
        up: &MigrationFile,
        line: u32,
        table: &str,
        column: &str,
    ) -> Result<bool, Error> {
        let failed = |error| lost("looking for a column", &error);
        let inside = !up.is_outside_transaction();
        run(&mut self.admin, "BEGIN".into()).await.map_err(failed)?;
        for statement in statements::split(up.sql().unwrap_or_default()) {
            if !inside || statement.line >= line || run(&mut self.admin, statement.text.into()).await.is_err()
            {
                break;
            }
        }
        let found = sqlx::query(
            "SELECT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
             WHERE c.relname = $1 AND a.attname = $2 AND NOT a.attisdropped)",
        )
        .bind(table)
        .bind(column)
        .fetch_one(&mut self.admin)
        .await;
        run(&mut self.admin, "ROLLBACK".into()).await.map_err(failed)?;
        // A statement that the administrator cannot run here proves nothing about the column.
        Ok(found.map_or(true, |row| row.get(0)))
    }

    /// Puts the project's own rows in, as an administrator, with every constraint in force.
    async fn put(&mut self, samples: Option<Samples>) -> Result<(), Error> {
        let Some(samples) = samples else { return Ok(()) };
        let made_up = std::mem::take(&mut self.made_up);
        seed::clear(&mut self.admin, &made_up).await?;
        match run(&mut self.admin, samples.sql.clone()).await.map_err(Refusal::of) {
            Ok(()) => Ok(()),
            Err(Ok(refusal)) => {
                run(&mut self.admin, "ROLLBACK".into()).await.map_err(|error| lost("going on", &error))?;
                self.performance.findings.push(rows::of_samples(&samples, &refusal));
                Ok(())
            }
            Err(Err(error)) => Err(lost(&format!("running `{}`", samples.path), &error)),
        }
    }

    async fn all_tables(&mut self) -> Result<Vec<String>, Error> {
        sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname)
             FROM pg_migration_gate.existing AS e
             JOIN pg_class AS c ON c.oid = e.relation AND c.relkind = 'r'
             JOIN pg_namespace AS n ON n.oid = c.relnamespace",
        )
        .fetch_all(&mut self.admin)
        .await
        .map_err(|error| lost("listing tables", &error))
    }
}

/// Takes away what a refused `CREATE INDEX CONCURRENTLY` leaves.
const UNFINISHED: &str = "
    DO $do$
    DECLARE
        index regclass;
    BEGIN
        FOR index IN SELECT indexrelid FROM pg_catalog.pg_index WHERE NOT indisvalid LOOP
            EXECUTE pg_catalog.format('DROP INDEX %s', index);
        END LOOP;
    END
    $do$";

const OWN_ROWS: &str = "`sample-rows.sql` beside the migrations may hold rows of your own";

async fn login<'t>(copy: &'t Target, scene: &Scene<'_>) -> Result<Session<'t>, Error> {
    let mut settings = LARGE_TABLES.to_vec();
    settings.extend(scene.project.settings.time_zone.as_deref().map(|zone| ("TimeZone", zone)));
    copy.login_with(&scene.project.roles.deployer, &settings).await
}

/// Sample rows for a migration that is not there, or that production has already.
fn strangers(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let folder = scene.project.settings.migrations.join(samples::FOLDER);
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut notes = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::unreadable("the sample rows", &folder, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !scene.plan.pending.iter().any(|it| samples::file_name(it.up) == name) {
            let path = entry.path();
            notes.push(format!("`{}` is not used: no pending migration has its name", path.display()));
        }
    }
    notes.sort();
    Ok(notes)
}
