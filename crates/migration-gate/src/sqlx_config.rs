//! `sqlx.toml`: what a project has told sqlx of its migrations, as far as the gate has to do the same.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use crate::{document::Document, error::Error, files::Ignored};

/// sqlx's name for its ledger where the project gives no other.
const LEDGER_TABLE: &str = "_sqlx_migrations";

/// sqlx's own settings, or its defaults.
#[derive(Debug, Clone)]
pub(crate) struct SqlxConfig {
    /// The ledger in the database, with its schema where it names one.
    pub(crate) ledger_table: String,
    /// Schemas that sqlx makes before it makes its ledger.
    pub(crate) create_schemas: Vec<String>,
    /// Characters that checksums pass over.
    pub(crate) ignored_chars: Ignored,
    pub(crate) migration_type: Option<String>,
    pub(crate) versioning: Option<String>,
}

#[derive(Deserialize, Default)]
struct Raw {
    #[serde(default)]
    migrate: RawMigrate,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct RawMigrate {
    create_schemas: BTreeSet<String>,
    table_name: Option<String>,
    migrations_dir: Option<String>,
    ignored_chars: BTreeSet<char>,
    defaults: RawDefaults,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct RawDefaults {
    migration_type: Option<String>,
    migration_versioning: Option<String>,
}

impl SqlxConfig {
    /// Reads the `sqlx.toml` of the crate that `migrations` belong to: in the nearest folder above them that has one.
    ///
    /// # Errors
    /// When it cannot be read, or says of migrations what sqlx does not know.
    pub(crate) fn of(migrations: &Path) -> Result<Self, Error> {
        let raw = match file_above(migrations) {
            Some(path) => Document::read("sqlx's configuration", &path)?.parse::<Raw>()?.migrate,
            None => RawMigrate::default(),
        };
        Ok(Self {
            ledger_table: raw.table_name.unwrap_or_else(|| LEDGER_TABLE.into()),
            create_schemas: raw.create_schemas.into_iter().collect(),
            ignored_chars: Arc::new(raw.ignored_chars),
            migration_type: raw.defaults.migration_type,
            versioning: raw.defaults.migration_versioning,
        })
    }
}

/// The nearest `sqlx.toml` from the migrations' parent up to the crate or repository that they belong to.
fn file_above(migrations: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(migrations).ok()?;
    for folder in absolute.ancestors().skip(1) {
        let file = folder.join("sqlx.toml");
        if file.is_file() {
            return Some(file);
        }
        if folder.join("Cargo.toml").is_file() || folder.join(".git").exists() {
            return None;
        }
    }
    None
}
