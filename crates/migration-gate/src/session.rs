//! A login as one role that runs migrations exactly as sqlx's own migrator does.

use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    migrate::{Migrate, MigrateError},
};

use crate::{
    error::Error,
    files::MigrationFile,
    refusal::{Moment, Refusal},
    statements,
    target::{Target, lost, run},
};

/// sqlx's name for its ledger where the project gives no other.
const LEDGER_TABLE: &str = "_sqlx_migrations";

/// One connection of one role.
#[derive(Debug)]
pub(crate) struct Session<'t> {
    target: &'t Target,
    pub(crate) role: String,
    connection: PgConnection,
}

impl<'t> Session<'t> {
    pub(crate) fn new(target: &'t Target, role: &str, connection: PgConnection) -> Self {
        Self { target, role: role.into(), connection }
    }

    /// What every run of sqlx's migrator does first: make the ledger where it is missing, and read it.
    pub(crate) async fn open_ledger(&mut self) -> Result<Option<Refusal>, Error> {
        let opened = async {
            self.connection.ensure_migrations_table(LEDGER_TABLE).await?;
            self.connection.list_applied_migrations(LEDGER_TABLE).await.map(drop)
        };
        let outcome = opened.await;
        let refusal = self.judge(outcome, "opening the ledger of migrations").await?;
        Ok(refusal.map(|it| it.during(Moment::OpeningLedger)))
    }

    /// Applies `up`: one simple query, inside the transaction that records it, unless the file says otherwise.
    pub(crate) async fn apply(&mut self, up: &MigrationFile) -> Result<Option<Refusal>, Error> {
        let Some(migration) = up.as_sqlx() else { return Err(not_text(up)) };
        let outcome = self.connection.apply(LEDGER_TABLE, &migration).await;
        self.judge(outcome, &format!("applying `{}`", up.path)).await
    }

    /// Runs `down` and takes its number out of the ledger.
    pub(crate) async fn revert(&mut self, down: &MigrationFile) -> Result<Option<Refusal>, Error> {
        let Some(migration) = down.as_sqlx() else { return Err(not_text(down)) };
        let outcome = self.connection.revert(LEDGER_TABLE, &migration).await;
        self.judge(outcome, &format!("running `{}`", down.path)).await
    }

    /// Makes the session as good as new: each deployment has its own.
    pub(crate) async fn forget(&mut self) -> Result<(), Error> {
        let doing = "starting a new session";
        self.connection.clear_cached_statements().await.map_err(|error| lost(doing, &error))?;
        run(&mut self.connection, "DISCARD ALL".into()).await.map_err(|error| lost(doing, &error))
    }

    /// The line of `file` at fault, from 1.
    ///
    /// Where the server gives no position, the statements are run one by one and rolled back, until one is refused
    /// the same way.
    pub(crate) async fn line_of(&mut self, refusal: &Refusal, file: &MigrationFile) -> u32 {
        let Some(sql) = file.sql().filter(|_| refusal.moment == Moment::File) else { return 1 };
        if let Some(position) = refusal.position {
            return statements::line_at(sql, position);
        }
        let statements = statements::split(sql);
        let first = statements.first().map_or(1, |it| it.line);
        if file.is_outside_transaction() || refusal.cuts_connection() {
            return first;
        }
        let Ok(mut transaction) = self.connection.begin().await else { return first };
        let mut found = first;
        for statement in &statements {
            let outcome =
                sqlx::raw_sql(AssertSqlSafe(statement.text.to_owned())).execute(&mut *transaction).await;
            if let Err(error) = outcome {
                if Refusal::of(error).is_ok_and(|it| it.is_same_as(refusal)) {
                    found = statement.line;
                }
                break;
            }
        }
        drop(transaction.rollback().await);
        found
    }

    pub(crate) async fn close(self) {
        drop(self.connection.close().await);
    }

    /// Tells a refusal of the SQL from trouble with the server.
    async fn judge<T>(
        &self,
        outcome: Result<T, MigrateError>,
        doing: &str,
    ) -> Result<Option<Refusal>, Error> {
        let (error, moment) = match outcome {
            Ok(_) => return Ok(None),
            Err(MigrateError::ExecuteMigration(error, _)) => (error, Moment::File),
            Err(MigrateError::Execute(error)) => (error, Moment::Recording),
            Err(other) => return Err(Error::Lost { doing: doing.into(), cause: other.to_string() }),
        };
        match Refusal::of(error) {
            Ok(refusal) if !refusal.cuts_connection() => Ok(Some(refusal.during(moment))),
            Ok(_) if self.target.is_alive().await => Ok(Some(Refusal::connection_cut())),
            Ok(refusal) => Err(Error::Lost { doing: doing.into(), cause: refusal.message }),
            Err(sqlx::Error::Database(trouble)) => Err(lost(doing, &sqlx::Error::Database(trouble))),
            Err(_) if self.target.is_alive().await => Ok(Some(Refusal::connection_cut())),
            Err(error) => Err(lost(doing, &error)),
        }
    }
}

/// The plan leaves such files out.
fn not_text(file: &MigrationFile) -> Error {
    Error::Configuration(format!("`{}` is not UTF-8; save it as UTF-8", file.path))
}
