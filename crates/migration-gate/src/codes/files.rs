//! What files, ledger and git alone tell.

use super::{Code, Level};

pub static IGNORED_FILE: Code = Code {
    name: "ignored-file",
    level: Level::Error,
    title: "sqlx passes over this file in silence",
    story: "`7-tags.sql` (a dash), `0007_tags.SQL` (upper case), a numbered file in a folder: sqlx takes none of them \
for a migration and says nothing. The release starts, and its first query fails with `relation \"tags\" does not \
exist`. A down whose up does not exist is never run either.",
    remedy: "Call it `NUMBER_name.sql`, or `.up.sql` and `.down.sql`, in lower case and in the directory itself; \
or move it elsewhere.",
};

pub static BAD_VERSION: Code = Code {
    name: "bad-version",
    level: Level::Error,
    title: "a migration's number is not one",
    story: "`v5_x.sql` makes sqlx refuse the whole directory. In a project that numbers by time stamps, a month 18 or \
a fifteenth digit is accepted and sorts wrongly for ever: with one digit too many it stays the last one for the next \
ten thousand years, and every later migration is late.",
    remedy: "Rename the file, and its down, before anything applies it: `cargo xtask migrations new NAME` picks \
the number.",
};

pub static BAD_BYTES: Code = Code {
    name: "bad-bytes",
    level: Level::Error,
    title: "the file's bytes break it, or its checksum",
    story: "A byte order mark is a syntax error for PostgreSQL and hides a leading `-- no-transaction`; bytes that are \
not UTF-8 make sqlx refuse the directory. CR line ends (a warning) go through, but the checksum then depends on how \
git checked the file out: the same commit is `modified` on another machine.",
    remedy: "Save the file as UTF-8 without a mark, with LF line ends, and write `*.sql text eol=lf` into \
`.gitattributes`.",
};

pub static SLOT_DUPLICATE: Code = Code {
    name: "slot-duplicate",
    level: Level::Error,
    title: "two migrations share one number",
    story: "Two branches each took the next free number, and both files were merged: git sees no conflict, because the \
names differ (`0007_tags.up.sql`, `0007_labels.up.sql`). sqlx does not look for duplicates either. It applies the \
first and stops at the second with a raw `duplicate key value violates unique constraint \"_sqlx_migrations_pkey\"`, \
in the middle of a deployment. `7` and `007` are the same number.",
    remedy: "Give the later one the next free number; the finding prints the `git mv`.",
};

pub static SLOT_APPLIED: Code = Code {
    name: "slot-applied",
    level: Level::Error,
    title: "production has already applied another migration with this number",
    story: "Two branches took the same number, and production has applied the other branch's file. At the next \
deployment sqlx compares checksums by number, finds another one, and refuses everything with `migration 7 was \
previously applied but has been modified`. The old container is already gone. The later branch takes the next free \
number before it is applied anywhere.",
    remedy: "Give this one the next free number and merge the branch that has the applied file; the finding \
prints the `git mv`.",
};

pub static EDITED_AFTER_APPLY: Code = Code {
    name: "edited-after-apply",
    level: Level::Error,
    title: "a migration was edited after production applied it",
    story: "Somebody corrected a comment or a typo in an applied migration, or an editor changed its line ends. The \
checksum in production's ledger is that of the old bytes, so the next deployment stops with `migration 7 was previously \
applied but has been modified`, and databases made from now on differ from production. What is wrong in production is \
repaired by a new migration.",
    remedy: "Bring the old bytes back (`git checkout REV -- FILE`) and write a new migration. Where an edit \
cannot be taken back, `[[alternate]]` in `waivers.toml` names it with a reason.",
};

pub static MISSING_APPLIED: Code = Code {
    name: "missing-applied",
    level: Level::Error,
    title: "production has applied a migration that is not in the tree",
    story: "A migration was deleted, renumbered or squashed after production had applied it, or the branch was cut \
before it was merged. sqlx stops with `migration 7 was previously applied but is missing in the resolved migrations`.",
    remedy: "Bring the file back under its number, from git or by merging the branch that has it. What is gone \
for good is named by `[[missing]]` in `waivers.toml`, with a reason.",
};

pub static RENAMED_AFTER_APPLY: Code = Code {
    name: "renamed-after-apply",
    level: Level::Warning,
    title: "an applied migration has another name than in production's ledger",
    story: "The content is the same and sqlx compares only number and checksum, so it goes through in silence. But \
whoever reads `_sqlx_migrations` during an incident looks for a file that is not there.",
    remedy: "Give it its old name back; the finding prints the `git mv`.",
};

pub static LATE_VERSION: Code = Code {
    name: "late-version",
    level: Level::Warning,
    title: "a pending migration has a lower number than one that production has applied",
    story: "It was written first and merged last. sqlx does not enforce order: production applies 7 after 8, a new \
database 7 before 8. Where the two touch the same thing the schemas differ from then on, and a file that runs in one \
order may fail in the other.",
    remedy: "Give it the next free number before it is applied anywhere; the finding prints the `git mv`.",
};

pub static NO_DOWN: Code = Code {
    name: "no-down",
    level: Level::Error,
    title: "an up has no down",
    story: "In a project of `.up.sql` and `.down.sql` pairs one down is missing. `sqlx migrate revert` takes only \
numbers that have a down: during an incident it passes over this one in silence and reverts the one before it, \
beneath a change that is still there. For a migration that production has already applied it is a warning.",
    remedy: "Write the down; where nothing can be taken back, let it say so in a comment and do nothing, or \
waive the finding.",
};

pub static LEDGER_UNPROVEN: Code = Code {
    name: "ledger-unproven",
    level: Level::Error,
    title: "nothing proves that production's ledger is production's",
    story: "A pending migration was red, because the deployer may not alter the owner's table. Somebody added it to \
`applied.toml` as `role = \"owner\"`, the gate replayed it as owner, and was green; production refused it. Entries come \
from the live database only: `cargo xtask migrations snapshot` reads them, without writing anything, and seals the file \
with a digest over the entries and the database that it read. A ledger that was changed by hand does not match its seal.",
    remedy: "`cargo xtask migrations snapshot` writes the file anew from the live database.",
};

pub static WAIVER_EXPIRED: Code = Code {
    name: "waiver-expired",
    level: Level::Error,
    title: "a waiver's last day is over",
    story: "A waiver puts a fault off, with a reason, until a day: `expires = 2027-01-31` is the last day (UTC) on which \
it counts. After it the fault counts again, and so does the waiver itself until somebody decides anew.",
    remedy: "Do what it was waiting for and remove it, or give it another day and say why.",
};

pub static WAIVER_UNUSED: Code = Code {
    name: "waiver-unused",
    level: Level::Warning,
    title: "a waiver, an alternate or a missing migration that nothing needs",
    story: "What it was written for has been repaired, or it names a file that never had the fault. Left in place it would \
cover the next fault of the same kind in silence.",
    remedy: "Remove it.",
};
