//! Every prepared query is tried as the role that sends it.

use crate::project::{Project, Verdict};

/// What the application may in a good project: everything that its queries need.
const GOOD: &str = "
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE shops (id bigserial PRIMARY KEY, name text NOT NULL, mood mood NOT NULL DEFAULT 'glad', boss bigint);
CREATE TABLE stock (shop bigint NOT NULL, day date NOT NULL, amount int NOT NULL DEFAULT 0, PRIMARY KEY (shop, day))
    PARTITION BY RANGE (day);
CREATE TABLE stock_2026 PARTITION OF stock FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant uuid NOT NULL, text text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant')::uuid);
CREATE VIEW glad_shops AS SELECT id, name FROM shops WHERE mood = 'glad';
CREATE VIEW all_shops WITH (security_invoker) AS SELECT id, name FROM shops;
CREATE FUNCTION rows_of(name text) RETURNS bigint STRICT LANGUAGE plpgsql AS $$
DECLARE rows bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', name) INTO rows; RETURN rows; END $$;
CREATE FUNCTION shop_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM shops';
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.name := coalesce(NEW.name, 'shop ' || (SELECT count(*) FROM shops)); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON shops FOR EACH ROW EXECUTE FUNCTION stamp();
GRANT SELECT, INSERT, UPDATE, DELETE ON shops, stock, notes TO gate_app;
GRANT SELECT ON glad_shops, all_shops TO gate_app;
GRANT USAGE ON SEQUENCE shops_id_seq TO gate_app;
";

const MOOD: &str = r#"{"Custom": {"name": "mood", "kind": {"Enum": ["glad", "sad"]}}}"#;

const DOWN: &str = "
DROP VIEW all_shops, glad_shops;
DROP FUNCTION shop_count(), rows_of(text);
DROP TABLE notes, stock, shops;
DROP FUNCTION stamp();
DROP TYPE mood;
";

fn shop() -> Project {
    Project::of_pairs().pair("0005_shops", GOOD, DOWN)
}

/// The good project with `sql` behind its last migration.
fn shop_after(sql: &str) -> Project {
    Project::of_pairs().pair("0005_shops", &format!("{GOOD}{sql}"), DOWN)
}

/// Without the pair's down: what `sql` makes would have to go first.
fn shop_with(sql: &str, undo: &str) -> Project {
    Project::of_pairs().pair("0005_shops", &format!("{GOOD}{sql}"), &format!("{undo}{DOWN}"))
}

/// The `do:` line of the only finding, and nothing but the statement in it.
#[track_caller]
fn grant(verdict: &Verdict) -> String {
    verdict.expect(&["error[missing-grant]"]);
    let fix = verdict.stdout.lines().find_map(|line| line.strip_prefix("  do: ")).unwrap();
    fix.split("; --").next().unwrap().to_owned()
}

