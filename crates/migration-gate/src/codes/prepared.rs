//! What comparing `.sqlx` with the sources and the schema tells.

use super::{Code, Level};

pub static QUERY_MISSING: Code = Code {
    name: "query-missing",
    level: Level::Error,
    title: "a query of the sources is not in `.sqlx`",
    story: "sqlx's macros check a query while it compiles: against a database, or, where there is none, against what \
`cargo sqlx prepare` has written to `.sqlx`. A query was added or its text was edited and `.sqlx` was not refreshed. \
On the author's machine, with a database, it compiles; in CI and in the image's build it does not.",
    remedy: "`cargo xtask db prepare`, or `cargo sqlx prepare --workspace`, and commit `.sqlx`.",
};

pub static QUERY_STALE: Code = Code {
    name: "query-stale",
    level: Level::Error,
    title: "`.sqlx` says something else about a query than the schema",
    story: "What `.sqlx` holds was true for an earlier schema: a migration has changed a column's type, or whether it may \
be null. The code compiles against `.sqlx` and meets the real schema in production: a row that cannot be decoded, \
`unexpected null; try decoding as an Option`.",
    remedy: "`cargo xtask db prepare`, or `cargo sqlx prepare --workspace`; then compile, and correct the code \
where it no longer does.",
};

pub static QUERY_UNUSED: Code = Code {
    name: "query-unused",
    level: Level::Warning,
    title: "`.sqlx` holds a query that no build has",
    story: "The query was removed or edited and its file stayed. It does no harm, but it is tried under the app role and \
on the next release's schema like the others, and may be found broken though nothing sends it.",
    remedy: "`cargo xtask db prepare` removes it, or `git rm` of the file that the finding names.",
};

pub static QUERY_UNSEEN: Code = Code {
    name: "query-unseen",
    level: Level::Info,
    title: "queries can come from here that only a build sees",
    story: "The queries are found by reading the sources, without compiling. A macro of the project's own, generated code \
or a `cfg` that only the compiler knows can make queries that are not written there. Then `cargo sqlx prepare --check` decides, \
which compiles.",
    remedy: "`cargo sqlx prepare --check --workspace` tells; `cargo xtask ci sqlx` runs it by itself.",
};
