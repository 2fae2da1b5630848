//! A login as one role that runs migrations exactly as sqlx's own migrator does, and hears what the server says.

use tokio_postgres::types::ToSql;

use crate::{
    conduct::{Conduct, Identity, Watch},
    error::Error,
    files::MigrationFile,
    refusal::{Moment, Refusal},
    statements,
    target::Target,
    wire::Wire,
};

/// What a statement about the ledger is sent with.
type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// One connection of one role.
#[derive(Debug)]
pub(crate) struct Session<'t> {
    target: &'t Target,
    pub(crate) role: String,
    wire: Wire,
    /// How the last file behaved; only looked at closely under a watch.
    pub(crate) conduct: Conduct,
    watch: Option<Watch>,
}

/// Why a file did not run to its end.
enum Stop {
    Refused(Refusal),
    /// The connection, or the server, is gone; or it answered what nobody understands.
    Broken(tokio_postgres::Error),
    /// The one who watches has lost the server.
    Lost(Error),
}

impl<'t> Session<'t> {
    pub(crate) fn new(target: &'t Target, role: &str, wire: Wire) -> Self {
        Self { target, role: role.into(), wire, conduct: Conduct::default(), watch: None }
    }

    /// From now on, looks closely at how each file behaves.
    pub(crate) async fn watch(&mut self) -> Result<(), Error> {
        self.watch = Some(Watch::begin(self.target).await?);
        let answer = self.wire.query(Identity::QUERY).await;
        let answer = answer.map_err(|error| lost_session("asking who the session is", &error))?;
        self.conduct.after = Identity::of(answer.row).0;
        Ok(())
    }

    /// Runs `statements` in a transaction that is rolled back, until one is refused. Tells who the session was after
    /// each, and what the server said to it all.
    pub(crate) async fn rehearse(&mut self, statements: &[&str]) -> Result<(Vec<Identity>, Conduct), Error> {
        let mut identities = Vec::new();
        self.wire.heard();
        let rehearsed = async {
            self.wire.query("BEGIN").await?;
            for statement in statements {
                self.wire.query(statement).await?;
                identities.push(Identity::of(self.wire.query(Identity::QUERY).await?.row).0);
            }
            Ok(())
        };
        let outcome: Result<(), tokio_postgres::Error> = rehearsed.await;
        let refused = matches!(&outcome, Err(error) if error.as_db_error().is_some());
        let rolled_back = self.wire.query("ROLLBACK").await.map(drop);
        let outcome = if refused { rolled_back } else { outcome.and(rolled_back) };
        outcome.map_err(|error| lost_session("trying statements out", &error))?;
        let mut conduct = Conduct::default();
        conduct.hear(self.wire.heard());
        Ok((identities, conduct))
    }

    /// What every run of sqlx's migrator does first: make the ledger where it is missing, and read it.
    pub(crate) async fn open_ledger(&mut self) -> Result<Option<Refusal>, Error> {
        let target = self.target;
        let table = &target.ledger;
        let opened = async {
            for schema in &target.schemas {
                self.simple(&format!("CREATE SCHEMA IF NOT EXISTS {schema};")).await?;
            }
            self.simple(&format!(
                r#"
CREATE TABLE IF NOT EXISTS {table} (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);
                "#
            ))
            .await?;
            let dirty = format!("SELECT version FROM {table} WHERE success = false ORDER BY version LIMIT 1");
            self.record(&dirty, &[]).await?;
            let applied = format!("SELECT version, checksum FROM {table} ORDER BY version");
            self.record(&applied, &[]).await
        };
        let outcome = opened.await;
        let refusal = self.judge(outcome, "opening the ledger of migrations").await?;
        Ok(refusal.map(|it| it.during(Moment::OpeningLedger)))
    }

