//! What the last release's queries say to the new schema.

use super::{Code, Level};

pub static ROLLBACK_QUERY_BROKEN: Code = Code {
    name: "rollback-query-broken",
    level: Level::Error,
    title: "after a rollback the last release's query would be refused",
    story: "The queries of the last release, from the `.sqlx` folders that its git tag has, were tried on the schema that the \
pending migrations leave, as the role that sends them. One that works on production's schema is refused on the new one: a \
column was dropped or renamed, a right taken away, the index of an `ON CONFLICT` is gone. Whoever rolls the release back \
rolls back the code, not the schema; while a release is rolled out both run side by side. So expand first, contract later: \
what the last release uses may go in the release after the one that no longer uses it. As a warning: a new constraint, trigger \
or policy on a table that the last release writes, which it knows nothing of.",
    remedy: "Keep what the last release uses beside the new. When a release is out that no longer uses it, the \
next one may drop it.",
};

pub static ROLLBACK_TYPE_CHANGE: Code = Code {
    name: "rollback-type-change",
    level: Level::Error,
    title: "the last release would read another type than it was compiled for",
    story: "A query of the last release still runs on the new schema but gives something else: a column of another type, an \
enum with a label that the old code does not know, another order of columns. The old binary fails when it decodes the row. \
Connections that have the query prepared are refused with `cached plan must not change result type` even where the new \
type would do, which is why a longer `SELECT *` is a warning. Add a new column beside the old one, fill both, and drop the \
old one when no release reads it.",
    remedy: "Add a new column instead of changing the old one; name columns instead of `*`; let one release know \
an enum's new label before the next one writes it.",
};

pub static ROLLBACK_NULLABLE: Code = Code {
    name: "rollback-nullable",
    level: Level::Error,
    title: "the last release would read a null that it does not expect",
    story: "A column that a query of the last release selects may be null on the new schema. The old code was compiled to \
decode a value: the first null that the new release writes is an `UnexpectedNullError` after a rollback. Let one \
release read the column as nullable before the next one drops the NOT NULL.",
    remedy: "Keep the NOT NULL in this release, and drop it in the next one.",
};

pub static ROLLBACK_INSERT_NOT_NULL: Code = Code {
    name: "rollback-insert-not-null",
    level: Level::Error,
    title: "an INSERT of the last release leaves out a column that must be filled",
    story: "The plan of an INSERT shows what each column of the table gets. On the new schema a column that must not be null \
and has no default gets nothing from the last release's INSERT: every one of them fails with SQLSTATE 23502, during the \
roll-out and after a rollback. Give the column a default, or make it NOT NULL in the release after the one that fills it.",
    remedy: "`ALTER TABLE orders ALTER COLUMN state SET DEFAULT 'open';`, or leave the column nullable in this \
release.",
};
