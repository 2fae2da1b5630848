//! What is to be applied, judged from files and ledger alone; asks no database.

use sqlx::migrate::Migration;

use crate::source::{Role, Source};

/// A row of the database's own ledger, `_sqlx_migrations`.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    /// RFC 3339, by the database's clock.
    pub(crate) at: String,
}

/// What is to be applied, in order.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) steps: Vec<Step<'a>>,
}

/// One migration to apply, and as whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) migration: &'a Migration,
    pub(crate) role: Role,
}

/// Files and ledger contradict each other: nothing is applied before someone has looked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "slot {0:04} is taken by two migrations, `{1}` and `{2}`: give the one that is not applied yet the next free number"
    )]
    DuplicateSlot(i64, String, String),
    #[error(
        "slot {version:04} is applied as `{applied}`, here it is `{here}`: renumber the new migration to the next free slot"
    )]
    SlotApplied { version: i64, applied: String, here: String },
    #[error(
        "migration {0} was edited after it was applied: restore the file, and put the change into a new migration"
    )]
    Edited(String),
    #[error("migration {0} is applied but is not among the files: use a build that has it")]
    Missing(String),
}

impl<'a> Plan<'a> {
    /// Compares files and ledger.
    pub(crate) fn new(source: &'a Source, applied: &[Applied]) -> Result<Self, Refusal> {
        let files = &source.migrations;
        if let Some([a, b]) = files.array_windows().find(|[a, b]| a.version == b.version) {
            return Err(Refusal::DuplicateSlot(
                a.version,
                a.description.to_string(),
                b.description.to_string(),
            ));
        }
        for row in applied {
            let Some(file) = files.iter().find(|file| file.version == row.version) else {
                return Err(Refusal::Missing(title(row.version, &row.name)));
            };
            if *file.checksum != *row.checksum {
                return Err(differs(file, row));
            }
        }
        let is_pending = |file: &&Migration| applied.iter().all(|row| row.version != file.version);
        let steps = files
            .iter()
            .filter(is_pending)
            .map(|migration| Step { migration, role: source.role(migration.version) })
            .collect();
        Ok(Self { steps })
    }

    /// Whether any step needs the owner's login.
    pub(crate) fn needs_owner(&self) -> bool {
        self.steps.iter().any(|step| step.role == Role::Owner)
    }
}

/// A migration as people read it: 0003 `jobs`.
pub(crate) fn title(version: i64, name: &str) -> String {
    format!("{version:04} `{}`", name.replace(' ', "_"))
}

fn differs(file: &Migration, row: &Applied) -> Refusal {
    if *file.description == *row.name {
        return Refusal::Edited(title(row.version, &row.name));
    }
    Refusal::SlotApplied {
        version: row.version,
        applied: row.name.replace(' ', "_"),
        here: file.description.replace(' ', "_"),
    }
}
