//! What the catalog tells: one order against another, one role against another, and what stands at the end.

use crate::project::{PRELUDE, Project};

/// Labels are applied; what comes after them by number is applied too.
fn with_labels() -> Project {
    Project::of_pairs()
        .pair(
            "0006_sent",
            "ALTER TYPE order_state ADD VALUE IF NOT EXISTS 'sent';\n",
            "SELECT 'a label stays';\n",
        )
        .applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
            ("0006_sent", "deployer"),
        ])
}

#[test]
fn a_late_file_that_leads_to_the_same_schema_is_only_late() {
    with_labels().check().expect(&["warning[late-version]"]);
}

#[test]
fn labels_in_another_order_are_found_with_the_late_file() {
    let project = with_labels().pair(
        "0005_lost",
        "ALTER TYPE order_state ADD VALUE IF NOT EXISTS 'lost';\n",
        "SELECT 'a label stays';\n",
    );

    let verdict = project.check();

    let late = ["warning[late-version]", "warning[late-version]"];
    let found = verdict.expect(&[late[0], late[1], "error[down-leaves-drift]", "error[order-drift]"]);
    insta::assert_snapshot!(found.split("error[order-drift]").nth(1).unwrap(), @"
    migrations/0005_lost.up.sql:1: a new database, which runs the files by number, is not what production will be: type order_state: labels: 'open', 'paid', 'sent', 'lost' -> 'open', 'paid', 'lost', 'sent'
     production: `0004_tags.up.sql` and `0005_lost.up.sql` run there after a file with a higher number; what starts from nothing, as new environments and tests do, is not what production is
     do: git mv migrations/0005_lost.up.sql migrations/0008_lost.up.sql && git mv migrations/0005_lost.down.sql migrations/0008_lost.down.sql
    ");
}

#[test]
fn a_file_that_runs_in_production_s_order_only_is_found() {
    let project = with_labels()
        .pair("0005_slips", "CREATE TABLE slips (id bigint PRIMARY KEY);\n", "DROP TABLE slips;\n")
        .applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
            ("0005_slips", "deployer"),
            ("0006_sent", "deployer"),
        ])
        .pair("0004_tags", "ALTER TABLE slips ADD COLUMN at date;\n", "ALTER TABLE slips DROP COLUMN at;\n");

    let verdict = project.check();

    let found = verdict.expect(&["warning[late-version]", "error[order-drift]"]);
    insta::assert_snapshot!(found.split("error[order-drift]").nth(1).unwrap(), @r#"
    migrations/0004_tags.up.sql:1: on a new database, which runs the files by number, this is refused: relation "slips" does not exist (SQLSTATE 42P01)
     production: `0004_tags.up.sql` runs there after a file with a higher number; what starts from nothing, as new environments and tests do, is not what production is
     do: git mv migrations/0004_tags.up.sql migrations/0007_tags.up.sql && git mv migrations/0004_tags.down.sql migrations/0007_tags.down.sql
    "#);
}

