//! The project's own sample rows, beside its migrations: `sample-rows.sql`, and `sample-rows/NNNN_name.sql` for one of them.

use std::{fs, io, path::Path};

use crate::{error::Error, files::MigrationFile};

/// Rows of the schema that production has.
const FILE: &str = "sample-rows.sql";

/// Rows that are put in right before one migration, in a file that has its name.
pub(crate) const FOLDER: &str = "sample-rows";

/// SQL that puts rows in.
#[derive(Debug)]
pub(crate) struct Samples {
    /// As the user would type it.
    pub(crate) path: String,
    pub(crate) sql: String,
}

/// Whether `file_name` is no migration that somebody misnamed.
pub(crate) fn is_sample(file_name: &str) -> bool {
    file_name == FILE || file_name == FOLDER
}

/// Rows for before the first pending migration.
pub(crate) fn for_all(migrations: &Path) -> Result<Option<Samples>, Error> {
    read(&migrations.join(FILE))
}

/// Rows for right before `up`.
pub(crate) fn before(migrations: &Path, up: &MigrationFile) -> Result<Option<Samples>, Error> {
    read(&migrations.join(FOLDER).join(file_name(up)))
}

/// What the file with rows for `up` is called.
pub(crate) fn file_name(up: &MigrationFile) -> String {
    format!("{}_{}.sql", up.slot, up.name)
}

fn read(path: &Path) -> Result<Option<Samples>, Error> {
    match fs::read_to_string(path) {
        Ok(sql) => Ok(Some(Samples { path: path.display().to_string(), sql })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unreadable("the sample rows", path, &error)),
    }
}