    /// Applies `up`: one simple query, inside the transaction that records it, unless the file says otherwise.
    pub(crate) async fn apply(&mut self, up: &MigrationFile) -> Result<Option<Refusal>, Error> {
        let Some(sql) = up.sql() else { return Err(not_text(up)) };
        let target = self.target;
        let table = &target.ledger;
        let (version, description, checksum) = (up.version, up.description(), up.digest());
        let insert = format!(
            r#"
    INSERT INTO {table} ( version, description, success, checksum, execution_time )
    VALUES ( $1, $2, TRUE, $3, -1 )
                "#
        );
        let update = format!(
            r#"
    UPDATE {table}
    SET execution_time = $1
    WHERE version = $2
                "#
        );
        let start = std::time::Instant::now();
        let applied = async {
            self.frame(up, sql, &insert, &[&version, &description, &checksum]).await?;
            let elapsed = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
            self.record(&update, &[&elapsed, &version]).await
        };
        let outcome = applied.await;
        self.judge(outcome, &format!("applying `{}`", up.path)).await
    }

    /// Runs `down` and takes its number out of the ledger.
    pub(crate) async fn revert(&mut self, down: &MigrationFile) -> Result<Option<Refusal>, Error> {
        let Some(sql) = down.sql() else { return Err(not_text(down)) };
        let target = self.target;
        let table = &target.ledger;
        let delete = format!("DELETE FROM {table} WHERE version = $1");
        let outcome = self.frame(down, sql, &delete, &[&down.version]).await;
        self.judge(outcome, &format!("running `{}`", down.path)).await
    }

    /// Makes the session as good as new: each deployment has its own.
    pub(crate) async fn forget(&mut self) -> Result<(), Error> {
        let forgotten = self.wire.query("DISCARD ALL").await.map(drop);
        forgotten.map_err(|error| lost_session("starting a new session", &error))
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
        if self.simple("BEGIN").await.is_err() {
            return first;
        }
        let mut found = first;
        for statement in &statements {
            if let Err(stop) = self.simple(statement.text).await {
                if matches!(stop, Stop::Refused(met) if met.is_same_as(refusal)) {
                    found = statement.line;
                }
                break;
            }
        }
        drop(self.simple("ROLLBACK").await);
        found
    }

    pub(crate) async fn close(self) {
        self.wire.close().await;
        if let Some(watch) = self.watch {
            watch.close().await;
        }
    }

    /// sqlx's framing: the whole file as one query, and what `ledger` says of it, in one transaction.
    async fn frame(
        &mut self,
        file: &MigrationFile,
        sql: &str,
        ledger: &str,
        parameters: Parameters<'_>,
    ) -> Result<(), Stop> {
        self.wire.heard();
        let before = std::mem::take(&mut self.conduct).after;
        self.conduct = Conduct { before: before.clone(), after: before, ..Conduct::default() };
        let framed = if file.is_outside_transaction() {
            self.bare(sql, ledger, parameters).await
        } else {
            self.transaction(sql, ledger, parameters).await
        };
        let heard = self.wire.heard();
        self.conduct.hear(heard);
        if framed.is_ok() && self.watch.is_some() {
            let answer = self.wire.query(Identity::QUERY).await.map_err(Stop::of)?;
            self.conduct.after = Identity::of(answer.row).0;
        }
        framed
    }

    /// The file alone, and then its line in the ledger.
    async fn bare(&mut self, sql: &str, ledger: &str, parameters: Parameters<'_>) -> Result<(), Stop> {
        self.conduct.kept_transaction = true;
        self.conduct.statements = self.wire.query(sql).await.map_err(Stop::of)?.statements;
        self.record(ledger, parameters).await
    }

