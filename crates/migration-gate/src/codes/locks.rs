//! What a migration does to tables that are in use.

use super::{Code, Level};

pub static LOCK_SCAN: Code = Code {
    name: "lock-scan",
    level: Level::Error,
    title: "a table in use is read from end to end while others wait for its lock",
    story: "The statement takes a lock that writers (or everybody) wait for, and then walks the whole table: to build an \
index, to see that a constraint holds. On the empty tables of a test it takes a millisecond; in production as long as the \
table is large, and every request that writes there waits behind it. `CREATE INDEX ON orders (note)` stops every write to \
`orders`; so does `ADD CONSTRAINT … CHECK …`, which stops reads too. The safe forms: `CREATE INDEX CONCURRENTLY` in a file \
of its own (`-- no-transaction`); a constraint `NOT VALID` first, and `VALIDATE CONSTRAINT` in a later file, which lets \
everybody work; `SET NOT NULL` after a validated `CHECK (… IS NOT NULL)`, which saves the walk. Tables that the same \
deployment makes are left out, and so are those that `small-tables` names.",
    remedy: "Write the safe form, which the finding names; or name a table that stays small in `small-tables`.",
};

pub static LOCK_REWRITE: Code = Code {
    name: "lock-rewrite",
    level: Level::Error,
    title: "a table in use is written anew while everybody waits",
    story: "The statement copies every row into new files under ACCESS EXCLUSIVE: nobody reads or writes the table until it \
is done, and its indexes are built again. A volatile default (`DEFAULT gen_random_uuid()`), a `bigserial`, a stored generated \
column, a change from `int` to `bigint` do it; a constant default and a longer `varchar` do not. Whether `timestamp` to \
`timestamptz` does depends on the TimeZone of the session: name production's with `--time-zone`. The safe form is a new \
column beside the old one, filled in batches.",
    remedy: "Add the new column, let the code write both, fill the old rows in batches, and drop the old column \
in a later release; or name a table that stays small in `small-tables`.",
};

pub static BACKFILL_UNDER_LOCK: Code = Code {
    name: "backfill-under-lock",
    level: Level::Error,
    title: "rows are rewritten while the same transaction holds a table's lock",
    story: "A file is one transaction, and a lock is held until it ends. `ALTER TABLE orders ADD COLUMN state text; UPDATE \
orders SET state = 'open';` takes ACCESS EXCLUSIVE for a moment's work and keeps it for as long as the UPDATE runs. Put the \
change of the schema into one file and the rows into another one, in batches where the table is large.",
    remedy: "Two files: first `ALTER TABLE orders ADD COLUMN state text;`, then, in the next one, the `UPDATE`.",
};

pub static NOT_NULL_WITHOUT_DEFAULT: Code = Code {
    name: "not-null-without-default",
    level: Level::Error,
    title: "a column that may not be NULL is added without a default to a table that may hold rows",
    story: "`ALTER TABLE orders ADD COLUMN state text NOT NULL` runs on the empty table of every test, and is refused as \
soon as `orders` holds one row: what should stand in it? The migration was applied to tables with rows in them: made up, two \
in each, or the project's own (`sample-rows.sql` beside the migrations). A default makes it run, and a constant one costs \
nothing. Or expand, then contract: a nullable column first, its rows filled in a later file, `CHECK … NOT VALID`, `VALIDATE \
CONSTRAINT`, and then `SET NOT NULL`.",
    remedy: "Give the column a default, or add it nullable and fill it first.",
};

pub static LINT: Code = Code {
    name: "lint",
    level: Level::Warning,
    title: "nothing refuses it, but a careful reader would ask",
    story: "Advice on what is pending, from two sources. What was executed tells what `CASCADE` took along besides what the \
file names; a query whose index is gone, by its plan before and after; a foreign key without an index where a query deletes what \
it refers to: `DELETE FROM orders` then walks the whole of `lines` for each row; a table that a crash empties (`UNLOGGED`), or \
that is published without a key. The linter squawk reads the SQL, with only those of its rules that nothing here judges by \
executing: a `DROP INDEX` without `CONCURRENTLY` waits for every query on the table, and all others wait behind it. \
`-- squawk-ignore RULE` above the statement silences one of its rules; anything else is waived in `waivers.toml`, and walks of \
a table that stays small by `small-tables`.",
    remedy: "Follow the advice, or waive it with the reason.",
};
