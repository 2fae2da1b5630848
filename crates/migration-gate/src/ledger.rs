//! Production's ledger as it stands in a file: what has been applied there, in which form, as which role.
//!
//! Entries stand in the order in which production applied them, which need not be the order of their numbers.

use std::{collections::BTreeSet, path::Path, str::FromStr};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    document::{Document, DocumentError, did_you_mean},
    error::Error,
    seal::{RawSeal, Seal},
};

/// The file beside the migrations that a snapshot writes where no other is named.
pub const LEDGER_FILE: &str = "applied.toml";
/// Length of a sha384 in hex.
const CHECKSUM_LENGTH: usize = 96;

/// The ledger, or an empty one where production has none yet.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The file, as given.
    pub path: Option<String>,
    /// In the order of application.
    pub entries: Vec<Entry>,
    /// Says where the entries come from; a ledger without one proves nothing.
    pub seal: Option<Seal>,
}

/// One line of `_sqlx_migrations`, and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub version: i64,
    /// The file's part (`webhook_outbox`); sqlx's own description has spaces in the place of `_`.
    pub name: String,
    /// sha384 in lower-case hex.
    pub checksum: String,
    pub role: AppliedBy,
    /// The line in the ledger's file where the entry begins, from 1.
    pub line: u32,
}

/// The role that applied a migration in production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedBy {
    Owner,
    Deployer,
}

impl AppliedBy {
    /// As the ledger's file spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Deployer => "deployer",
        }
    }
}

impl Ledger {
    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is no ledger.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self::parse(&Document::read("the ledger", path)?)?)
    }

    /// Whether the seal is there and was made over exactly these entries.
    pub(crate) fn is_proven(&self) -> bool {
        self.seal.as_ref().is_some_and(|seal| seal.holds(&self.entries))
    }

    /// The entry of `version`.
    pub fn entry(&self, version: i64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.version == version)
    }

    /// The file and line of `entry`, for messages.
    pub fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.path.as_deref().unwrap_or("the ledger"), entry.line)
    }

    pub(crate) fn parse(document: &Document) -> Result<Self, DocumentError> {
        let raw: Raw = document.parse()?;
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(raw.migration.len());
        for raw in raw.migration {
            let version = raw.get_ref().version.clone();
            let entry = entry(document, &raw)?;
            if !seen.insert(entry.version) {
                let message =
                    format!("version {} is listed twice; production can have it only once", entry.version);
                return Err(document.refuse(version.span(), message));
            }
            entries.push(entry);
        }
        let seal = raw.seal.map(|seal| Seal::read(document, seal)).transpose()?;
        Ok(Self { path: Some(document.path.clone()), entries, seal })
    }
}

impl Entry {
    /// Everything but its place in the file.
    pub(crate) fn content(&self) -> (i64, &str, &str, AppliedBy) {
        (self.version, &self.name, &self.checksum, self.role)
    }

    /// Whether `name`, a file's part, is what this entry calls the migration.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.replace('_', " ") == name.replace('_', " ")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    seal: Option<Spanned<RawSeal>>,
    #[serde(default)]
    migration: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    version: Spanned<i64>,
    name: Spanned<String>,
    checksum: Spanned<String>,
    role: Spanned<String>,
}

fn entry(document: &Document, raw: &Spanned<RawEntry>) -> Result<Entry, DocumentError> {
    let fields = raw.get_ref();
    if fields.name.get_ref().trim().is_empty() {
        let message = "`name` is empty; give the name that production recorded";
        return Err(document.refuse(fields.name.span(), message));
    }
    Ok(Entry {
        version: *fields.version.get_ref(),
        name: fields.name.get_ref().clone(),
        checksum: checksum(document, &fields.checksum)?,
        role: role(document, &fields.role)?,
        line: document.line(&raw.span()),
    })
}

/// A sha384 in hex, in lower case.
pub(crate) fn checksum(document: &Document, checksum: &Spanned<String>) -> Result<String, DocumentError> {
    let hex = checksum.get_ref();
    if hex.len() == CHECKSUM_LENGTH && hex.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Ok(hex.to_ascii_lowercase());
    }
    let message = format!(
        "`checksum` is not a sha384 in hex ({CHECKSUM_LENGTH} digits); `sha384sum FILE` prints the one of a file"
    );
    Err(document.refuse(checksum.span(), message))
}

fn role(document: &Document, role: &Spanned<String>) -> Result<AppliedBy, DocumentError> {
    let refuse = |message| document.refuse(role.span(), format!("`role` is {message}"));
    role.get_ref().parse().map_err(refuse)
}

impl FromStr for AppliedBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Owner, Self::Deployer];
        all.into_iter().find(|it| it.name() == text).ok_or_else(|| {
            let hint = did_you_mean(text, all.map(Self::name));
            format!("`{text}`, expected `owner` or `deployer`{hint}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Ledger::parse(&Document::new(text, "migrations/applied.toml")).unwrap_err().to_string()
    }

    fn entry(change: (&str, &str)) -> String {
        let checksum = "ab".repeat(48);
        format!("[[migration]]\nversion = 1\nname = \"users\"\nchecksum = \"{checksum}\"\nrole = \"owner\"\n")
            .replace(change.0, change.1)
    }

    #[test]
    fn a_mistyped_key_is_named_with_its_line_and_the_nearest_one() {
        insta::assert_snapshot!(refused(&entry(("checksum =", "checksm ="))), @"migrations/applied.toml:4: unknown field `checksm`, expected one of `version`, `name`, `checksum`, `role`; did you mean `checksum`?");
        insta::assert_snapshot!(refused(&entry(("[[migration]]", "[[migrations]]"))), @"migrations/applied.toml:1: unknown field `migrations`, expected `seal` or `migration`; did you mean `migration`?");
    }

    #[test]
    fn a_value_that_production_cannot_have_is_named_with_its_line() {
        insta::assert_snapshot!(refused(&entry(("\"owner\"", "\"deploy\""))), @"migrations/applied.toml:5: `role` is `deploy`, expected `owner` or `deployer`; did you mean `deployer`?");
        insta::assert_snapshot!(refused(&entry(("abab", "zz"))), @"migrations/applied.toml:4: `checksum` is not a sha384 in hex (96 digits); `sha384sum FILE` prints the one of a file");
        insta::assert_snapshot!(refused(&entry(("version = 1", "version = \"1\""))), @r#"migrations/applied.toml:2: invalid type: string "1", expected i64"#);
        insta::assert_snapshot!(refused(&entry(("role = \"owner\"\n", ""))), @"migrations/applied.toml:1: missing field `role`");
    }

    #[test]
    fn a_version_that_is_listed_twice_is_refused() {
        let twice = entry(("", "")) + &entry(("", ""));
        insta::assert_snapshot!(refused(&twice), @"migrations/applied.toml:7: version 1 is listed twice; production can have it only once");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        insta::assert_snapshot!(refused("# ledger\n[[migration]\n"), @"migrations/applied.toml:2: unclosed array table, expected `]`");
    }
}
