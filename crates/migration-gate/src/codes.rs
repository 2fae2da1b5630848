//! The one table of finding codes; what people read about a code derives from it.
//!
//! To add a code, add a constant and its name in [`CODES`]. Names are a contract that scripts rely on.

use std::fmt;

use serde::Serialize;

/// How much a finding weighs; only an error fails the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
    Info,
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    pub name: &'static str,
    pub level: Level,
    /// One line: what is wrong.
    pub title: &'static str,
    /// How it comes about and what it costs, with an example.
    pub story: &'static str,
}

pub static SLOT_DUPLICATE: Code = Code {
    name: "slot-duplicate",
    level: Level::Error,
    title: "two migrations share one number",
    story: "Two branches each took the next free number, and both files were merged: git sees no conflict, because the \
names differ (`0007_tags.up.sql`, `0007_labels.up.sql`). sqlx does not look for duplicates either. It applies the \
first and stops at the second with a raw `duplicate key value violates unique constraint \"_sqlx_migrations_pkey\"`, \
in the middle of a deployment. `7` and `007` are the same number.",
};

pub static SLOT_APPLIED: Code = Code {
    name: "slot-applied",
    level: Level::Error,
    title: "production has already applied another migration with this number",
    story: "Two branches took the same number, and production has applied the other branch's file. At the next \
deployment sqlx compares checksums by number, finds another one, and refuses everything with `migration 7 was \
previously applied but has been modified`. The old container is already gone. The later branch takes the next free \
number before it is applied anywhere.",
};

pub static EDITED_AFTER_APPLY: Code = Code {
    name: "edited-after-apply",
    level: Level::Error,
    title: "a migration was edited after production applied it",
    story: "Somebody corrected a comment or a typo in an applied migration, or an editor changed its line ends. The \
checksum in production's ledger is that of the old bytes, so the next deployment stops with `migration 7 was previously \
applied but has been modified`, and databases made from now on differ from production. What is wrong in production is \
repaired by a new migration.",
};

pub static MISSING_APPLIED: Code = Code {
    name: "missing-applied",
    level: Level::Error,
    title: "production has applied a migration that is not in the tree",
    story: "A migration was deleted, renumbered or squashed after production had applied it, or the branch was cut \
before it was merged. sqlx stops with `migration 7 was previously applied but is missing in the resolved migrations`.",
};

pub static RENAMED_AFTER_APPLY: Code = Code {
    name: "renamed-after-apply",
    level: Level::Warning,
    title: "an applied migration has another name than in production's ledger",
    story: "The content is the same and sqlx compares only number and checksum, so it goes through in silence. But \
whoever reads `_sqlx_migrations` during an incident looks for a file that is not there.",
};

pub static LATE_VERSION: Code = Code {
    name: "late-version",
    level: Level::Warning,
    title: "a pending migration has a lower number than one that production has applied",
    story: "It was written first and merged last. sqlx does not enforce order: production applies 7 after 8, a new \
database 7 before 8. Where the two touch the same thing the schemas differ from then on, and a file that runs in one \
order may fail in the other.",
};

pub static BAD_VERSION: Code = Code {
    name: "bad-version",
    level: Level::Error,
    title: "a migration's number is not one",
    story: "`v5_x.sql` makes sqlx refuse the whole directory. In a project that numbers by time stamps, a month 18 or \
a fifteenth digit is accepted and sorts wrongly for ever: with one digit too many it stays the last one for the next \
ten thousand years, and every later migration is late.",
};

pub static IGNORED_FILE: Code = Code {
    name: "ignored-file",
    level: Level::Error,
    title: "sqlx passes over this file in silence",
    story: "`7-tags.sql` (a dash), `0007_tags.SQL` (upper case), a numbered file in a folder: sqlx takes none of them \
for a migration and says nothing. The release starts, and its first query fails with `relation \"tags\" does not \
exist`. A down whose up does not exist is never run either.",
};

pub static BAD_BYTES: Code = Code {
    name: "bad-bytes",
    level: Level::Error,
    title: "the file's bytes break it, or its checksum",
    story: "A byte order mark is a syntax error for PostgreSQL and hides a leading `-- no-transaction`; bytes that are \
not UTF-8 make sqlx refuse the directory. CR line ends (a warning) go through, but the checksum then depends on how \
git checked the file out: the same commit is `modified` on another machine.",
};

pub static NO_DOWN: Code = Code {
    name: "no-down",
    level: Level::Error,
    title: "an up has no down",
    story: "In a project of `.up.sql` and `.down.sql` pairs one down is missing. `sqlx migrate revert` takes only \
numbers that have a down: during an incident it passes over this one in silence and reverts the one before it, \
beneath a change that is still there. For a migration that production has already applied it is a warning.",
};

pub static APPLY_FAILED: Code = Code {
    name: "apply-failed",
    level: Level::Error,
    title: "production would refuse this migration",
    story: "The migration was run as production would run it: on the schema that production's ledger gives, in a login \
of the deployer, the whole file as one query in one transaction with its line in the ledger. The server refused it. The \
classic: two branches are merged, one drops a column and the other one, pending, uses it. Each was green alone.",
};

pub static NOT_OWNER: Code = Code {
    name: "not-owner",
    level: Level::Error,
    title: "the migration alters what another role owns",
    story: "Only the owner of an object may alter, index, comment or drop it, whatever was granted besides. Tests run \
as a superuser and see nothing; in production the deployer gets SQLSTATE 42501, `must be owner of table accounts`. \
`IF NOT EXISTS` does not help: the server asks for ownership first.",
};

pub static DOWN_FAILS: Code = Code {
    name: "down-fails",
    level: Level::Error,
    title: "the down does not run",
    story: "The down was run right after its up, in a login of the deployer, and the server refused it. Downs are \
written last and tried never: of 467 in real projects 26 do not run, half of them for a syntax error. It is found out \
in the incident that needs it.",
};

pub static REUP_FAILS: Code = Code {
    name: "reup-fails",
    level: Level::Error,
    title: "after its down, the up cannot be applied again",
    story: "Up and down ran, the second up did not: the down left something behind (a type, a function, an extension's \
object) that the up wants to make. After a rollback the repaired release cannot be deployed.",
};

pub static NOT_JUDGED: Code = Code {
    name: "not-judged",
    level: Level::Info,
    title: "what comes after a fault could not be judged",
    story: "A migration runs on the schema that the earlier ones leave. Where one of them cannot be run, the later ones \
are neither good nor bad: they are judged as soon as the fault is corrected.",
};

/// Every code, in the order in which the gate looks.
pub static CODES: &[&Code] = &[
    &IGNORED_FILE,
    &BAD_VERSION,
    &BAD_BYTES,
    &SLOT_DUPLICATE,
    &SLOT_APPLIED,
    &EDITED_AFTER_APPLY,
    &MISSING_APPLIED,
    &RENAMED_AFTER_APPLY,
    &LATE_VERSION,
    &NO_DOWN,
    &APPLY_FAILED,
    &NOT_OWNER,
    &DOWN_FAILS,
    &REUP_FAILS,
    &NOT_JUDGED,
];

/// The code called `name`.
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().copied().find(|code| code.name == name)
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name_and_a_story() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        assert!(CODES.iter().all(|code| code.story.ends_with('.') && !code.title.ends_with('.')));
    }
}
