//! The migrations directory, read the way sqlx reads it, and what sqlx would pass over in silence.

use std::{
    cmp::Ordering,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha384};
use sqlx::migrate::MigrationType;

use crate::{error::Error, samples};

/// sqlx looks for exactly these bytes, and only at the very start of a file.
const NO_TRANSACTION: &str = "-- no-transaction";

/// What a file does, told by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `N_name.sql`: an up that nothing reverts.
    Simple,
    /// `N_name.up.sql`
    Up,
    /// `N_name.down.sql`
    Down,
}

/// One file that sqlx takes for a migration.
#[derive(Debug, Clone)]
pub struct MigrationFile {
    /// The path as the user would type it: the directory as given, and the file's name.
    pub path: String,
    /// The number that sqlx sorts by and records: `1` for `0001_…`.
    pub version: i64,
    /// The number as it is written: `0001`.
    pub slot: String,
    /// What stands between the number and the suffix: `webhook_outbox`.
    pub name: String,
    pub kind: Kind,
    pub bytes: Vec<u8>,
    /// Characters that the checksum passes over.
    pub ignored: Ignored,
}

/// Characters that sqlx leaves out of checksums: `ignored-chars` of `sqlx.toml`.
pub type Ignored = Arc<BTreeSet<char>>;

/// Something in the directory that sqlx does not take for a migration, although it looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    pub path: String,
    pub reason: StrayReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayReason {
    /// `v5_x.sql`: sqlx refuses the whole directory.
    NotANumber,
    /// `2-x.sql`, `3_x.SQL`: sqlx passes over it.
    Misnamed,
    /// A numbered SQL file in a folder, or a folder in the place of a file: sqlx does not look there.
    InFolder,
}

impl Stray {
    /// Whether it, or the folder that it is in, begins with a number, as migrations do.
    pub fn is_numbered(&self) -> bool {
        let path = Path::new(&self.path);
        let folder = path.parent().filter(|_| self.reason == StrayReason::InFolder);
        is_numbered(&file_name(path)) || folder.is_some_and(|it| is_numbered(&file_name(it)))
    }
}

/// Everything in the directory.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By version, ups before downs, then by name.
    pub files: Vec<MigrationFile>,
    pub strays: Vec<Stray>,
    ignored: Ignored,
}

impl Directory {
    /// Reads every file of `directory`; paths in findings begin with it as it is given.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be read.
    pub fn read(directory: &Path, ignored: Ignored) -> Result<Self, Error> {
        let mut found = Self { ignored, ..Self::default() };
        for path in entries(directory)? {
            if samples::is_sample(&file_name(&path)) {
                continue;
            }
            if path.is_dir() {
                found.strays.extend(strays_in(&path)?);
            } else {
                found.add(&path)?;
            }
        }
        found.files.sort_by(MigrationFile::order);
        Ok(found)
    }

    /// The checksum that sqlx would record for `bytes` here.
    pub(crate) fn checksum(&self, bytes: &[u8]) -> String {
        checksum(bytes, &self.ignored)
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let shown = path.display().to_string();
        let file_name = file_name(path);
        let Some((slot, name, kind)) = parts(&file_name) else {
            if looks_like_sql(&file_name) {
                self.strays.push(Stray { path: shown, reason: StrayReason::Misnamed });
            }
            return Ok(());
        };
        let Ok(version) = slot.parse() else {
            self.strays.push(Stray { path: shown, reason: StrayReason::NotANumber });
            return Ok(());
        };
        let bytes = fs::read(path).map_err(|error| Error::unreadable("the migration", path, &error))?;
        self.files.push(MigrationFile {
            path: shown,
            version,
            slot: slot.into(),
            name: name.into(),
            kind,
            bytes,
            ignored: Arc::clone(&self.ignored),
        });
        Ok(())
    }
}

impl Kind {
    /// The suffixes are sqlx's own.
    fn of(name: &str) -> (Self, &'static str) {
        match MigrationType::from_filename(name) {
            it @ MigrationType::Simple => (Self::Simple, it.suffix()),
            it @ MigrationType::ReversibleUp => (Self::Up, it.suffix()),
            it @ MigrationType::ReversibleDown => (Self::Down, it.suffix()),
        }
    }

    /// Whether a file of this kind is applied, not reverted with.
    pub fn is_up(self) -> bool {
        self != Self::Down
    }

