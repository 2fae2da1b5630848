//! The database that the gate executes in: how to reach it as each role, and its set-up before the first migration.

use std::{str::FromStr, time::Duration};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions};

use crate::{
    error::Error,
    hand_over::hand_over,
    project::{Policy, Project},
    refusal::Refusal,
    roles,
    session::{Session, lost_session},
    statements::line_at,
    wire::Wire,
};

/// What `CREATE DATABASE` leaves behind of the database $1 for its copy $2.
const COPY_OWNER_AND_RIGHTS: &str = "
    UPDATE pg_database AS copy SET datdba = source.datdba, datacl = source.datacl
    FROM pg_database AS source WHERE source.datname = $1 AND copy.datname = $2";
const COPY_SETTINGS: &str = "
    INSERT INTO pg_db_role_setting
    SELECT copy.oid, setting.setrole, setting.setconfig
    FROM pg_db_role_setting AS setting
    JOIN pg_database AS source ON source.oid = setting.setdatabase AND source.datname = $1
    JOIN pg_database AS copy ON copy.datname = $2";

/// One database on one server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// As superuser, in the database that the server began with.
    server: PgConnectOptions,
    /// That superuser's, where the address has one.
    password: Option<Vec<u8>>,
    database: String,
    /// What sqlx calls its ledger, and the schemas that it makes first.
    pub(crate) ledger: String,
    pub(crate) schemas: Vec<String>,
    /// What the project's migrator asks for when it logs in, and as whom.
    migrator: Option<Migrator>,
}

/// How the project's migrator logs in.
#[derive(Debug, Clone)]
struct Migrator {
    role: String,
    settings: Vec<(String, String)>,
}

/// What has been done in a database before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    None,
    /// The prelude, which may only be able to run once, and migrations.
    Prelude,
}

/// The beginning of a scratch database's name; who finds it unowned takes the database away.
const SCRATCH: &str = "scratch_";

impl Target {
    /// The database called `database` on the server where `admin_url` is a superuser's.
    ///
    /// # Errors
    /// When `admin_url` is none.
    pub(crate) fn new(admin_url: &str, database: &str) -> Result<Self, Error> {
        // The parser's own error may quote the address, and with it a password.
        let server = PgConnectOptions::from_str(admin_url).map_err(|_| {
            Error::Configuration(
                "the server's address is not of the form `postgres://USER@HOST:PORT/DATABASE`".into(),
            )
        })?;
        let password = tokio_postgres::Config::from_str(admin_url)
            .ok()
            .and_then(|it| it.get_password().map(<[u8]>::to_vec));
        let (database, ledger) = (database.into(), "_sqlx_migrations".into());
        Ok(Self { server, password, database, ledger, schemas: Vec::new(), migrator: None })
    }

    /// The same, where sessions are like those of the project's own migrator.
    pub(crate) fn of(self, project: &Project) -> Self {
        let lock_timeout = project.settings.lock_timeout.clone();
        let mut settings: Vec<_> = lock_timeout.map(|it| ("lock_timeout".into(), it)).into_iter().collect();
        if project.settings.policy == Policy::SetRole {
            settings.push(("role".to_owned(), project.roles.owner.clone()));
        }
        Self {
            ledger: project.sqlx.ledger_table.clone(),
            schemas: project.sqlx.create_schemas.clone(),
            migrator: Some(Migrator { role: project.roles.deployer.clone(), settings }),
            ..self
        }
    }

    /// A second database, in which history can be run again.
    pub(crate) fn history(&self) -> Self {
        self.beside("again")
    }

    /// The name of a further database on the same server, for a check that must not touch this one.
    ///
    /// Whoever takes away what a killed run left on a server knows it by the name, which holds at most 63 bytes: `purpose` has 12.
    pub(crate) fn beside(&self, purpose: &str) -> Self {
        let database = match self.database.strip_prefix(SCRATCH) {
            Some(rest) => format!("{SCRATCH}{purpose}_{rest}"),
            None => format!("{}_{purpose}", self.database),
        };
        Self { database, ..self.clone() }
    }

