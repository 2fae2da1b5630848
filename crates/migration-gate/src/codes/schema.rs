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
};

pub static OWNER_DRIFT: Code = Code {
    name: "owner-drift",
    level: Level::Error,
    title: "the schema depends on who runs the migration",
    story: "What is pending was run twice: as the deployer, and by a deployer who owns everything. Nobody was refused, \
yet the schemas differ: the migration asks for its rights (`IF has_table_privilege(…)`, `pg_has_role`, `current_user`) \
and leaves something out in silence where it lacks them. Tests, which run as a superuser, see the whole; production does \
not get it.",
};