#[test]
fn whatever_the_queries_of_a_good_project_do_is_accepted() {
    let project = shop()
        .query("01", "SELECT id, name AS \"name!\" FROM shops WHERE id = $1", &["Int8"])
        .query("02", "INSERT INTO shops (name, boss) VALUES ($1, $2) RETURNING id;", &["Text", "Int8"])
        .query("03", "UPDATE shops SET name = $1 WHERE id = $2", &["Text", "Int8"])
        .query("04", "DELETE FROM shops WHERE id = ANY ($1)", &["Int8Array"])
        .query("05", "SELECT * FROM glad_shops -- the good ones", &[])
        .query("06", "SELECT * FROM all_shops WHERE name ILIKE $1", &["Text"])
        .query(
            "07",
            "WITH gone AS (DELETE FROM stock WHERE shop = $1 RETURNING *) INSERT INTO stock SELECT * FROM gone",
            &["Int8"],
        )
        .query(
            "08",
            "MERGE INTO stock USING shops ON shops.id = stock.shop \
             WHEN MATCHED THEN UPDATE SET amount = $1 WHEN NOT MATCHED THEN INSERT VALUES (shops.id, $2, $1)",
            &["Int4", "Date"],
        )
        .query(
            "09",
            "INSERT INTO stock (shop, day, amount) VALUES ($1, $2, $3) \
             ON CONFLICT (shop, day) DO UPDATE SET amount = excluded.amount",
            &["Int8", "Date", "Int4"],
        )
        .query("10", "SELECT id FROM shops FOR UPDATE SKIP LOCKED LIMIT 1", &[])
        .query("11", "INSERT INTO notes (tenant, text) VALUES ($1, $2)", &["Uuid", "Text"])
        .query("12", "SELECT text FROM notes", &[])
        .query("13", "SELECT shop_count(), now(), gen_random_uuid()", &[])
        .query("14", "SELECT count(*) FROM shops WHERE $1::bigint IS NOT NULL", &["Int8"])
        .query("15", "SELECT 1 / $1::int, 'x'::text || $2", &["Int4", "Text"])
        .query("16", "NOTIFY shops, 'changed'", &[])
        .query("17", "SET LOCAL lock_timeout = '1s'", &[])
        .query("18", "BEGIN", &[])
        .query("19", "SELECT pg_advisory_xact_lock($1), pg_sleep(0)", &["Int8"])
        .query("20", "SELECT set_config('app.tenant', $1, true)", &["Text"])
        .query("21", "SELECT id FROM shops WHERE mood = $1", &[MOOD])
        .query("22", "", &[])
        .query("23", "SELECT rows_of($1)", &["Text"]);

    let verdict = project.check();

    verdict.expect_clean();
    insta::assert_snapshot!(verdict.stderr, @"
    note: queries read the setting `app.tenant`, which was tried as '00000000-0000-0000-0000-000000000000'; `--setting app.tenant=VALUE` tells what the code makes it
    note: whether the last release would still work was not judged: `--release TAG` names it, or `--release-tags 'v*'` finds it
    migrations hold: 3 applied and 2 pending, 23 queries tried
    ");
}

#[test]
fn a_missing_grant_is_printed_whole_with_every_query_that_needs_it() {
    let project = shop_after("REVOKE ALL ON shops FROM gate_app;\n")
        .with(
            "src/main.rs",
            "fn main() {\n    query!(\n        \"SELECT name FROM shops \\\n         WHERE id = $1\",\n        7\n    );\n\
             \n    query!(r#\"\n        UPDATE shops SET name = $1\n        WHERE id = $2\n    \"#);\n}\n",
        )
        .query("1", "UPDATE shops SET name = $1\n        WHERE id = $2", &["Text", "Int8"])
        .query("2", "SELECT name FROM shops WHERE id = $1", &["Int8"])
        .query("3", "DELETE FROM shops", &[])
        .query("4", "SELECT 1", &[]);

    insta::assert_snapshot!(project.check().expect(&["error[missing-grant]"]), @"
    error[missing-grant] src/main.rs:3: `gate_app` lacks SELECT, UPDATE, DELETE on table `public.shops`, needed by `SELECT name FROM shops WHERE id = $1`, and src/main.rs:9, .sqlx/query-3.json:1
      production: every such query is refused with SQLSTATE 42501, from the first one
      do: GRANT SELECT, UPDATE, DELETE ON TABLE public.shops TO gate_app; -- in a migration that `gate_deployer` runs, who owns it
    ");
}

#[test]
fn every_kind_of_right_is_asked_for_by_its_name() {
    let check = |(without, query, parameters, expected): &Right| {
        let project = shop_with(without.0, without.1).query("1", query, parameters);

        assert_eq!(grant(&project.check()), *expected, "{query}");
    };
    std::thread::scope(|scope| {
        for rights in RIGHTS.chunks(RIGHTS.len().div_ceil(4)) {
            scope.spawn(move || rights.iter().for_each(check));
        }
    });
}

/// What is made or taken away and how it is undone, the query, its parameters, and what is missing then.
type Right = ((&'static str, &'static str), &'static str, &'static [&'static str], &'static str);

const RIGHTS: &[Right] = &[
    // The default of a serial column: no plan shows it.
    (
        ("REVOKE ALL ON SEQUENCE shops_id_seq FROM gate_app;", ""),
        "INSERT INTO shops (name) VALUES ($1)",
        &["Text"],
        "GRANT USAGE ON SEQUENCE public.shops_id_seq TO gate_app",
    ),
    (
        ("REVOKE ALL ON SEQUENCE shops_id_seq FROM gate_app;", ""),
        "SELECT setval('shops_id_seq', 7)",
        &[],
        "GRANT UPDATE ON SEQUENCE public.shops_id_seq TO gate_app",
    ),
    // Folded away for a null, but not for another value.
    (
        (
            "CREATE FUNCTION priv(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'; REVOKE ALL ON FUNCTION priv FROM PUBLIC;",
            "DROP FUNCTION priv;",
        ),
        "SELECT 1 FROM stock WHERE amount = $1 AND priv(1) = 1",
        &["Int4"],
        "GRANT EXECUTE ON FUNCTION public.priv(n integer) TO gate_app",
    ),
    (
        ("CREATE TABLE secret (id int);", "DROP TABLE secret;"),
        "SELECT 1 FROM shops WHERE $1::bool AND EXISTS (SELECT FROM secret)",
        &["Bool"],
        "GRANT SELECT ON TABLE public.secret TO gate_app",
    ),
    (
        ("CREATE TABLE secret (id int);", "DROP TABLE secret;"),
        "SELECT CASE WHEN $1 THEN (SELECT count(*) FROM secret) END",
        &["Bool"],
        "GRANT SELECT ON TABLE public.secret TO gate_app",
    ),
    // In the body of a function and of a trigger.
    (
        (
            "CREATE TABLE secret (id int); CREATE FUNCTION peek() RETURNS bigint LANGUAGE plpgsql AS \
             'BEGIN RETURN (SELECT count(*) FROM secret); END';",
            "DROP FUNCTION peek; DROP TABLE secret;",
        ),
        "SELECT peek()",
        &[],
        "GRANT SELECT ON TABLE public.secret TO gate_app",
    ),
    (
        (
            "CREATE TABLE log (shop bigint); CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END'; \
             CREATE TRIGGER log AFTER INSERT ON shops FOR EACH ROW EXECUTE FUNCTION log();",
            "DROP TRIGGER log ON shops; DROP FUNCTION log(); DROP TABLE log;",
        ),
        "INSERT INTO shops (boss) VALUES ($1)",
        &["Int8"],
        "GRANT INSERT ON TABLE public.log TO gate_app",
    ),
    (
        (
            "CREATE TABLE log (shop bigint); CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END'; \
             CREATE CONSTRAINT TRIGGER log AFTER INSERT ON shops DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION log();",
            "DROP TRIGGER log ON shops; DROP FUNCTION log(); DROP TABLE log;",
        ),
        "INSERT INTO shops (boss) VALUES ($1)",
        &["Int8"],
        "GRANT INSERT ON TABLE public.log TO gate_app",
    ),
    // Behind a NOT NULL, and in a function that nulls do not enter.
    (
        (
            "CREATE TABLE log (day date); CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO log VALUES (NEW.day); RETURN NULL; END'; \
             CREATE TRIGGER log AFTER INSERT ON stock FOR EACH ROW EXECUTE FUNCTION log();\
             CREATE TABLE stock_rest PARTITION OF stock DEFAULT;",
            "DROP TRIGGER log ON stock; DROP FUNCTION log(); DROP TABLE log;",
        ),
        "INSERT INTO stock VALUES ($1, $2, $3)",
        &["Int8", "Date", "Int4"],
        "GRANT INSERT ON TABLE public.log TO gate_app",
    ),
    (
        (
            "CREATE TABLE secret (id int); CREATE FUNCTION peek(n int) RETURNS bigint STRICT LANGUAGE plpgsql AS \
             'BEGIN RETURN (SELECT count(*) FROM secret); END';",
            "DROP FUNCTION peek; DROP TABLE secret;",
        ),
        "SELECT peek($1)",
        &["Int4"],
        "GRANT SELECT ON TABLE public.secret TO gate_app",
    ),
    // What has no plan.
    (("", ""), "TRUNCATE stock", &[], "GRANT TRUNCATE ON TABLE public.stock TO gate_app"),
    (
        (
            "CREATE PROCEDURE tidy(days int) LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON PROCEDURE tidy FROM PUBLIC;",
            "DROP PROCEDURE tidy;",
        ),
        "CALL tidy($1)",
        &["Int4"],
        "GRANT EXECUTE ON PROCEDURE public.tidy(IN days integer) TO gate_app",
    ),
    // More than what the statement is called after.
    (
        ("REVOKE ALL ON stock FROM gate_app;", ""),
        "INSERT INTO stock VALUES ($1, $2, $3) ON CONFLICT (shop, day) DO UPDATE SET amount = excluded.amount",
        &["Int8", "Date", "Int4"],
        "GRANT SELECT, INSERT, UPDATE ON TABLE public.stock TO gate_app",
    ),
    (
        ("REVOKE UPDATE ON shops FROM gate_app;", ""),
        "SELECT id FROM shops FOR UPDATE SKIP LOCKED",
        &[],
        "GRANT UPDATE ON TABLE public.shops TO gate_app",
    ),
    // Columns, where columns have been granted.
    (
        ("REVOKE ALL ON shops FROM gate_app; GRANT SELECT (id, name) ON shops TO gate_app;", ""),
        "SELECT id, boss FROM shops WHERE mood = 'sad'",
        &[],
        "GRANT SELECT (boss, mood) ON TABLE public.shops TO gate_app",
    ),
    // Through views.
    (
        ("REVOKE ALL ON shops FROM gate_app;", ""),
        "SELECT id FROM all_shops",
        &[],
        "GRANT SELECT ON TABLE public.shops TO gate_app",
    ),
    (
        ("REVOKE ALL ON glad_shops FROM gate_app;", ""),
        "SELECT id FROM glad_shops",
        &[],
        "GRANT SELECT ON TABLE public.glad_shops TO gate_app",
    ),
    (
        (
            "CREATE VIEW people AS SELECT * FROM accounts; GRANT SELECT ON people TO gate_app;",
            "DROP VIEW people;",
        ),
        "SELECT name FROM people",
        &[],
        "GRANT SELECT ON TABLE public.accounts TO gate_deployer",
    ),
    // A policy reads another table.
    (
        (
            "CREATE TABLE tenants (id uuid); CREATE POLICY known ON notes USING (tenant IN (SELECT id FROM tenants));",
            "DROP POLICY known ON notes; DROP TABLE tenants;",
        ),
        "SELECT text FROM notes",
        &[],
        "GRANT SELECT ON TABLE public.tenants TO gate_app",
    ),
];

#[test]
fn a_temporary_table_needs_a_right_on_the_database() {
    let prelude = crate::project::PRELUDE.replace(
        "END\n$prelude$",
        "EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());\nEND\n$prelude$",
    );
    let project = shop().with("prelude.sql", prelude).query("1", "CREATE TEMPORARY TABLE t (id int)", &[]);

    assert!(grant(&project.check()).starts_with("GRANT TEMPORARY ON DATABASE "));
}

#[test]
fn a_schema_is_part_of_what_has_to_be_granted() {
    let prelude = format!("{}CREATE SCHEMA sales AUTHORIZATION gate_deployer;", crate::project::PRELUDE);
    let project = shop_with("CREATE TABLE sales.orders (id int);", "DROP TABLE sales.orders;")
        .with("prelude.sql", prelude)
        .query("1", "SELECT id FROM sales.orders", &[]);

    insta::assert_snapshot!(project.check().expect(&["error[missing-grant]", "error[missing-grant]"]), @"
    error[missing-grant] .sqlx/query-1.json:1: `gate_app` lacks USAGE on schema `sales`, needed by `SELECT id FROM sales.orders`
      production: every such query is refused with SQLSTATE 42501, from the first one; production refuses it today already
      do: GRANT USAGE ON SCHEMA sales TO gate_app; -- in a migration that `gate_deployer` runs, who owns it
    error[missing-grant] .sqlx/query-1.json:1: `gate_app` lacks SELECT on table `sales.orders`, needed by `SELECT id FROM sales.orders`
      production: every such query is refused with SQLSTATE 42501, from the first one; production refuses it today already
      do: GRANT SELECT ON TABLE sales.orders TO gate_app; -- in a migration that `gate_deployer` runs, who owns it
    ");
}

#[test]
fn what_no_grant_helps_is_told_for_what_it_is() {
    let project = shop_with(
        "CREATE TABLE old (id int);\n\
         CREATE FUNCTION late() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(id) FROM old); END';\n\
         CREATE FUNCTION lost() RETURNS int LANGUAGE sql AS 'SELECT max(boss)::int FROM shops';\n\
         DROP TABLE old;\nALTER TABLE shops DROP COLUMN boss;\n",
        "DROP FUNCTION late, lost; CREATE TABLE old (id int); DROP TABLE old;\n",
    )
    .query("1", "SELECT late()", &[])
    .query("2", "SELECT lost()", &[])
    .query("3", "SELECT boss FROM shops", &[])
    .query("4", "INSERT INTO shops (boss) VALUES ($1)", &["Int8"])
    .query("5", "ALTER SEQUENCE shops_id_seq RESTART", &[])
    .query("6", "SELECT 1; SELECT 2", &[])
    .query("7", "INSERT INTO stock VALUES ($1, $2) ON CONFLICT (amount) DO NOTHING", &["Int8", "Date"])
    .query("8", "SELEC 1", &[])
    .query("9", "SELECT id FROM shops WHERE mood = 'angry'", &[])
    .query("12", "INSERT INTO stock (day) VALUES ($1)", &["Date"])
    .with(".sqlx/query-10.json", "{\"query\": \"SELECT 1\"")
    .with(".sqlx/query-11.json", "{\"db_name\": \"SQLite\", \"query\": \"SELECT 1\", \"describe\": {}}");

    let verdict = project.check();

    insta::assert_snapshot!(verdict.expect(&["error[query-broken]"; 10]), @r#"
    error[query-broken] .sqlx/query-10.json:1: this is no prepared query: EOF while parsing an object at line 1 column 20
      production: nobody knows whether the query would work, and a build without a database stops here
      do: cargo sqlx prepare --workspace
    error[query-broken] .sqlx/query-9.json:1: refused to `gate_app`: invalid input value for enum mood: "angry" (SQLSTATE 22P02): `SELECT id FROM shops WHERE mood = 'angry'`
      production: the query fails whenever it is sent, whatever its parameters
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    error[query-broken] .sqlx/query-12.json:1: refused to `gate_app`: null value in column "shop" of relation "stock" violates not-null constraint (SQLSTATE 23502): `INSERT INTO stock (day) VALUES ($1)`
      production: the query fails whenever it is sent, whatever its parameters
      do: let the query fill the column, or give the column a default in a migration
    error[query-broken] .sqlx/query-5.json:1: refused to `gate_app`: must be owner of sequence shops_id_seq (SQLSTATE 42501): `ALTER SEQUENCE shops_id_seq RESTART`
      production: the query fails whenever it is sent, whatever its parameters
      do: no grant helps: let a function of the owner's do it (`SECURITY DEFINER`, with its `search_path` set), which `gate_app` may execute
    error[query-broken] .sqlx/query-6.json:1: refused to `gate_app`: cannot insert multiple commands into a prepared statement (SQLSTATE 42601): `SELECT 1; SELECT 2`
      production: the query fails whenever it is sent, whatever its parameters; production refuses it today already
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    error[query-broken] .sqlx/query-8.json:1: refused to `gate_app`: syntax error at or near "SELEC" (SQLSTATE 42601): `SELEC 1`
      production: the query fails whenever it is sent, whatever its parameters; production refuses it today already
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    error[query-broken] .sqlx/query-2.json:1: refused to `gate_app`: column "boss" does not exist (SQLSTATE 42703): `SELECT lost()`, and .sqlx/query-3.json:1
      production: the query fails whenever it is sent, whatever its parameters
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    error[query-broken] .sqlx/query-4.json:1: refused to `gate_app`: column "boss" of relation "shops" does not exist (SQLSTATE 42703): `INSERT INTO shops (boss) VALUES ($1)`
      production: the query fails whenever it is sent, whatever its parameters
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    error[query-broken] .sqlx/query-1.json:1: refused to `gate_app`: relation "old" does not exist (SQLSTATE 42P01): `SELECT late()`
      production: the query fails whenever it is sent, whatever its parameters
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    error[query-broken] .sqlx/query-7.json:1: refused to `gate_app`: there is no unique or exclusion constraint matching the ON CONFLICT specification (SQLSTATE 42P10): `INSERT INTO stock VALUES ($1, $2) ON CONFLICT (amount) DO NO…`
      production: the query fails whenever it is sent, whatever its parameters
      do: write the query for the schema that the migrations leave, or let a migration make what it asks for; then `cargo sqlx prepare`
    "#);
    insta::assert_snapshot!(verdict.stderr, @"
    note: 1 prepared queries are for another kind of database
    note: whether the last release would still work was not judged: `--release TAG` names it, or `--release-tags 'v*'` finds it
    migrations: 3 applied and 2 pending, 10 queries tried; 10 error(s), 0 warning(s); `migration-gate explain CODE` tells more
    ");
}

#[test]
fn what_production_refuses_already_is_told_so() {
    let project = shop().query("1", "SELECT name FROM accounts", &[]).query("2", "DELETE FROM tags", &[]);

    insta::assert_snapshot!(project.check().expect(&["error[missing-grant]", "error[missing-grant]"]), @"
    error[missing-grant] .sqlx/query-1.json:1: `gate_app` lacks SELECT on table `public.accounts`, needed by `SELECT name FROM accounts`
      production: every such query is refused with SQLSTATE 42501, from the first one; production refuses it today already
      do: GRANT SELECT ON TABLE public.accounts TO gate_app; -- in a migration that `gate_owner` runs, who owns it
    error[missing-grant] .sqlx/query-2.json:1: `gate_app` lacks DELETE on table `public.tags`, needed by `DELETE FROM tags`
      production: every such query is refused with SQLSTATE 42501, from the first one
      do: GRANT DELETE ON TABLE public.tags TO gate_app; -- in a migration that `gate_deployer` runs, who owns it
    ");
}

#[test]
fn a_folder_may_be_sent_by_another_role() {
    let prelude = crate::project::PRELUDE.replace("'gate_app']", "'gate_app', 'gate_reader']");
    let project = shop()
        .with("prelude.sql", prelude)
        .query("1", "DELETE FROM tags", &[])
        .renamed(".sqlx", "reader")
        .query("1", "SELECT tag FROM tags", &[]);
    let mut command = project.command("check");
    command.args(["--queries", "reader=gate_reader"]);

    let verdict = Verdict::of(command);

    insta::assert_snapshot!(verdict.expect(&["error[missing-grant]"]), @"
    error[missing-grant] reader/query-1.json:1: `gate_reader` lacks DELETE on table `public.tags`, needed by `DELETE FROM tags`
      production: every such query is refused with SQLSTATE 42501, from the first one
      do: GRANT DELETE ON TABLE public.tags TO gate_reader; -- in a migration that `gate_deployer` runs, who owns it
    ");
}

#[test]
fn a_setting_that_policies_read_can_be_told() {
    let project = shop_with(
        "CREATE FUNCTION tenant() RETURNS uuid LANGUAGE plpgsql AS $$ BEGIN\n\
         IF current_setting('app.tenant') <> 'seven' THEN RETURN missing_function(); END IF;\n\
         RETURN NULL; END $$;\n",
        "DROP FUNCTION tenant();\n",
    )
    .query("1", "SELECT tenant()", &[]);

    project.check().expect(&["error[query-broken]"]);

    let mut command = project.command("check");
    command.args(["--setting", "app.tenant=seven"]);
    let verdict = Verdict::of(command);
    verdict.expect_clean();
    assert!(!verdict.stderr.contains("app.tenant"), "{}", verdict.stderr);
}

#[test]
fn a_folder_that_is_not_there_is_a_fault_of_the_command_line() {
    let project = shop();
    let mut command = project.command("check");
    command.args(["--queries", "services/.sqlx"]);

    let verdict = Verdict::of(command);

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: the folder of queries `services/.sqlx` does not exist; correct the path");
}
