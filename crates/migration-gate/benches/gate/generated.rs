//! A project of the size that grows in a few years: 80 tables, 250 migrations, 450 queries, in the style of real ones.

use std::{fmt::Write as _, fs, path::Path};

use migration_gate::{
    files::{Directory, Ignored},
    ledger::{AppliedBy, Entry},
    seal::{Source, sealed},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _};

pub(crate) const MIGRATIONS: usize = 250;
pub(crate) const QUERIES: usize = 450;
/// Migrations that production does not have yet.
pub(crate) const PENDING: usize = 10;

const AREAS: [&str; 8] = ["account", "billing", "catalog", "delivery", "event", "file", "message", "report"];
const THINGS: [&str; 10] =
    ["entry", "group", "item", "label", "line", "note", "owner", "rule", "state", "version"];

const PRELUDE: &str = "
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['big_owner', 'big_deployer', 'big_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
    END LOOP;
    GRANT USAGE, CREATE ON SCHEMA public TO big_owner, big_deployer;
    GRANT USAGE ON SCHEMA public TO big_app;
    ALTER ROLE big_deployer SET lock_timeout = '5s';
END
$$;
";

/// One migration: name, up, down.
type Migration = (String, String, String);

/// Writes the project: migrations with their ledger, sources with their queries, but no `.sqlx` yet.
pub(crate) fn write(root: &Path) -> Vec<String> {
    let migrations = migrations();
    assert_eq!(migrations.len(), MIGRATIONS);
    fs::create_dir_all(root.join("migrations")).unwrap();
    fs::write(root.join("prelude.sql"), PRELUDE).unwrap();
    for (index, (name, up, down)) in migrations.iter().enumerate() {
        let stem = format!("migrations/{:04}_{name}", index + 1);
        fs::write(root.join(format!("{stem}.up.sql")), up).unwrap();
        fs::write(root.join(format!("{stem}.down.sql")), down).unwrap();
    }
    fs::write(root.join("migrations/applied.toml"), ledger(root)).unwrap();
    let queries = queries();
    assert_eq!(queries.len(), QUERIES);
    sources(root, &queries);
    queries
}

/// Writes `.sqlx` as `cargo sqlx prepare` does, from a database with the schema.
pub(crate) async fn prepare(root: &Path, url: &str, queries: &[String]) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    fs::create_dir_all(root.join(".sqlx")).unwrap();
    for query in queries {
        let described = connection.describe(AssertSqlSafe(query.clone()).into_sql_str()).await.unwrap();
        let hash: String =
            Sha256::digest(query.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let described: Value = serde_json::to_value(described).unwrap();
        let data = json!({ "db_name": "PostgreSQL", "query": query, "describe": described, "hash": hash });
        let text = serde_json::to_string_pretty(&data).unwrap() + "\n";
        fs::write(root.join(format!(".sqlx/query-{hash}.json")), text).unwrap();
    }
    connection.close().await.unwrap();
}

fn tables() -> Vec<String> {
    AREAS.iter().flat_map(|area| THINGS.iter().map(move |thing| format!("{area}_{thing}"))).collect()
}

/// Of another table that was made before.
fn parent(index: usize) -> usize {
    index / 2
}

fn migrations() -> Vec<Migration> {
    let tables = tables();
    let mut found = vec![(
        "begin".to_owned(),
        "CREATE TABLE tenant (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);\n\
         GRANT SELECT, REFERENCES ON tenant TO big_deployer;\nGRANT SELECT ON tenant TO big_app;\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO big_deployer;\n"
            .to_owned(),
        "DROP TABLE tenant;\n".to_owned(),
    )];
    for (index, table) in tables.iter().enumerate() {
        found.push(created(index, table, &tables));
    }
    for (index, table) in tables.iter().enumerate().take(60) {
        // Every third as one makes it on a table in use.
        let (marker, how) = if index % 3 == 0 { ("-- no-transaction\n", " CONCURRENTLY") } else { ("", "") };
        found.push((
            format!("index_{table}"),
            format!("{marker}CREATE INDEX{how} {table}_created ON {table} (tenant_id, created_at);\n"),
            format!("{marker}DROP INDEX{how} {table}_created;\n"),
        ));
    }
    for table in tables.iter().skip(10).take(60) {
        found.push((
            format!("{table}_archived"),
            format!("ALTER TABLE {table} ADD COLUMN archived_at timestamptz;\n"),
            format!("ALTER TABLE {table} DROP COLUMN archived_at;\n"),
        ));
    }
    for area in AREAS {
        found.push((
            format!("{area}_overview"),
            format!(
                "CREATE VIEW {area}_overview AS SELECT t.name AS tenant, count(e.id) AS entries FROM tenant t \
                 LEFT JOIN {area}_entry e ON e.tenant_id = t.id GROUP BY t.name;\n\
                 GRANT SELECT ON {area}_overview TO big_app;\n"
            ),
            format!("DROP VIEW {area}_overview;\n"),
        ));
    }
    let left = MIGRATIONS - found.len();
    for table in tables.iter().take(left) {
        found.push((
            format!("{table}_weight"),
            format!(
                "ALTER TABLE {table} ADD CONSTRAINT {table}_weight_positive CHECK (weight >= 0) NOT VALID;\n"
            ),
            format!("ALTER TABLE {table} DROP CONSTRAINT {table}_weight_positive;\n"),
        ));
    }
    found
}

fn created(index: usize, table: &str, tables: &[String]) -> Migration {
    let kind = format!("{table}_kind");
    let mut up = format!("CREATE TYPE {kind} AS ENUM ('new', 'used', 'gone');\n");
    write!(
        up,
        "CREATE TABLE {table} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    \
         tenant_id bigint NOT NULL REFERENCES tenant,\n    name text NOT NULL,\n    note text,\n    \
         kind {kind} NOT NULL DEFAULT 'new',\n    weight int NOT NULL DEFAULT 0,\n    tags text[],\n    \
         details jsonb NOT NULL DEFAULT '{{}}',\n    created_at timestamptz NOT NULL DEFAULT now()"
    )
    .unwrap();
    if index > 0 {
        write!(up, ",\n    parent_id bigint REFERENCES {}", tables[parent(index)]).unwrap();
    }
    write!(
        up,
        "\n);\nCREATE UNIQUE INDEX {table}_name ON {table} (tenant_id, name);\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO big_app;\n"
    )
    .unwrap();
    (table.to_owned(), up, format!("DROP TABLE {table};\nDROP TYPE {kind};\n"))
}

fn ledger(root: &Path) -> String {
    let directory = Directory::read(&root.join("migrations"), Ignored::default()).unwrap();
    let applied = directory.files.iter().filter(|it| it.kind.is_up()).take(MIGRATIONS - PENDING);
    let entries: Vec<Entry> = applied
        .map(|file| Entry {
            version: file.version,
            name: file.name.clone(),
            checksum: file.checksum(),
            role: if file.version == 1 { AppliedBy::Owner } else { AppliedBy::Deployer },
            line: 0,
        })
        .collect();
    let source = Source {
        cluster: "7000000000000000001".into(),
        database: "generated".into(),
        taken_at: "2026-01-31T12:00:00Z".into(),
    };
    sealed(&entries, &source)
}

fn queries() -> Vec<String> {
    let tables = tables();
    let mut found = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let up = &tables[parent(index)];
        found.push(format!(
            "SELECT id, name, note, kind::text AS kind, weight, tags FROM {table} WHERE id = $1"
        ));
        found.push(format!(
            "INSERT INTO {table} (tenant_id, name, note, weight)\n         VALUES ($1, $2, $3, $4)\n         RETURNING id, created_at"
        ));
        found.push(format!(
            "UPDATE {table} SET note = $3, weight = weight + 1 WHERE tenant_id = $1 AND name = $2"
        ));
        found.push(format!("DELETE FROM {table} WHERE tenant_id = $1 AND created_at < $2 RETURNING name"));
        found.push(if index == 0 {
            format!("SELECT count(*) AS \"count!\" FROM {table} WHERE kind = 'gone'")
        } else {
            format!(
                "SELECT c.id, c.name, p.name AS \"parent?\", t.name AS tenant\n         FROM {table} c\n         \
                 JOIN tenant t ON t.id = c.tenant_id\n         LEFT JOIN {up} p ON p.id = c.parent_id\n         \
                 WHERE c.tenant_id = $1\n         ORDER BY c.created_at DESC\n         LIMIT $2"
            )
        });
    }
    for area in AREAS {
        found.push(format!("SELECT tenant, entries FROM {area}_overview ORDER BY entries DESC"));
    }
    for table in tables.iter().take(QUERIES - found.len()) {
        found.push(format!(
            "INSERT INTO {table} (tenant_id, name) VALUES ($1, $2)\n         \
             ON CONFLICT (tenant_id, name) DO UPDATE SET weight = {table}.weight + 1 RETURNING weight"
        ));
    }
    found
}

