//! What trying the prepared queries tells.

use super::{Code, Level};

pub static QUERY_BROKEN: Code = Code {
    name: "query-broken",
    level: Level::Error,
    title: "a query cannot work on the new schema",
    story: "The query was tried in a login of the role that sends it and refused for a reason that no parameters and no \
grant change: a column that is not there any more, a function that reads a dropped table, something that only an owner may. \
`cargo sqlx prepare` sees none of that in the body of a function or of a trigger, nor what another role may not. A prepared \
query that cannot be read is found too.",
};
