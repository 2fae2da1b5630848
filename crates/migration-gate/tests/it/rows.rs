//! Pending migrations on tables that hold rows: made-up ones, or the project's own.

use crate::locks::{Then as _, pending};

#[test]
fn a_column_that_may_not_be_null_needs_a_default() {
    pending("ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'open';\n").check().expect_clean();
    pending("CREATE TABLE tags (id int);\n")
        .then("0004_tag", "ALTER TABLE tags ADD COLUMN tag text NOT NULL;\n")
        .check()
        .expect_clean();

    let broken =
        pending("CREATE TABLE tags (tag text);\n\nALTER TABLE orders\n    ADD COLUMN state text NOT NULL;\n");

    insta::assert_snapshot!(broken.check().expect(&["error[not-null-without-default]"]), @r#"
    error[not-null-without-default] migrations/0003_tags.sql:3: adds `state` to `orders`, NOT NULL and without a default: column "state" of relation "orders" contains null values (SQLSTATE 23502)
      production: the deployment stops here as soon as `orders` holds one row, and nothing of the file is kept
      do: give it a default, or add it nullable, fill it in a later file, and only then `CHECK … NOT VALID`, `VALIDATE CONSTRAINT`, `SET NOT NULL`
    "#);
}

#[test]
fn what_comes_after_it_is_judged_too() {
    let broken = pending("ALTER TABLE orders ADD COLUMN state text NOT NULL;\n")
        .then("0004_index", "CREATE INDEX ON orders (state);\n");

    broken.check().expect(&["error[not-null-without-default]", "error[lock-scan]"]);
}

#[test]
fn a_file_outside_a_transaction_meets_rows_too() {
    let broken = pending("-- no-transaction\nALTER TABLE orders ADD COLUMN state text NOT NULL;\n");

    broken.check().expect(&["error[not-null-without-default]"]);
}

#[test]
fn a_constant_in_a_new_unique_column_is_the_same_in_every_row() {
    let broken = pending("ALTER TABLE orders ADD COLUMN code text NOT NULL DEFAULT '';\n").then(
        "0004_code",
        "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY orders_code ON orders (code);\n",
    );

    insta::assert_snapshot!(broken.check_with(&["--boot", "alone"]).expect(&["warning[apply-failed]"]), @r#"
    warning[apply-failed] migrations/0004_code.sql:2: with made-up rows in the tables: could not create unique index "orders_code" (SQLSTATE 23505): Key (code)=() is duplicated
      production: the deployment stops here if one row of production is like that
      do: correct such rows in an earlier migration, or show with rows of your own in `sample-rows.sql` that there are none
    "#);
}

#[test]
fn rows_of_the_projects_own_are_what_production_holds() {
    let cast = "ALTER TABLE orders ADD COLUMN number int;\n";
    let project = pending(cast)
        .then("0004_numbers", "UPDATE orders SET number = note::int;\n")
        .with("migrations/sample-rows.sql", "INSERT INTO orders (id, note) VALUES (7, '12');\n");
    project.check().expect_clean();

    let broken =
        project.with("migrations/sample-rows.sql", "INSERT INTO orders (id, note)\nVALUES (7, 'twelve');\n");
    insta::assert_snapshot!(broken.check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0004_numbers.sql:1: with the project's sample rows in the tables: invalid input syntax for type integer: "twelve" (SQLSTATE 22P02)
      production: the deployment stops here as soon as one row is like that, and nothing of the file is kept
      do: correct such rows in an earlier migration, or in this one before the statement
    "#);

    let named =
        broken.with("migrations/sample-rows.sql", "INSERT INTO orders (id, note) VALUES (7, '12');\n").with(
            "migrations/sample-rows/0004_numbers.sql",
            "INSERT INTO orders (id, note) VALUES (8, 'eight');\n",
        );
    insta::assert_snapshot!(named.check().expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0004_numbers.sql:1: with the project's sample rows in the tables: invalid input syntax for type integer: "eight" (SQLSTATE 22P02)
      production: the deployment stops here as soon as one row is like that, and nothing of the file is kept
      do: correct such rows in an earlier migration, or in this one before the statement
    "#);
}

#[test]
fn made_up_rows_that_are_no_numbers_only_warn() {
    let project = pending("ALTER TABLE orders ADD COLUMN number int;\n")
        .then("0004_numbers", "UPDATE orders SET number = note::int;\n");

    insta::assert_snapshot!(project.check().expect(&["warning[apply-failed]"]), @r#"
    warning[apply-failed] migrations/0004_numbers.sql:1: with made-up rows in the tables: invalid input syntax for type integer: "a1" (SQLSTATE 22P02)
      production: the deployment stops here if one row of production is like that
      do: correct such rows in an earlier migration, or show with rows of your own in `sample-rows.sql` that there are none
    "#);
}

#[test]
fn sample_rows_that_do_not_fit_are_placed_and_those_for_no_migration_are_named() {
    let project = pending("CREATE TABLE tags (tag text);\n")
        .with(
            "migrations/sample-rows.sql",
            "INSERT INTO accounts VALUES (1);\nINSERT INTO oders VALUES (1);\n",
        )
        .with("migrations/sample-rows/0009_nothing.sql", "SELECT 1;\n");

    let verdict = project.check();

    insta::assert_snapshot!(verdict.expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/sample-rows.sql:2: the sample rows are refused: relation "oders" does not exist (SQLSTATE 42P01)
      production: nothing: no deployment runs this file, and pending migrations are judged without its rows
      do: write rows that fit the schema right before the pending migration that they are for
    "#);
    insta::assert_snapshot!(verdict.stderr, @"
    note: `migrations/sample-rows/0009_nothing.sql` is not used: no pending migration has its name
    migrations: 2 applied and 1 pending; 1 error(s), 0 warning(s); `migration-gate explain CODE` tells more
    ");
}

#[test]
fn a_constraint_that_made_up_rows_break_is_no_alarm() {
    let project =
        pending("ALTER TABLE orders ADD CONSTRAINT note_is_long CHECK (note LIKE 'long: %') NOT VALID;\n")
            .then("0004_valid", "ALTER TABLE orders VALIDATE CONSTRAINT note_is_long;\n");

    let verdict = project.check();

    verdict.expect_clean();
    insta::assert_snapshot!(verdict.stderr, @r#"
    note: `migrations/0004_valid.sql` was tried without rows, because made-up ones do not fit: check constraint "note_is_long" of relation "orders" is violated by some row (SQLSTATE 23514); `sample-rows.sql` beside the migrations may hold rows of your own
    migrations hold: 2 applied and 2 pending
    "#);
}

#[test]
fn rows_are_made_up_for_every_kind_of_table() {
    let tables = "
        CREATE TYPE mood AS ENUM ('calm', 'wild');
        CREATE DOMAIN slug AS text CHECK (VALUE ~ '^[a-z][a-z0-9-]{2,30}$');
        CREATE TABLE tenants (id uuid PRIMARY KEY, slug slug NOT NULL UNIQUE, moods mood[] NOT NULL);
        CREATE TABLE members (
            tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
            id bigint GENERATED ALWAYS AS IDENTITY,
            mood mood NOT NULL,
            boss_id bigint,
            country char(2) NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
            plan text NOT NULL CHECK (plan IN ('free', 'paid')),
            seats smallint NOT NULL CHECK (seats BETWEEN 1 AND 20),
            settings jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'array'),
            label text GENERATED ALWAYS AS (plan || country) STORED,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, boss_id) REFERENCES members
        );
        CREATE TABLE jobs (
            tenant_id uuid NOT NULL,
            member_id bigint NOT NULL,
            holder text,
            expires_at timestamptz,
            finished_at timestamptz,
            outcome text CHECK (outcome IN ('succeeded', 'failed')),
            digest text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
            CHECK ((holder IS NULL) = (expires_at IS NULL)),
            CHECK ((finished_at IS NULL) = (outcome IS NULL)),
            CHECK (finished_at IS NULL OR holder IS NULL),
            FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id)
        );
        CREATE TABLE visits (at date NOT NULL, region text NOT NULL) PARTITION BY RANGE (at);
        CREATE TABLE visits_2019 PARTITION OF visits FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
        CREATE TABLE bookings (during tstzrange NOT NULL, EXCLUDE USING gist (during WITH &&));
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;
        CREATE TRIGGER no BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION no();
    ";
    let every = "
        ALTER TABLE tenants ADD COLUMN extra int NOT NULL;
    ";
    let project = pending("").with("migrations/0003_tags.sql", tables).applied(&[
        ("0001_accounts", "owner"),
        ("0002_orders", "deployer"),
        ("0003_tags", "deployer"),
    ]);
    let mut expected = Vec::new();
    let mut project = project;
    for (index, table) in ["tenants", "members", "jobs", "visits", "bookings"].iter().enumerate() {
        project = project.then(&format!("001{index}_{table}"), &every.replace("tenants", table));
        expected.push("error[not-null-without-default]");
    }

    // Only a table with rows in it refuses a column that may not be NULL.
    project.check().expect(&expected);
}