    pub(crate) fn suffix(self) -> &'static str {
        self.as_sqlx().suffix()
    }

    pub(crate) fn as_sqlx(self) -> MigrationType {
        match self {
            Self::Simple => MigrationType::Simple,
            Self::Up => MigrationType::ReversibleUp,
            Self::Down => MigrationType::ReversibleDown,
        }
    }
}

impl MigrationFile {
    /// The text, where it is text.
    pub fn sql(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// sha384 of the bytes in lower-case hex, as the ledger has it.
    pub fn checksum(&self) -> String {
        hex(&self.digest())
    }

    /// Whether sqlx would take `bytes` for this file.
    pub(crate) fn has_content(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes || !self.ignored.is_empty() && self.checksum() == checksum(bytes, &self.ignored)
    }

    /// The path that the same file would have under another number, written as `slot`.
    pub fn path_in_slot(&self, slot: &str) -> String {
        let file_name = format!("{slot}_{}{}", self.name, self.kind.suffix());
        Path::new(&self.path).with_file_name(file_name).display().to_string()
    }

    /// The name of the file alone.
    pub fn file_name(&self) -> String {
        file_name(Path::new(&self.path))
    }

    /// Whether sqlx runs it without a transaction around it.
    pub fn is_outside_transaction(&self) -> bool {
        self.bytes.starts_with(NO_TRANSACTION.as_bytes())
    }

    /// The first line, from 1, that speaks of `name` outside a comment.
    pub(crate) fn line_with(&self, name: &str) -> Option<u32> {
        let name = name.to_lowercase();
        let is_letter = |it: char| it.is_alphanumeric() || it == '_';
        let speaks = |line: &str| {
            let line = line.to_lowercase();
            !line.trim_start().starts_with("--")
                && line.match_indices(&name).any(|(at, _)| {
                    !line[..at].ends_with(is_letter) && !line[at + name.len()..].starts_with(is_letter)
                })
        };
        let line = self.sql()?.lines().position(speaks)?;
        u32::try_from(line + 1).ok()
    }

    /// What sqlx calls it in the ledger.
    pub(crate) fn description(&self) -> String {
        self.name.replace('_', " ")
    }

    /// sha384 of the bytes, without what sqlx is told to ignore, as the ledger has it.
    pub(crate) fn digest(&self) -> Vec<u8> {
        digest(&self.bytes, &self.ignored)
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.version, self.kind, &self.path).cmp(&(other.version, other.kind, &other.path))
    }
}

/// What stands before the first `_` of a file's name, its name proper, and its kind; nothing where sqlx passes over it.
pub(crate) fn parts(file_name: &str) -> Option<(&str, &str, Kind)> {
    let (slot, rest) = file_name.split_once('_').filter(|(_, rest)| rest.ends_with(".sql"))?;
    let (kind, suffix) = Kind::of(rest);
    Some((slot, rest.trim_end_matches(suffix), kind))
}

fn checksum(bytes: &[u8], ignored: &BTreeSet<char>) -> String {
    hex(&digest(bytes, ignored))
}

fn digest(bytes: &[u8], ignored: &BTreeSet<char>) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !ignored.is_empty() => {
            let kept: String = text.chars().filter(|it| !ignored.contains(it)).collect();
            Sha384::digest(kept.as_bytes()).to_vec()
        }
        _ => Sha384::digest(bytes).to_vec(),
    }
}

/// Lower-case hex of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By name, so that two runs say the same in the same order.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = |error| Error::unreadable("the migrations directory", directory, &error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        paths.push(entry.map_err(read)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn strays_in(folder: &Path) -> Result<Vec<Stray>, Error> {
    let folder_is_numbered = is_numbered(&file_name(folder));
    Ok(entries(folder)?
        .into_iter()
        .filter(|path| {
            let name = file_name(path);
            looks_like_sql(&name) && (folder_is_numbered || is_numbered(&name))
        })
        .map(|path| Stray { path: path.display().to_string(), reason: StrayReason::InFolder })
        .collect())
}

fn looks_like_sql(file_name: &str) -> bool {
    file_name.to_ascii_lowercase().ends_with(".sql")
}

fn is_numbered(file_name: &str) -> bool {
    file_name.starts_with(|first: char| first.is_ascii_digit())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