    /// Removes this scratch database and all that were made beside it, also one that is just being made.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        const MAKING: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE query LIKE 'CREATE DATABASE%' AND strpos(query, $1) > 0 AND state = 'active' AND pid <> pg_backend_pid()";
        const MADE: &str = "SELECT datname::text FROM pg_database \
            WHERE datname = $1 || $2 OR (starts_with(datname, $1) AND right(datname, length($2) + 1) = '_' || $2)";
        let doing = "dropping the gate's databases";
        let Some(rest) = self.database.strip_prefix(SCRATCH) else { return Ok(()) };
        let mut connection = self.server.connect().await.map_err(|error| lost(doing, &error))?;
        for _ in 0..200 {
            let making = sqlx::query_scalar(MAKING).bind(rest).fetch_one(&mut connection).await;
            let making: i64 = making.map_err(|error| lost(doing, &error))?;
            if making == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let made = sqlx::query_scalar(MADE).bind(SCRATCH).bind(rest).fetch_all(&mut connection).await;
        let made: Vec<String> = made.map_err(|error| lost(doing, &error))?;
        for database in made {
            let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(&database));
            run(&mut connection, statement).await.map_err(|error| lost(doing, &error))?;
        }
        drop(connection.close().await);
        Ok(())
    }

    /// Makes a copy of this database, which nobody may be connected to.
    pub(crate) async fn copy(&self, suffix: &str) -> Result<Self, Error> {
        let copy = self.beside(suffix);
        self.copy_to(&copy).await?;
        Ok(copy)
    }

    /// Makes `copy` a copy of this database, which nobody may be connected to.
    pub(crate) async fn copy_to(&self, copy: &Self) -> Result<(), Error> {
        let doing = format!("copying database `{}`", self.database);
        let copied = async {
            let mut connection = self.server.connect().await?;
            self.until_left(&mut connection).await?;
            let (from, to) = (identifier(&self.database), identifier(&copy.database));
            // Copying files is faster than writing all of it to the log, where the server knows the choice.
            let how =
                if connection.server_version_num() >= Some(150_000) { " STRATEGY file_copy" } else { "" };
            run(&mut connection, format!("CREATE DATABASE {to} TEMPLATE {from}{how}")).await?;
            // A template gives neither its owner, nor the rights on it, nor its settings.
            for statement in [COPY_OWNER_AND_RIGHTS, COPY_SETTINGS] {
                let copied = sqlx::query(statement).bind(&self.database).bind(&copy.database);
                copied.execute(&mut connection).await?;
            }
            connection.close().await
        };
        copied.await.map_err(|error: sqlx::Error| lost(&doing, &error))
    }

    /// Waits a moment for sessions that have said goodbye; the server itself looks only ten times a second.
    async fn until_left(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        for _ in 0..100 {
            let left: bool =
                sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)")
                    .bind(&self.database)
                    .fetch_one(&mut *connection)
                    .await?;
            if left {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Makes the database where it does not exist.
    pub(crate) async fn create(&self) -> Result<(), Error> {
        let doing = format!("making database `{}`", self.database);
        let mut connection = self.server.connect().await.map_err(|error| lost(&doing, &error))?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&self.database)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| lost(&doing, &error))?;
        if !exists {
            let statement = format!("CREATE DATABASE {}", identifier(&self.database));
            run(&mut connection, statement).await.map_err(|error| lost(&doing, &error))?;
        }
        drop(connection.close().await);
        Ok(())
    }

    /// Drops the database, whoever is in it.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        let doing = format!("dropping database `{}`", self.database);
        let mut connection = self.server.connect().await.map_err(|error| lost(&doing, &error))?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(&self.database));
        run(&mut connection, statement).await.map_err(|error| lost(&doing, &error))?;
        drop(connection.close().await);
        Ok(())
    }

    /// The name of the ledger of migrations, without its schema.
    pub(crate) fn ledger_name(&self) -> &str {
        self.ledger.rsplit('.').next().unwrap_or(&self.ledger).trim_matches('"')
    }

    /// A superuser's connection to the database.
    pub(crate) async fn admin(&self) -> Result<PgConnection, Error> {
        self.server
            .clone()
            .database(&self.database)
            .connect()
            .await
            .map_err(|error| lost(&format!("connecting to database `{}`", self.database), &error))
    }

    /// Versions and checksums in the database's ledger; none where it has no ledger.
    pub(crate) async fn recorded(&self) -> Result<Vec<(i64, String)>, Error> {
        let doing = "reading the ledger of migrations";
        let mut admin = self.admin().await?;
        // Wherever the project, or the `search_path` of the roles, has put it.
        let table: Option<String> = sqlx::query_scalar(
            "SELECT coalesce(to_regclass($1)::text, (SELECT oid::regclass::text FROM pg_class \
             WHERE relkind = 'r' AND relname = (parse_ident($1))[array_upper(parse_ident($1), 1)] LIMIT 1))",
        )
        .bind(&self.ledger)
        .fetch_one(&mut admin)
        .await
        .map_err(|error| lost(doing, &error))?;
        let Some(table) = table else { return Ok(Vec::new()) };
        let query = format!("SELECT version, encode(checksum, 'hex') FROM {table} ORDER BY version");
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut admin).await;
        let rows = rows.map_err(|error| lost(doing, &error))?;
        drop(admin.close().await);
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Whether the server still answers.
    pub(crate) async fn is_alive(&self) -> bool {
        match self.server.connect().await {
            Ok(connection) => connection.close().await.is_ok(),
            Err(_) => false,
        }
    }

    /// A real login as `role`: what no `RESET ROLE` gets out of.
    pub(crate) async fn login(&self, role: &str) -> Result<Session<'_>, Error> {
        self.login_with(role, &[]).await
    }

    /// A login with settings that stay through `RESET ALL`.
    pub(crate) async fn login_with(
        &self,
        role: &str,
        settings: &[(&str, &str)],
    ) -> Result<Session<'_>, Error> {
        Ok(Session::new(self, role, self.wire(role, settings).await?))
    }

    /// sqlx's own connection as `role`.
    pub(crate) async fn connect_as(&self, role: &str) -> Result<PgConnection, Error> {
        let options = self.server.clone().username(role).database(&self.database);
        options.connect().await.map_err(|error| match error {
            sqlx::Error::Database(refused) => no_login(role, refused.message()),
            error => lost(&format!("logging in as `{role}`"), &error),
        })
    }

    /// The same login as sqlx makes it.
    pub(crate) fn login_of_sqlx(&self, role: &str) -> PgConnectOptions {
        let migrator = self.migrator.iter().filter(|it| it.role == role).flat_map(|it| it.settings.clone());
        self.server.clone().username(role).database(&self.database).options(migrator)
    }

    /// The connection under such a login.
    pub(crate) async fn wire(&self, role: &str, settings: &[(&str, &str)]) -> Result<Wire, Error> {
        let server = self.server.clone().username(role).database(&self.database);
        let migrator = self.migrator.iter().filter(|it| it.role == role).flat_map(|it| &it.settings);
        let mut all: Vec<_> = migrator.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // The later one of two counts.
        all.extend(settings);
        Wire::connect(&server, self.password.as_deref(), &all).await.map_err(|error| {
            match error.as_db_error() {
                Some(refused) => no_login(role, refused.message()),
                None => lost_session(&format!("logging in as `{role}`"), &error),
            }
        })
    }

    /// Runs the prelude, and makes the roles where no prelude does. Returns what people should know.
    pub(crate) async fn set_up(&self, project: &Project) -> Result<Vec<String>, Error> {
        self.set_up_after(project, Past::None).await
    }

    /// The same in a database with a `past`.
    pub(crate) async fn set_up_after(&self, project: &Project, past: Past) -> Result<Vec<String>, Error> {
        let mut admin = self.admin().await?;
        let mut notes = Vec::new();
        if let Some(prelude) = &project.prelude {
            match run(&mut admin, prelude.sql.clone()).await {
                Ok(()) => {}
                Err(error) if past == Past::Prelude && is_there_already(&error) => notes.push(format!(
                    "`{}` was not run again: {error}; a database made anew would have what was changed in it since",
                    prelude.path
                )),
                Err(error) => return Err(self.prelude_refused(&prelude.path, &prelude.sql, error).await),
            }
            drop(admin.close().await);
            admin = self.admin().await?;
        }
        let roles = &project.roles;
        let missing = roles::missing(&mut admin, roles).await?;
        match &project.prelude {
            Some(prelude) if prelude.makes_roles(roles) && missing.is_empty() => {}
            Some(prelude) if prelude.makes_roles(roles) => {
                return Err(Error::Configuration(format!(
                    "`{}` does not make role `{}`; let it, or correct the role's name in the configuration",
                    prelude.path,
                    missing.join("` and `")
                )));
            }
            prelude => {
                run(&mut admin, roles::default(roles, project.settings.policy))
                    .await
                    .map_err(|error| lost("making the roles", &error))?;
                // What production began with is the owner's.
                if prelude.is_some() {
                    let superuser: String = sqlx::query_scalar("SELECT session_user::text")
                        .fetch_one(&mut admin)
                        .await
                        .map_err(|error| lost("asking who the superuser is", &error))?;
                    hand_over(&mut admin, Some(&superuser), &roles.owner).await?;
                }
            }
        }
        notes.extend(roles::superusers(&mut admin, roles).await?);
        notes.extend(project.settings.roles.assumed(roles));
        drop(admin.close().await);
        Ok(notes)
    }

    async fn prelude_refused(&self, path: &str, sql: &str, error: sqlx::Error) -> Error {
        match Refusal::of(error) {
            Ok(refusal) => {
                let line = refusal.position.map_or(String::new(), |it| format!(":{}", line_at(sql, it)));
                Error::Configuration(format!(
                    "`{path}`{line}: {refusal}; the prelude runs as superuser, as one query"
                ))
            }
            Err(error) => lost("running the prelude", &error),
        }
    }
}

/// Whether the server refuses to make what it has.
fn is_there_already(error: &sqlx::Error) -> bool {
    const DUPLICATES: [&str; 7] = ["42P04", "42P06", "42P07", "42710", "42723", "42701", "23505"];
    let code = error.as_database_error().and_then(|it| it.code().map(Into::into));
    code.is_some_and(|it: String| DUPLICATES.contains(&it.as_str()))
}

fn no_login(role: &str, said: &str) -> Error {
    Error::Configuration(format!(
        "role `{role}` cannot log in to the scratch database: {said}; let the prelude make it with `LOGIN` and `CONNECT`, on \
         a server that trusts local connections"
    ))
}

/// What the server or the way to it has done to us; the text never holds an address.
pub(crate) fn lost(doing: &str, error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(refused) => {
            Error::gave_up(doing, refused.code().as_deref(), refused.message().to_owned())
        }
        other => Error::gave_up(doing, None, other.to_string()),
    }
}

/// Sends `sql` as one simple query.
pub(crate) async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// `name` as SQL spells it.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
