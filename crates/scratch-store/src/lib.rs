//! A scratch database set up the way production's is, for tests: bootstrap, then each migration in a login of its role.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use scratch_postgres::{Server, TestDatabase};
use serde::Deserialize;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const OWNER: &str = "slipway_owner";
const DEPLOYER: &str = "slipway_deployer";
const APP: &str = "slipway_app";

/// A database of a test's own, gone when it is dropped.
#[derive(Debug)]
pub struct ScratchStore {
    database: TestDatabase,
}

#[derive(Deserialize)]
struct Ledger {
    #[serde(default)]
    migration: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    version: i64,
    role: String,
}

impl ScratchStore {
    /// A database with the whole schema: what production has, and what is pending.
    ///
    /// # Panics
    /// When it cannot be made, for a test cannot go on without.
    pub async fn migrated() -> Self {
        let scratch = Self::empty().await;
        if let Err(error) = scratch.migrate().await {
            panic!("the scratch database cannot be migrated: {error:#}");
        }
        scratch
    }

    /// The same on a server of the test's own, which the test may end and start again.
    ///
    /// # Panics
    /// When it cannot be made, for a test cannot go on without.
    pub async fn migrated_on(server: &Server) -> Self {
        let made = async {
            let scratch = Self { database: server.create_database("test").await? };
            scratch.bootstrap().await?;
            scratch.migrate().await?;
            anyhow::Ok(scratch)
        };
        match made.await {
            Ok(scratch) => scratch,
            Err(error) => panic!("the scratch database cannot be set up: {error:#}"),
        }
    }

    /// A database as the administrator leaves it: roles, and nothing else.
    ///
    /// # Panics
    /// When it cannot be made, for a test cannot go on without.
    pub async fn empty() -> Self {
        let database = scratch_postgres::test_database().await;
        let scratch = Self { database };
        if let Err(error) = scratch.bootstrap().await {
            panic!("the scratch database cannot be set up: {error:#}");
        }
        scratch
    }

    /// For the superuser.
    pub fn admin_url(&self) -> String {
        self.database.admin_url().to_owned()
    }

    /// For the role that made what production began with.
    pub fn owner_url(&self) -> String {
        self.database.url(OWNER)
    }

    /// For the role that applies migrations.
    pub fn deployer_url(&self) -> String {
        self.database.url(DEPLOYER)
    }

    /// For the role that services run as.
    pub fn app_url(&self) -> String {
        self.database.url(APP)
    }

    async fn bootstrap(&self) -> anyhow::Result<()> {
        let file = root().join(".config/postgres/bootstrap.sql");
        let sql = read(&file)?;
        let mut connection = PgConnection::connect(&self.admin_url()).await?;
        connection.execute(AssertSqlSafe(sql)).await.with_context(|| file.display().to_string())?;
        connection.close().await?;
        Ok(())
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        let folder = root().join("migrations");
        let ledger: Ledger = toml::from_str(&read(&folder.join("applied.toml"))?)?;
        let mut migrator = Migrator::new(folder.as_path()).await?;
        let all = std::mem::take(&mut migrator.migrations);
        let versions = all.iter().filter(|m| m.migration_type.is_up_migration()).map(|m| m.version);
        let mut runs: Vec<(&str, i64)> = Vec::new();
        for version in versions {
            let entry = ledger.migration.iter().find(|entry| entry.version == version);
            let role = if entry.is_some_and(|entry| entry.role == "owner") { OWNER } else { DEPLOYER };
            match runs.last_mut() {
                Some((last, up_to)) if *last == role => *up_to = version,
                _ => runs.push((role, version)),
            }
        }
        for (role, up_to) in runs {
            let prefix = all.iter().filter(|m| m.version <= up_to).cloned().collect();
            migrator.migrations = Cow::Owned(prefix);
            let mut connection = PgConnection::connect(&self.database.url(role)).await?;
            migrator.run(&mut connection).await.with_context(|| format!("as `{role}`"))?;
            connection.close().await?;
        }
        Ok(())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