#[test]
fn a_migration_that_asks_for_its_rights_makes_another_schema_in_production() {
    let ask = "CREATE TABLE tags (id bigint PRIMARY KEY);\n\
               DO $$ BEGIN\n    IF pg_has_role('gate_owner', 'MEMBER') OR pg_catalog.has_table_privilege('accounts', 'TRUNCATE') THEN\n        \
               CREATE INDEX tags_idx ON tags (id DESC);\n    END IF;\nEND $$;\n";
    let project = Project::of_pairs().pair("0004_tags", ask, "DROP TABLE tags;\n");

    insta::assert_snapshot!(project.check().expect(&["error[owner-drift]"]), @"
    error[owner-drift] migrations/0004_tags.up.sql:4: run by `gate_deployer` this makes another schema than run by who owns everything: table tags: index tags_idx: missing as the deployer
      production: the deployment is green, and production silently lacks what every test has
      do: do not ask for rights in a migration: let it fail where `gate_deployer` lacks them, and grant them before it
    ");
}

#[test]
fn the_file_that_asks_is_named_and_not_the_ones_around_it() {
    let project = Project::of_pairs()
        .pair(
            "0005_shops",
            "DO $$ BEGIN\n    IF has_table_privilege('accounts', 'TRUNCATE') THEN\n        CREATE TABLE shops (id bigint PRIMARY KEY);\n    \
             END IF;\nEND $$;\n",
            "DROP TABLE IF EXISTS shops;\n",
        )
        .pair("0006_labels", "CREATE TABLE labels (id bigint PRIMARY KEY);\n", "DROP TABLE labels;\n");

    insta::assert_snapshot!(project.check().expect(&["error[owner-drift]"]), @"
    error[owner-drift] migrations/0005_shops.up.sql:3: run by `gate_deployer` this makes another schema than run by who owns everything: table shops: missing as the deployer
      production: the deployment is green, and production silently lacks what every test has
      do: do not ask for rights in a migration: let it fail where `gate_deployer` lacks them, and grant them before it
    ");
}

#[test]
fn a_caught_error_is_told_once() {
    let swallow = "CREATE TABLE tags (id bigint PRIMARY KEY);\n\
                   DO $$ BEGIN\n    ALTER TABLE accounts ADD COLUMN tag bigint;\n\
                   EXCEPTION WHEN OTHERS THEN NULL;\nEND $$;\n";
    let project = Project::of_pairs().pair("0004_tags", swallow, "DROP TABLE tags;\n");

    project.check().expect(&["error[swallowed-error]"]);
}

#[test]
fn everything_that_a_database_can_hold_is_taken_back_and_applied_again_in_any_order() {
    let project = Project::empty()
        .with("prelude.sql", format!("{PRELUDE}{LATER}"))
        .pair("0001_all", EVERYTHING, NOTHING);

    project.check().expect_clean();
}

/// The deployer may make schemas and trusted extensions.
const LATER: &str = "
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO gate_deployer', current_database()); END $$;
CREATE EXTENSION \"uuid-ossp\";
";

const EVERYTHING: &str = "
CREATE EXTENSION pg_trgm;
CREATE EXTENSION citext;
CREATE SCHEMA shop;
CREATE TYPE shop.size AS ENUM ('small', 'large');
CREATE TYPE shop.span AS RANGE (subtype = float8);
CREATE TYPE shop.spot AS (x int, y int);
CREATE DOMAIN shop.price AS numeric(10, 2) NOT NULL DEFAULT 0 CHECK (VALUE >= 0);
CREATE SEQUENCE shop.numbers AS int START 100;
CREATE TABLE shop.goods (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    number int NOT NULL DEFAULT nextval('shop.numbers'),
    name citext NOT NULL UNIQUE,
    size shop.size NOT NULL DEFAULT 'small',
    price shop.price,
    gross numeric GENERATED ALWAYS AS (price * 1.2) STORED,
    entered bigint GENERATED BY DEFAULT AS IDENTITY (START 10),
    title text COLLATE \"C\",
    EXCLUDE USING gist (int4range(number, number + 1) WITH &&) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX goods_title_idx ON shop.goods USING gin (title gin_trgm_ops) WHERE number > 0;
CREATE TABLE shop.events (id bigserial, at timestamptz NOT NULL, good uuid REFERENCES shop.goods ON DELETE CASCADE, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE shop.events_old PARTITION OF shop.events FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE shop.events_now PARTITION OF shop.events DEFAULT;
CREATE INDEX events_good_idx ON shop.events (good);
CREATE VIEW shop.cheap WITH (security_barrier) AS SELECT id, name FROM shop.goods WHERE price < 10;
CREATE MATERIALIZED VIEW shop.totals AS SELECT count(*) AS goods FROM shop.goods;
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RETURN NEW;
END
$$;
CREATE PROCEDURE shop.nothing() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
CREATE AGGREGATE shop.total(int) (sfunc = int4pl, stype = int);
CREATE TRIGGER goods_touch BEFORE UPDATE ON shop.goods FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE RULE cheap_quiet AS ON DELETE TO shop.cheap DO INSTEAD NOTHING;
CREATE STATISTICS shop.goods_stats ON number, title FROM shop.goods;
ALTER TABLE shop.goods ENABLE ROW LEVEL SECURITY;
CREATE POLICY goods_all ON shop.goods USING (true) WITH CHECK (number > 0);
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO gate_app;
GRANT USAGE ON SCHEMA shop TO gate_app;
GRANT SELECT, UPDATE (title) ON shop.goods TO gate_app;
COMMENT ON COLUMN shop.goods.title IS 'as printed';
COMMENT ON CONSTRAINT goods_pkey ON shop.goods IS 'an identity';
COMMENT ON SCHEMA shop IS 'what is sold';
";

const NOTHING: &str = "
DROP SCHEMA shop CASCADE;
DROP EXTENSION citext;
DROP EXTENSION pg_trgm;
";
