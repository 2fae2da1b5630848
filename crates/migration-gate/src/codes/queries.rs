//! What trying the prepared queries tells.

use super::{Code, Level};

pub static MISSING_GRANT: Code = Code {
    name: "missing-grant",
    level: Level::Error,
    title: "a service lacks a right that its queries need",
    story: "Every query of the `.sqlx` folders was tried in a login of the role that sends it, on the schema that the \
pending migrations leave: planned without the parameters' values, then run with nulls and rolled back. The server refused \
it for want of a right. The classic: a migration makes a table with a `bigserial` key and grants INSERT on the table; the \
first INSERT in production stops at `permission denied for sequence orders_id_seq`. What the finding says to grant has been \
granted and tried.",
    remedy: "Put the `GRANT` that the finding prints into a migration of whoever owns the object.",
};

pub static QUERY_BROKEN: Code = Code {
    name: "query-broken",
    level: Level::Error,
    title: "a query cannot work on the new schema",
    story: "The query was tried in a login of the role that sends it and refused for a reason that no parameters and no \
grant change: a column that is not there any more, a function that reads a dropped table, something that only an owner may. \
`cargo sqlx prepare` sees none of that in the body of a function or of a trigger, nor what another role may not. A prepared \
query that cannot be read is found too.",
    remedy: "Correct the query, or let a migration make what it asks for; then `cargo xtask db prepare`.",
};
