//! `no-lock-timeout`: strong locks on production's tables, and nothing that ends waiting for them.

use crate::{codes, conduct::Conduct, files::MigrationFile, finding::Finding};

/// A file that waits without end for tables that others use.
#[derive(Debug)]
pub(crate) struct Unguarded {
    path: String,
    tables: Vec<String>,
}

impl Unguarded {
    pub(crate) fn of(file: &MigrationFile, conduct: &Conduct) -> Option<Self> {
        (conduct.lock_timeout == "0" && !conduct.locked.is_empty())
            .then(|| Self { path: file.path.clone(), tables: conduct.locked.clone() })
    }
}

/// One finding for all files: what helps is done once.
pub(crate) fn report(unguarded: &[Unguarded], role: &str) -> Option<Finding> {
    let (first, others) = unguarded.split_first()?;
    let mut what = format!("locks `{}` without a `lock_timeout`", first.tables.join("`, `"));
    if !others.is_empty() {
        what += &format!("; so do {} more pending files", others.len());
    }
    let finding = Finding::new(&codes::NO_LOCK_TIMEOUT, what)
        .at(&first.path, 1)
        .means("behind one long transaction the migration waits for ever, and every query of that table waits behind it")
        .fix(format!(
            "let an administrator run `ALTER ROLE {role} SET lock_timeout = '5s';` (and the prelude here), or begin the file with `SET LOCAL lock_timeout = '5s';`; a migrator that sets it itself is declared by `--lock-timeout`"
        ));
    Some(finding)
}
