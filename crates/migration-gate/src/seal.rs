//! The seal of a ledger's file: a digest over its entries and over the database that they were read from.
//!
//! It holds no secret. It keeps an entry from being added by hand to quiet a check; it is no protection against somebody
//! who computes it anew, whom a review sees.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use crate::{
    document::{Document, DocumentError},
    files::hex,
    ledger::Entry,
};

/// What stands above a ledger that `snapshot` has written.
const HEADER: &str = "\
# Production's ledger: what has been applied there, in which form, and as which role, in the order of application.
#
# Written by `cargo xtask migrations snapshot`, which reads the live database. Not to be edited: the seal would not match.
# A migration that is not listed here is pending: it will be applied by the deployer.
";

/// The database that entries were read from; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What `initdb` once gave to the cluster; `unknown` where the server does not tell it.
    pub cluster: String,
    /// The name of the database.
    pub database: String,
    /// By the database's clock: RFC 3339, in UTC.
    pub taken_at: String,
}

/// The seal as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    pub source: Source,
    digest: String,
    /// The line in the ledger's file where it begins, from 1.
    pub line: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawSeal {
    digest: String,
    cluster: String,
    database: String,
    taken_at: String,
}

impl Seal {
    pub(crate) fn read(document: &Document, raw: Spanned<RawSeal>) -> Result<Self, DocumentError> {
        let span = raw.span();
        let raw = raw.into_inner();
        if time::OffsetDateTime::parse(&raw.taken_at, &time::format_description::well_known::Rfc3339).is_err()
        {
            let message =
                format!("`taken-at` is `{}`, expected a moment such as 2027-01-31T12:00:00Z", raw.taken_at);
            return Err(document.refuse(span, message));
        }
        let source = Source { cluster: raw.cluster, database: raw.database, taken_at: raw.taken_at };
        Ok(Self { source, digest: raw.digest, line: document.line(&span) })
    }

    /// Whether it was made over exactly these entries.
    pub(crate) fn holds(&self, entries: &[Entry]) -> bool {
        self.digest == digest(entries, &self.source)
    }
}

/// The text of a ledger's file with these entries, read from `source`.
pub fn sealed(entries: &[Entry], source: &Source) -> String {
    let mut text = String::from(HEADER);
    for entry in entries {
        text += &format!(
            "\n[[migration]]\nversion = {}\nname = {}\nchecksum = {}\nrole = {}\n",
            entry.version,
            quoted(&entry.name),
            quoted(&entry.checksum),
            quoted(entry.role.name())
        );
    }
    text += &format!(
        "\n[seal]\ndigest = {}\ncluster = {}\ndatabase = {}\ntaken-at = {}\n",
        quoted(&digest(entries, source)),
        quoted(&source.cluster),
        quoted(&source.database),
        quoted(&source.taken_at)
    );
    text
}

/// sha256 over source and entries in their order, each as a line of JSON, in lower-case hex.
fn digest(entries: &[Entry], source: &Source) -> String {
    let mut hash = Sha256::new();
    hash.update(json(&(&source.cluster, &source.database, &source.taken_at)));
    for entry in entries {
        hash.update(json(&(entry.version, &entry.name, &entry.checksum, entry.role.name())));
    }
    hex(&hash.finalize())
}

fn json(value: &impl Serialize) -> String {
    // Strings and numbers always have a JSON form.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// A TOML string; every JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
