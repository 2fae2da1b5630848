//! Where migrations and production's ledger come from: built in, or a folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use sqlx::migrate::{Migration, Migrator};

use crate::failure::Failure;

/// Who runs a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Made what production began with.
    Owner,
    /// Applies migrations since.
    Deployer,
}

/// The migrations, and what production's ledger says of who ran them.
#[derive(Debug)]
pub(crate) struct Source {
    /// Up migrations by version; a version may come twice.
    pub(crate) migrations: Vec<Migration>,
    roles: BTreeMap<i64, Role>,
}

#[derive(Deserialize)]
struct Ledger {
    #[serde(default)]
    migration: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    version: i64,
    role: Role,
}

impl Source {
    /// What was built in.
    pub(crate) fn built_in() -> Result<Self, Failure> {
        Self::new(&store::MIGRATOR, store::PRODUCTION_LEDGER)
    }

    /// What a folder holds; without an `applied.toml` everything in it is the deployer's.
    pub(crate) async fn folder(folder: &Path) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::Usage(format!("`--migrations {}` cannot be used: {error}", folder.display()))
        };
        let migrator = Migrator::new(folder).await.map_err(|error| unusable(&error))?;
        let file = folder.join("applied.toml");
        let ledger = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unusable(&format!("`{}`: {error}", file.display()))),
        };
        Self::new(&migrator, &ledger)
    }

    /// The role that runs a version: what the ledger does not list is the deployer's.
    pub(crate) fn role(&self, version: i64) -> Role {
        self.roles.get(&version).copied().unwrap_or(Role::Deployer)
    }

    fn new(migrator: &Migrator, ledger: &str) -> Result<Self, Failure> {
        let ledger: Ledger = toml::from_str(ledger).map_err(|error| {
            Failure::Usage(format!("the ledger `applied.toml` is malformed: {}", error.message()))
        })?;
        let up = migrator.iter().filter(|migration| migration.migration_type.is_up_migration());
        let mut migrations: Vec<Migration> = up.cloned().collect();
        migrations.sort_by_key(|migration| migration.version);
        let roles = ledger.migration.into_iter().map(|entry| (entry.version, entry.role)).collect();
        Ok(Self { migrations, roles })
    }
}

impl Role {
    /// Its name in what people read.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Deployer => "deployer",
        }
    }
}