    async fn transaction(&mut self, sql: &str, ledger: &str, parameters: Parameters<'_>) -> Result<(), Stop> {
        let target = self.target;
        let framed = async {
            self.simple("BEGIN").await.map_err(Stop::while_recording)?;
            let before = self.look(Watch::transaction).await?;
            self.conduct.statements = self.wire.query(sql).await.map_err(Stop::of)?.statements;
            if self.watch.is_some() {
                self.conduct.kept_transaction = self.look(Watch::transaction).await? == before;
                self.conduct.locked =
                    self.look(async |it, process| it.locked(process, &target.ledger).await).await?;
                let answer = self.wire.query(Identity::QUERY).await.map_err(Stop::of)?;
                self.conduct.lock_timeout = Identity::of(answer.row).1;
            }
            self.record(ledger, parameters).await?;
            self.simple("COMMIT").await.map_err(Stop::while_recording)
        };
        let outcome = framed.await;
        if let Err(Stop::Refused(refusal)) = &outcome {
            self.conduct.kept_transaction |= refusal.moment == Moment::File;
            // The refusal comes before the session is at rest; an empty query is answered after that.
            if self.watch.is_some() && refusal.moment == Moment::File && self.wire.query("").await.is_ok() {
                self.conduct.kept_transaction = self.look(Watch::is_inside).await?;
            }
            // As sqlx does when it drops the transaction.
            drop(self.simple("ROLLBACK").await);
        }
        outcome
    }

    /// What the watch, where there is one, sees of this session.
    async fn look<T: Default>(
        &mut self,
        at: impl AsyncFnOnce(&mut Watch, i32) -> Result<T, Error>,
    ) -> Result<T, Stop> {
        match &mut self.watch {
            Some(watch) => at(watch, self.wire.process).await.map_err(Stop::Lost),
            None => Ok(T::default()),
        }
    }

    async fn simple(&self, sql: &str) -> Result<(), Stop> {
        self.wire.query(sql).await.map(drop).map_err(Stop::of)
    }

    async fn record(&self, sql: &str, parameters: Parameters<'_>) -> Result<(), Stop> {
        self.wire.execute(sql, parameters).await.map_err(|error| Stop::of(error).while_recording())
    }

    /// Tells a refusal of the SQL from trouble with the server.
    async fn judge(&mut self, outcome: Result<(), Stop>, doing: &str) -> Result<Option<Refusal>, Error> {
        let error = match outcome {
            Ok(()) => return Ok(None),
            Err(Stop::Refused(refusal)) if !refusal.cuts_connection() => return Ok(Some(refusal)),
            Err(Stop::Refused(refusal)) => Error::Lost { doing: doing.into(), cause: refusal.message },
            // A server in trouble says so; a connection that merely ended says nothing.
            Err(Stop::Broken(error)) if error.as_db_error().is_some() => {
                return Err(lost_session(doing, &error));
            }
            Err(Stop::Broken(error)) if !self.wire.is_closed() => {
                let refusal = Refusal::unanswerable(&error);
                self.wire = self.target.wire(&self.role, &[]).await?;
                return Ok(Some(refusal));
            }
            Err(Stop::Broken(error)) => lost_session(doing, &error),
            Err(Stop::Lost(error)) => return Err(error),
        };
        if self.target.is_alive().await { Ok(Some(Refusal::connection_cut())) } else { Err(error) }
    }
}

impl Stop {
    fn of(error: tokio_postgres::Error) -> Self {
        match error.as_db_error().and_then(Refusal::said_by) {
            Some(refusal) => Self::Refused(refusal),
            None => Self::Broken(error),
        }
    }

    /// It was not the file.
    fn while_recording(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.during(Moment::Recording)),
            broken => broken,
        }
    }
}

/// What has happened to a session; the text never holds an address.
pub(crate) fn lost_session(doing: &str, error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(said) => Error::gave_up(doing, Some(said.code().code()), said.message().to_owned()),
        None => Error::gave_up(doing, None, error.to_string()),
    }
}

/// The plan leaves such files out.
fn not_text(file: &MigrationFile) -> Error {
    Error::Configuration(format!("`{}` is not UTF-8; save it as UTF-8", file.path))
}
