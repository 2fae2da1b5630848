//! Good projects of every shape: no finding at all.

use crate::project::{PRELUDE, Project};

/// For this database alone: the role is every test's.
const SEARCH_PATH: &str = "
DO $$ BEGIN
    EXECUTE format('ALTER ROLE gate_deployer IN DATABASE %I SET search_path = shop, public', current_database());
END $$;
";

#[test]
fn counted_pairs_with_a_split_of_roles_are_clean() {
    Project::of_pairs().check().expect_clean();
}

#[test]
fn the_schema_of_this_repository_has_no_fault() {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_migration-gate"));
    command.current_dir(workspace).args([
        "check",
        "--migrations",
        "migrations",
        "--ledger",
        "migrations/applied.toml",
    ]);
    command.args(["--prelude", ".config/postgres/bootstrap.sql", "--owner", "slipway_owner"]);
    command.args(["--deployer", "slipway_deployer", "--app", "slipway_app", "--boot", "polls"]);

    // Advice is allowed, for its own migrations are judged by its own gate.
    let verdict = crate::project::Verdict::of(command);
    let serious: Vec<_> = verdict.codes().into_iter().filter(|it| !it.starts_with("info")).collect();
    assert_eq!((verdict.exit_code, serious), (0, Vec::new()), "{}{}", verdict.stdout, verdict.stderr);
}

#[test]
fn single_files_numbered_by_time_with_gaps_and_no_ledger_are_clean() {
    let project = Project::empty()
        .with(
            "migrations/20210314092653_create_users.sql",
            "CREATE TABLE users (id bigserial PRIMARY KEY, email text);\n",
        )
        .with("migrations/20210401000000_lower_email.sql", "CREATE UNIQUE INDEX ON users (lower(email));\n")
        .with(
            "migrations/20230101000000_index.sql",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY users_email_idx ON users (email);\n",
        );

    project.check_with(&["--boot", "alone"]).expect_clean();
}

#[test]
fn a_counter_without_leading_zeros_sorts_by_number() {
    let mut project = Project::empty().with("migrations/1_start.sql", "CREATE TABLE steps (step_1 int);\n");
    for step in 2..=11 {
        let sql = format!("ALTER TABLE steps RENAME COLUMN step_{} TO step_{step};\n", step - 1);
        project = project.with(&format!("migrations/{step}_step.sql"), sql);
    }

    project.check().expect_clean();
}

#[test]
fn a_project_that_turned_to_pairs_is_clean() {
    Project::empty()
        .with("migrations/1_users.sql", "CREATE TABLE users (id int);\n")
        .pair("2_posts", "CREATE TABLE posts (id int);\n", "DROP TABLE posts;\n")
        .applied(&[("1_users", "deployer")])
        .check()
        .expect_clean();
}

#[test]
fn schemas_extensions_enums_functions_and_row_security_are_clean() {
    Project::empty()
        .with(
            "prelude.sql",
            format!(
                "{PRELUDE}\nCREATE EXTENSION IF NOT EXISTS plpgsql;\nCREATE SCHEMA shop AUTHORIZATION gate_deployer;\n{SEARCH_PATH}"
            ),
        )
        .pair(
            "001_all",
            "CREATE TYPE mood AS ENUM ('sad', 'ok');\n\
             CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY, mood mood NOT NULL DEFAULT 'ok', tenant text);\n\
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN NEW;\nEND;\n$$;\n\
             CREATE TRIGGER people_touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();\n\
             ALTER TABLE people ENABLE ROW LEVEL SECURITY;\n\
             CREATE POLICY people_tenant ON people USING (tenant = current_setting('app.tenant', true));\n",
            "DROP TABLE people;\nDROP FUNCTION touch();\nDROP TYPE mood;\n",
        )
        .pair("002_view", "CREATE VIEW moody AS SELECT id FROM people WHERE mood = 'sad';\n", "DROP VIEW moody;\n")
        .check()
        .expect_clean();
}

#[test]
fn a_prelude_that_only_makes_a_schema_leaves_the_roles_to_the_gate() {
    Project::empty()
        .with("prelude.sql", "CREATE TABLE legacy (id int);\nGRANT SELECT, REFERENCES ON legacy TO PUBLIC;\n")
        .with("migrations/1_copy.sql", "CREATE TABLE copied AS SELECT * FROM legacy;\n")
        .check()
        .expect_clean();
}

#[test]
fn a_late_migration_that_production_applied_in_another_order_is_replayed_in_that_order() {
    Project::of_pairs()
        .pair(
            "0002_orders",
            "ALTER TABLE states ADD COLUMN late int;\n",
            "ALTER TABLE states DROP COLUMN late;\n",
        )
        .pair("0003_order_state", "CREATE TABLE states (id int);\n", "DROP TABLE states;\n")
        .pair(
            "0004_tags",
            "ALTER TABLE states DROP COLUMN late;\n",
            "ALTER TABLE states ADD COLUMN late int;\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0003_order_state", "deployer"), ("0002_orders", "deployer")])
        .check()
        .expect(&["warning[order-drift]"]);
}

#[test]
fn a_directory_without_migrations_is_clean() {
    Project::empty().check().expect_clean();
}

#[test]
fn a_ledger_that_sqlx_toml_puts_elsewhere_is_opened_there_as_the_deployer() {
    let create = "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO gate_deployer', current_database()); END $$;";
    let project = Project::empty()
        .with("sqlx.toml", "[migrate]\ntable-name = \"ops.ledger\"\ncreate-schemas = [\"ops\"]\n")
        .with("prelude.sql", format!("{PRELUDE}{create}"))
        // It would be refused where the ledger were not there yet.
        .with(
            "migrations/1_users.sql",
            "CREATE TABLE users (id int);\nCOMMENT ON TABLE ops.ledger IS 'sqlx';\n",
        );

    project.check().expect_clean();
    // sqlx asks for the schema each time, also where it exists.
    let refused =
        project.with("prelude.sql", format!("{PRELUDE}CREATE SCHEMA ops AUTHORIZATION gate_deployer;"));
    assert!(
        refused
            .check()
            .expect(&["error[apply-failed]", "info[not-judged]"])
            .contains("permission denied for the database")
    );
}
