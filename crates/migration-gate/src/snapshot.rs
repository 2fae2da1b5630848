//! The ledger as a live database has it, written into a sealed file: the only way in which an entry gets there.
//!
//! The live database is only read, in one read-only transaction. Who ran an entry is told by who owns there what the
//! migration makes; what it makes is learned by running it on a scratch server ([`evidence`]).

mod evidence;
mod live;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use scratch_postgres::Options;

pub use self::live::Live;
use self::{
    evidence::{Evidence, Traces},
    live::Recorded,
};
use crate::{
    Report, checks,
    error::Error,
    ledger::{AppliedBy, Entry, Ledger},
    project::{Project, Settings},
    seal::{self, Source},
};

/// What the user wants of a snapshot.
#[derive(Debug)]
pub struct Wish {
    /// The file to write.
    pub ledger: PathBuf,
    /// The ledger's table in the database, where it has to be named.
    pub table: Option<String>,
    /// Who ran a version, where the user knows better.
    pub roles: Vec<(i64, AppliedBy)>,
    /// Who ran what nothing in the database tells.
    pub undecided: Option<AppliedBy>,
}

/// Reads the ledger of `live` and writes it to the wish's file, then compares files and ledger as a check does.
///
/// A database that contradicts the tree is written down all the same, for that is what has to be known; the report is
/// red then.
///
/// # Errors
/// When the database cannot be read or it cannot be told who ran an entry; the file is left as it was.
pub async fn snapshot(
    settings: &Settings,
    live: &Live,
    wish: &Wish,
    options: &Options,
) -> Result<Report, Error> {
    let old = if wish.ledger.is_file() { Ledger::read(&wish.ledger)? } else { Ledger::default() };
    // What the old file says is nothing to judge the new one by.
    let project =
        Project::read(&Settings { ledger: None, base: None, release_tags: None, ..settings.clone() })?;
    let table = wish.table.as_deref().unwrap_or(&project.sqlx.ledger_table);
    let recorded = Recorded::read(live, table).await?;
    let traces = Traces::learn(&project, &recorded.rows, options).await?;
    let entries = entries(&project, &recorded, &traces, &old, wish)?;
    let change = Change { old: &old, entries: &entries, source: &recorded.source };
    if !change.is_none() {
        write(&wish.ledger, &seal::sealed(&entries, &recorded.source))?;
    }
    let written = Project::read(&Settings { ledger: Some(wish.ledger.clone()), ..settings.clone() })?;
    let mut findings = checks::of_files(&written);
    written.waivers.apply(&mut findings);
    let mut notes = traces.notes;
    notes.push(change.told(&wish.ledger));
    Ok(Report { findings, notes, applied: entries.len(), ..Report::default() })
}

/// Every row of the live ledger with the role that ran it.
fn entries(
    project: &Project,
    recorded: &Recorded,
    traces: &Traces,
    old: &Ledger,
    wish: &Wish,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::with_capacity(recorded.rows.len());
    let mut undecided = Vec::new();
    for row in &recorded.rows {
        let told = wish.roles.iter().find(|(version, _)| *version == row.version).map(|(_, role)| *role);
        let same = |it: &&Entry| it.checksum == row.checksum && old.is_proven();
        let known = old.entry(row.version).filter(same).map(|it| it.role);
        let evidence = Evidence::of(row.version, traces, recorded, &project.roles);
        let role = match (told, evidence) {
            (Some(role), _) | (None, Evidence::Role(role)) => role,
            (None, Evidence::None(because)) => match known.or(wish.undecided) {
                Some(role) => role,
                None => {
                    undecided.push(format!("  {} `{}`: {because}", row.version, row.name));
                    continue;
                }
            },
        };
        let (version, name, checksum) = (row.version, row.name.clone(), row.checksum.clone());
        entries.push(Entry { version, name, checksum, role, line: 0 });
    }
    if undecided.is_empty() { Ok(entries) } else { Err(unknown_roles(&undecided)) }
}

fn unknown_roles(undecided: &[String]) -> Error {
    Error::Configuration(format!(
        "the database does not tell who ran {} of its migrations:\n{}\nsay it with `--role VERSION=owner` or \
         `--role VERSION=deployer`, or with `--undecided deployer` for all of them; nothing was written",
        undecided.len(),
        undecided.join("\n")
    ))
}

/// What a snapshot does to the file.
struct Change<'s> {
    old: &'s Ledger,
    entries: &'s [Entry],
    source: &'s Source,
}

impl Change<'_> {
    /// The file says all of it already, with a seal of the same database.
    fn is_none(&self) -> bool {
        let source = self.old.seal.as_ref().map(|it| (&it.source.cluster, &it.source.database));
        self.old.is_proven()
            && source == Some((&self.source.cluster, &self.source.database))
            && self.old.entries.iter().map(Entry::content).eq(self.entries.iter().map(Entry::content))
    }

    fn told(&self, path: &Path) -> String {
        let (path, database) = (path.display(), &self.source.database);
        if self.is_none() {
            return format!("`{path}` already says what `{database}` has applied");
        }
        let new = |it: &&Entry| self.old.entry(it.version).is_none_or(|old| old.content() != it.content());
        let new: Vec<String> = self
            .entries
            .iter()
            .filter(new)
            .map(|it| format!("{} `{}` as {}", it.version, it.name, it.role.name()))
            .collect();
        let gone =
            self.old.entries.iter().filter(|it| self.entries.iter().all(|new| new.version != it.version));
        let gone: Vec<String> = gone.map(|it| format!("{} `{}`", it.version, it.name)).collect();
        let mut told = format!("wrote what `{database}` has applied to `{path}`");
        for (what, list) in [("new or changed", new), ("gone", gone)] {
            if !list.is_empty() {
                told += &format!("; {what}: {}", list.join(", "));
            }
        }
        told
    }
}

/// Whole or not at all: beside the file first, then in its place.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = || {
        let mut file = fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|error| {
        drop(fs::remove_file(&beside));
        Error::Configuration(format!(
            "cannot write the ledger `{}`: {error}; see that its folder can be written",
            path.display()
        ))
    })
}