/// A workspace with a module for ten queries.
fn sources(root: &Path, queries: &[String]) {
    let folder = root.join("crates/store/src");
    fs::create_dir_all(&folder).unwrap();
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n").unwrap();
    fs::write(
        root.join("crates/store/Cargo.toml"),
        "[package]\nname = \"store\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         sqlx = { version = \"0.9\", default-features = false, features = [\"macros\", \"postgres\", \"runtime-tokio\"] }\n",
    )
    .unwrap();
    let mut library = String::from("//! All queries.\n\n");
    for (number, share) in queries.chunks(10).enumerate() {
        writeln!(library, "pub mod part_{number};").unwrap();
        let mut module = String::from("//! Ten of the queries.\n\nuse sqlx::PgConnection;\n");
        for (index, query) in share.iter().enumerate() {
            let binds: String =
                (1..=4).filter(|it| query.contains(&format!("${it}"))).map(|it| format!(", v{it}")).collect();
            write!(
                module,
                "\npub async fn query_{index}(connection: &mut PgConnection) -> sqlx::Result<()> {{\n    \
                 sqlx::query!(\n        {query:?}{binds}\n    )\n    .fetch_all(connection)\n    .await\n    .map(drop)\n}}\n"
            )
            .unwrap();
        }
        fs::write(folder.join(format!("part_{number}.rs")), module).unwrap();
    }
    fs::write(folder.join("lib.rs"), library).unwrap();
}
