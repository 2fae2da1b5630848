//! What the catalog tells: one order against another, one role against another, and what stands at the end.

use crate::project::{PRELUDE, Project, Verdict};

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

/// Tenants with row security, which the services see by a policy; then what a test adds.
pub(crate) fn guarded(up: &str) -> Project {
    Project::of_pairs()
        .without("migrations/0004_tags.down.sql")
        .without("migrations/0004_tags.up.sql")
        .pair(
            "0004_guard",
            "CREATE TABLE tenants (id bigint PRIMARY KEY);\n\
             ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;\n\
             CREATE POLICY tenants_own ON tenants TO gate_app USING (true);\n\
             GRANT SELECT ON tenants TO gate_app;\n",
            "DROP TABLE tenants;\n",
        )
        .pair("0005_more", up, "DROP TABLE IF EXISTS notes;\nDROP FUNCTION IF EXISTS lend(int);\n")
}

#[test]
fn a_table_with_row_security_and_no_policy_for_the_services_is_found() {
    let table = "CREATE TABLE notes (id bigint PRIMARY KEY);\nALTER TABLE notes ENABLE ROW LEVEL SECURITY;\n";
    let grant = "GRANT SELECT ON notes TO gate_app;\n";
    let policy = "CREATE POLICY notes_all ON notes TO gate_app USING (true);\n";
    guarded(&format!("{table}{grant}{policy}")).check().expect_clean();
    guarded(table).check().expect_clean();

    insta::assert_snapshot!(guarded(&format!("{table}{grant}")).check().expect(&["error[rls-gap]"]), @"
    error[rls-gap] migrations/0005_more.up.sql:1: table notes has row security, and no policy lets `gate_app` see a row of it
      production: `gate_app` reads no rows and changes none, without any error
      do: CREATE POLICY … ON notes TO gate_app USING (…); or disable row security on it
    ");
    let restrictive = policy.replace("ON notes", "ON notes AS RESTRICTIVE");
    guarded(&format!("{table}{grant}{restrictive}")).check().expect(&["error[rls-gap]"]);
    let for_another = policy.replace("gate_app", "gate_owner");
    guarded(&format!("{table}{grant}{for_another}")).check().expect(&["error[rls-gap]"]);
}

#[test]
fn row_security_that_is_forced_on_who_runs_migrations_is_found() {
    let forced = "CREATE TABLE notes (id bigint PRIMARY KEY);\n\
                  -- squawk-ignore ban-disable-trigger\n\
                  ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;\n\
                  CREATE POLICY notes_all ON notes TO gate_app USING (true);\n";
    let policy = "CREATE POLICY notes_make ON notes TO gate_deployer USING (true);\n";
    guarded(&format!("{forced}{policy}")).check().expect_clean();

    insta::assert_snapshot!(guarded(forced).check().expect(&["warning[rls-gap]"]), @"
    warning[rls-gap] migrations/0005_more.up.sql:1: table notes forces row security on its owner, and no policy lets `gate_deployer` see a row of it
      production: a later migration that fills or corrects its rows changes none of them, without any error
      do: CREATE POLICY … ON notes TO gate_deployer USING (true); or leave out FORCE
    ");
}

#[test]
fn a_new_table_without_the_row_security_of_all_its_siblings_is_found() {
    let schema = "CREATE SCHEMA shop AUTHORIZATION gate_deployer;\n";
    let in_shop = |sql: &str| {
        Project::empty().with("prelude.sql", format!("{PRELUDE}{schema}")).pair(
            "0001_shop",
            sql,
            "DROP TABLE shop.a, shop.b, shop.c;\n",
        )
    };
    let guard = |table: &str| {
        format!(
            "CREATE TABLE shop.{table} (id bigint PRIMARY KEY);\nALTER TABLE shop.{table} ENABLE ROW LEVEL SECURITY;\n"
        )
    };
    let open = "CREATE TABLE shop.c (id bigint PRIMARY KEY);\nGRANT SELECT ON shop.c TO gate_app;\n";
    let both = guard("a") + &guard("b");
    in_shop(&format!("{both}{}", guard("c"))).check().expect_clean();

    insta::assert_snapshot!(in_shop(&format!("{both}{open}")).check().expect(&["warning[rls-gap]"]), @"
    warning[rls-gap] migrations/0001_shop.up.sql:5: table shop.c has no row security, and every other table of its schema has
      production: `gate_app` sees every row of it, whoever asks
      do: ALTER TABLE shop.c ENABLE ROW LEVEL SECURITY; and a policy; or waive this with the reason
    ");
}

#[test]
fn a_function_that_lends_its_owner_s_rights_is_found() {
    let lend = |rest: &str| {
        format!(
            "CREATE FUNCTION lend(int) RETURNS int LANGUAGE sql SECURITY DEFINER {rest}\nAS 'SELECT $1';\n"
        )
    };
    let with_path = lend("SET search_path = pg_catalog, pg_temp");
    let revoke = "REVOKE EXECUTE ON FUNCTION lend(int) FROM PUBLIC;\n";
    guarded(&format!("{with_path}{revoke}")).check().expect_clean();

    insta::assert_snapshot!(guarded(&lend("")).check().expect(&["warning[rls-gap]"]), @"
    warning[rls-gap] migrations/0005_more.up.sql:1: function lend(integer) runs with its owner's rights, in the `search_path` of whoever calls it
      production: a caller puts a table or function of his own in front, and it runs with the owner's rights
      do: ALTER ROUTINE lend(integer) SET search_path = pg_catalog, …, pg_temp;
    ");
    insta::assert_snapshot!(guarded(&with_path).check().expect(&["info[rls-gap]"]), @"
    info[rls-gap] migrations/0005_more.up.sql:1: function lend(integer) runs with its owner's rights, and everybody may call it
      production: every role that can log in does with it what only its owner may
      do: REVOKE EXECUTE ON ROUTINE lend(integer) FROM PUBLIC; and grant it to whom it is for
    ");
}

#[test]
fn an_index_that_a_second_run_would_leave_invalid_is_found() {
    let index = |create: &str| {
        Project::of_pairs().pair(
            "0005_index",
            &format!("-- no-transaction\n{create} orders_note_idx ON orders (note);\n"),
            "DROP INDEX orders_note_idx;\n",
        )
    };
    index("CREATE UNIQUE INDEX CONCURRENTLY").check_with(&["--boot", "alone"]).expect_clean();

    let found = index("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS").check_with(&["--boot", "alone"]);
    insta::assert_snapshot!(found.expect(&["error[invalid-index]"]), @"
    error[invalid-index] migrations/0005_index.up.sql:2: after an attempt that failed half way, the second run passes over index `orders_note_idx` of table orders, which that left invalid
      production: the migration is recorded as done, and the index stays invalid: what it should keep unique is not
      do: leave out `IF NOT EXISTS`, so that the second run fails until `DROP INDEX CONCURRENTLY orders_note_idx;` was run
    ");
    index("CREATE INDEX CONCURRENTLY IF NOT EXISTS")
        .check_with(&["--boot", "alone"])
        .expect(&["error[invalid-index]"]);
}

#[test]
fn an_index_that_not_every_partition_has_is_found() {
    let parts = "CREATE TABLE tags (id bigint NOT NULL, tag text) PARTITION BY RANGE (id);\n\
                 CREATE TABLE tags_low PARTITION OF tags FOR VALUES FROM (0) TO (10);\n\
                 CREATE INDEX tags_idx ON ONLY tags (id);\n";
    let attach =
        "CREATE INDEX tags_low_idx ON tags_low (id);\nALTER INDEX tags_idx ATTACH PARTITION tags_low_idx;\n";
    let project = |up: &str| Project::of_pairs().pair("0004_tags", up, "DROP TABLE tags;\n");
    project(&format!("{parts}{attach}")).check().expect_clean();

    insta::assert_snapshot!(project(parts).check().expect(&["warning[invalid-index]"]), @"
    warning[invalid-index] migrations/0004_tags.up.sql:3: index tags_idx of table tags is invalid at the end
      production: a partition lacks it: queries walk that one, and what it should keep unique is not
      do: make it on every partition and attach each: `ALTER INDEX … ATTACH PARTITION …`
    ");
}

/// The good project with another pending migration, deployed by a member of the owner.
pub(crate) fn lent(up: &str) -> Project {
    Project::of_pairs()
        .with("prelude.sql", format!("{PRELUDE}{LENDER}"))
        .deployed_by("gate_lender")
        .pair(
            "0001_accounts",
            "CREATE TABLE accounts (id bigint PRIMARY KEY);\nGRANT ALL ON _sqlx_migrations TO gate_lender;\n",
            "DROP TABLE accounts;\n",
        )
        .pair("0004_tags", up, "DROP TABLE tags;\n")
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0003_order_state", "deployer")])
}

#[test]
fn a_table_that_the_wrong_role_owns_is_found() {
    let table = "CREATE TABLE tags (id bigint PRIMARY KEY);\n";
    lent(table).check().expect_clean();

    let given = format!("{table}ALTER TABLE tags OWNER TO gate_owner;\n");
    insta::assert_snapshot!(lent(&given).check().expect(&["error[foreign-ownership]"]), @"
    error[foreign-ownership] migrations/0004_tags.up.sql:1: after this, `gate_owner` owns table tags, not `gate_lender`
      production: the next migration that alters it needs the rights of `gate_owner`, and without them is refused: SQLSTATE 42501
      do: leave it to the role that runs migrations, or end the file with `ALTER TABLE tags OWNER TO gate_lender;`
    ");
}

#[test]
fn with_all_what_production_has_is_taken_back_too_by_the_role_that_made_it() {
    let check = |project: &Project| {
        let mut command = project.command("check");
        command.arg("--all");
        Verdict::of(command)
    };
    check(&Project::of_pairs()).expect_clean();
    let project = Project::of_pairs()
        .with("migrations/0002_orders.down.sql", "ALTER TABLE orders RENAME TO purchases;\n");
    project.check().expect_clean();

    insta::assert_snapshot!(check(&project).expect(&["error[down-leaves-drift]"]), @"
    error[down-leaves-drift] migrations/0002_orders.down.sql:1: the schema is not what it was before the up: table purchases: only after the down
      production: after a rollback the old release runs on a schema that nobody has ever tested
      do: let the down undo everything that `0002_orders.up.sql` does, and nothing else
    ");
    let project = Project::of_pairs().with(
        "migrations/0001_accounts.down.sql",
        "REVOKE ALL ON _sqlx_migrations FROM gate_deployer;\nDROP TABLE account;\n",
    );
    insta::assert_snapshot!(check(&project).expect(&["error[down-fails]"]), @r#"
    error[down-fails] migrations/0001_accounts.down.sql:2: table "account" does not exist (SQLSTATE 42P01)
      production: in the incident that needs it, the rollback stops here
      do: correct the statement so that it undoes what the up does, on the schema that the up leaves
    "#);
}

/// A deployer who is a member of the owner; several tests may make it at once.
const LENDER: &str = "
DO $$ BEGIN
    LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'gate_lender') THEN
        CREATE ROLE gate_lender LOGIN;
        GRANT gate_owner TO gate_lender;
    END IF;
    GRANT USAGE, CREATE ON SCHEMA public TO gate_lender;
END $$;
";

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
