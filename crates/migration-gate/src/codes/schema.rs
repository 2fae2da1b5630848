//! What the catalog tells: one snapshot against another, and what stands in the last one.

use super::{Code, Level};

pub static DOWN_LEAVES_DRIFT: Code = Code {
    name: "down-leaves-drift",
    level: Level::Error,
    title: "the down does not restore the schema",
    story: "The catalog was read before the up and after the down, and again after the first and the second up. Of 467 \
downs in real projects 40 leave another schema behind: a default or a NOT NULL that does not come back, a table made \
again without its grants, an extension or a type that stays. The old release then runs on a schema that no test has \
ever seen. The place of a column makes no difference. What cannot be taken back by its nature, such as an enum's label, \
is waived. A down that restores the schema but drops and makes again what held rows before the up is an info.",
    remedy: "Let the down undo everything that the finding lists, and nothing else.",
};

pub static ORDER_DRIFT: Code = Code {
    name: "order-drift",
    level: Level::Error,
    title: "a new database would not be what production is",
    story: "sqlx does not enforce order: a migration that is merged late is applied late in production, and in its \
place by number on every new database. Both orders were run, each file as the role that it has in the ledger, and the \
catalogs compared. They differ in labels of an enum, in a default, in whole objects, or a file runs in one order only. \
The order of columns makes no difference. Where all late files are already applied, nothing can be moved any more, and \
it is a warning.",
    remedy: "Give the late file the next free number, so that both orders are one; the finding prints the `git \
mv`.",
};

pub static OWNER_DRIFT: Code = Code {
    name: "owner-drift",
    level: Level::Error,
    title: "the schema depends on who runs the migration",
    story: "What is pending was run twice: as the deployer, and by a deployer who owns everything. Nobody was refused, \
yet the schemas differ: the migration asks for its rights (`IF has_table_privilege(…)`, `pg_has_role`, `current_user`) \
and leaves something out in silence where it lacks them. Tests, which run as a superuser, see the whole; production does \
not get it.",
    remedy: "Do not ask for rights in a migration: let it fail where the deployer lacks them, and have them \
granted before it.",
};

pub static FOREIGN_OWNERSHIP: Code = Code {
    name: "foreign-ownership",
    level: Level::Error,
    title: "a pending migration makes something that the wrong role owns",
    story: "Only the owner of an object may alter it, so who owns what a migration makes decides whether the next one \
can. Where roles are split, that is the deployer; where the deployer is a member of the owner, or turns into it, that is \
the owner: a member that makes a table owns it, and the owner's other members are refused. After all pending migrations \
every object that they made, or gave away, was asked for its owner.",
    remedy: "Let the role that runs migrations own what they make: leave `OWNER TO` out, or give it back at the \
end of the file.",
};

pub static INVALID_INDEX: Code = Code {
    name: "invalid-index",
    level: Level::Error,
    title: "an index may stay invalid, and nobody is told",
    story: "`CREATE INDEX CONCURRENTLY` that fails (a duplicate, a deadlock, a timeout, a killed deployment) leaves an \
invalid index behind: never used, and enforcing nothing. With `IF NOT EXISTS` the next deployment passes over it and \
records the migration as done. That was acted out: the index was made invalid as a failure leaves it, and the file run \
again. Without `IF NOT EXISTS` the second run fails loudly, and whoever deploys drops the index first. An index `ON ONLY` \
a partitioned table that not every partition has is a warning.",
    remedy: "Leave `IF NOT EXISTS` out of `CREATE INDEX CONCURRENTLY`; drop an invalid index and make it again.",
};

pub static RLS_GAP: Code = Code {
    name: "rls-gap",
    level: Level::Error,
    title: "row security lets nothing through, or too much",
    story: "A table with row security and without a policy for the services' role gives them no rows and no error. \
Warnings: `FORCE` without a policy for the table's owner, whose later backfills change no row; a new table without row \
security in a schema where every other one has it; a `SECURITY DEFINER` function without a `search_path` of its own, \
which runs what the caller puts in front with the rights of its owner. An info: such a function that everybody may call.",
    remedy: "`CREATE POLICY … TO app`, `ENABLE ROW LEVEL SECURITY`, or `SET search_path` on the function: the \
finding prints which; or waive it with the reason.",
};
