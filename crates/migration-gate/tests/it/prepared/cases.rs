//! What can become of a workspace whose queries are prepared.

use super::shop::Shop;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What happens to the sources and to `.sqlx`.
    pub(crate) change: fn(&Shop),
    /// What happens to the schema.
    pub(crate) sql: &'static str,
}

const LIB: &str = "crates/store/src/lib.rs";
const ORDERS: &str = "crates/store/src/orders.rs";
const CUSTOMERS: &str = "crates/store/src/customers.rs";

/// A function with a query that nobody prepared.
const NEW: &str = "\npub async fn new(c: &mut sqlx::PgConnection) -> sqlx::Result<Vec<i64>> {\n    \
                   sqlx::query_scalar!(\"SELECT max(id) AS \\\"id!\\\" FROM orders\").fetch_all(c).await\n}\n";

pub(crate) const CASES: &[Case] = &[
    sources("nothing happened", |_| {}),
    sources("the text of a query is edited", |shop| {
        shop.replace(ORDERS, "state = 'paid'", "state <> 'open'")
    }),
    sources("a space is added to a query", |shop| shop.replace(ORDERS, "WHERE o.state", "WHERE  o.state")),
    sources("a query is added", |shop| shop.append(ORDERS, NEW)),
    sources("a query is removed", |shop| {
        shop.replace(LIB, "pub use orders::{Order, open, paid_by};\n", "");
        shop.replace(LIB, "mod orders;\n", "");
        shop.replace("crates/app/src/main.rs", "store::open(connection).await?.len()", "0");
        shop.remove(ORDERS);
    }),
    schema("the type of a column changes", "ALTER TABLE customers ALTER email TYPE varchar(99)"),
    schema("a column can be null now", "ALTER TABLE customers ALTER name DROP NOT NULL"),
    schema(
        "a parameter has another type",
        "DROP VIEW totals; ALTER TABLE orders ALTER customer_id TYPE int;
        CREATE VIEW totals AS SELECT customer_id, sum(total) AS total FROM orders GROUP BY customer_id",
    ),
    schema("an enum has one more value", "ALTER TYPE order_state ADD VALUE 'sent'"),
    schema("a column is gone", "ALTER TABLE customers DROP COLUMN email"),
    schema("what no query asks for changes", "ALTER TABLE orders ADD COLUMN note text"),
    sources("a query is no SQL", |shop| shop.replace(CUSTOMERS, "INSERT INTO customers", "INSERT customers")),
    sources("a file that no query has lies in the folder", |shop| shop.write(".sqlx/query-00ff.json", "{}")),
    sources("a prepared query is edited", |shop| {
        let file = shop.prepared("SELECT total FROM");
        shop.replace(&file, "false", "true");
    }),
    sources("a prepared query is cut off", |shop| {
        shop.write(&shop.prepared("SELECT total FROM"), "{\"db_name\":")
    }),
    sources("the query's file is edited", |shop| shop.append("crates/store/queries/spent.sql", "LIMIT 10\n")),
    sources("the query's file is gone", |shop| {
        shop.replace(CUSTOMERS, "queries/spent.sql", "queries/nowhere.sql");
    }),
    sources("a new query is only in the tests of a module", |shop| {
        shop.append(ORDERS, &format!("\n#[cfg(test)]\nmod tests {{{NEW}}}\n"));
    }),
    sources("a new query is only in a test", |shop| shop.append("crates/store/tests/it.rs", NEW)),
    sources("a new query stands below a feature that is on", |shop| {
        shop.append(ORDERS, &format!("\n#[cfg(feature = \"reports\")]\nmod more {{{NEW}}}\n"));
    }),
    sources("a new query stands below a feature that is off", |shop| {
        shop.append(ORDERS, &format!("\n#[cfg(all(unix, feature = \"exports\"))]\nmod more {{{NEW}}}\n"));
    }),
    sources("a new query is for this platform", |shop| {
        shop.append(ORDERS, &format!("\n#[cfg(unix)]\nmod more {{{NEW}}}\n"));
    }),
    sources("a new query is for another platform", |shop| {
        shop.append(ORDERS, &format!("\n#[cfg(windows)]\nmod more {{{NEW}}}\n"));
    }),
    sources("a new query is in a file that no module names", |shop| {
        shop.write("crates/store/src/loose.rs", NEW)
    }),
    sources("a new query is in a module's file that has another name", |shop| {
        shop.write("crates/store/src/odd/name.rs", NEW);
        shop.append(LIB, "\n#[path = \"odd/name.rs\"]\npub mod more;\n");
    }),
    sources("a new query is in a file that is included", |shop| {
        shop.write("crates/store/src/part.in", NEW);
        shop.append(LIB, "\npub mod more {\n    include!(\"part.in\");\n}\n");
    }),
    sources("a new query is in code that the build makes", |shop| {
        shop.write(
            "crates/store/build.rs",
            &format!(
                "fn main() {{\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
                 std::fs::write(format!(\"{{out}}/made.rs\"), {NEW:?}).unwrap();\n}}\n"
            ),
        );
        shop.append(LIB, "\npub mod more {\n    include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n}\n");
    }),
    sources("a macro makes a query that is prepared", |shop| {
        shop.replace(ORDERS, "sqlx::query_scalar!(", "ask!(");
        shop.replace(ORDERS, "use sqlx::PgConnection;\n", "use sqlx::PgConnection;\n\nmacro_rules! ask {\n    ($($call:tt)*) => { sqlx::query_scalar!($($call)*) };\n}\n");
    }),
    sources("a macro makes a query that is not prepared", |shop| {
        shop.append(ORDERS, "\nmacro_rules! ask {\n    ($text:literal) => { sqlx::query!($text) };\n}\n\npub async fn asked(c: &mut PgConnection) -> sqlx::Result<usize> {\n    Ok(ask!(\"SELECT state AS \\\"state: String\\\" FROM orders\").fetch_all(c).await?.len())\n}\n");
    }),
    sources("a macro of another crate makes a query", |shop| {
        shop.write("crates/macros/Cargo.toml", "[package]\nname = \"macros\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[lib]\nproc-macro = true\n");
        shop.write("crates/macros/src/lib.rs", "#[proc_macro]\npub fn count(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    \"::sqlx::query_scalar!(\\\"SELECT count(*) FROM orders\\\")\".parse().unwrap()\n}\n");
        shop.append("crates/store/Cargo.toml", "macros = { path = \"../macros\" }\n");
        shop.append(ORDERS, "\npub async fn count(c: &mut PgConnection) -> sqlx::Result<Option<i64>> {\n    macros::count!().fetch_one(c).await\n}\n");
        shop.lock();
    }),
    sources("a macro of sqlx has another name", |shop| {
        shop.append(ORDERS, "\nuse sqlx::query as ask;\n\npub async fn asked(c: &mut PgConnection) -> sqlx::Result<usize> {\n    Ok(ask!(\"SELECT total FROM orders WHERE total > 1\").fetch_all(c).await?.len())\n}\n");
    }),
    sources("sqlx itself has another name", |shop| {
        shop.append(ORDERS, "\npub async fn asked(c: &mut PgConnection) -> sqlx::Result<usize> {\n    use sqlx as database;\n    Ok(database::query!(\"SELECT total FROM orders WHERE total > 1\").fetch_all(c).await?.len())\n}\n");
    }),
    sources("a query has more parameters than arguments", |shop| {
        shop.replace(CUSTOMERS, "$1\", id, name)", "$1\", id)");
    }),
    sources("a file is no Rust", |shop| shop.append(CUSTOMERS, "\nfn unfinished() {\n")),
    sources("sqlx has settings of its own", |shop| shop.write("crates/store/sqlx.toml", "[macros]\n")),
    sources("a member that is not built by default has a new query", |shop| {
        shop.write("crates/aside/Cargo.toml", "[package]\nname = \"aside\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[dependencies]\nsqlx.workspace = true\n");
        shop.write("crates/aside/src/lib.rs", NEW);
        shop.lock();
    }),
];

const fn sources(name: &'static str, change: fn(&Shop)) -> Case {
    Case { name, change, sql: "" }
}

const fn schema(name: &'static str, sql: &'static str) -> Case {
    Case { name, change: |_| {}, sql }
}
