//! `cargo xtask migrations` on workspaces of other people, without any configuration.

use crate::project::Project;

/// Two crates, each with migrations of its own.
fn two_crates() -> Project {
    let manifest =
        |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
    Project::with(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n"),
        (
            "Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"orders\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"users\"\nversion = \"1.0.0\"\n",
        ),
        ("crates/orders/Cargo.toml", &manifest("orders")),
        ("crates/orders/src/lib.rs", ""),
        ("crates/orders/migrations/1_orders.sql", "CREATE TABLE orders (id int);\n"),
        ("crates/users/Cargo.toml", &manifest("users")),
        ("crates/users/src/lib.rs", ""),
        ("crates/users/migrations/20240101120000_users.sql", "CREATE TABLE users (id int);\n"),
    ])
}

/// The same in git, on a branch that has begun at `main`.
fn branched() -> Project {
    let project = two_crates();
    project.git(&["init", "--quiet", "--initial-branch=main"]);
    project.write(".gitignore", "target/\n");
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--message=first"]);
    project.git(&["switch", "--quiet", "--create", "topic"]);
    project
}

#[test]
fn every_folder_of_migrations_is_judged() {
    let project = two_crates();
    let said = project.xtask(&["migrations", "check"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);

    project.write(
        "crates/users/migrations/20240102120000_names.sql",
        "ALTER TABLE users ADD COLUMN name nonsense;\n",
    );
    let said = project.xtask(&["migrations", "check"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    let report = project.report();
    let finding = &report["steps"][0]["findings"][0];
    assert_eq!(finding["code"], "apply-failed");
    assert_eq!(finding["file"], "crates/users/migrations/20240102120000_names.sql");
    let said = project.xtask(&["migrations", "check", "--migrations", "crates/orders/migrations"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}

#[test]
fn migrations_are_found_where_sqlx_toml_puts_them() {
    let project = two_crates();
    std::fs::remove_dir_all(project.root.join("crates/users/migrations")).unwrap();
    project.write("crates/users/sqlx.toml", "[migrate]\nmigrations-dir = \"../../db/users\"\n");
    project.write("db/users/1_users.sql", "CREATE TABLE users (id nonsense);\n");

    let said = project.xtask(&["migrations", "check"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert_eq!(project.report()["steps"][0]["findings"][0]["file"], "db/users/1_users.sql");
}

#[test]
fn what_the_code_sets_before_its_queries_is_configured() {
    let project = two_crates();
    project.write(
        "crates/users/migrations/20240101120000_users.sql",
        "CREATE TABLE users (id int, tenant int);\n\
         CREATE FUNCTION tenant() RETURNS int LANGUAGE plpgsql AS $$ BEGIN\n\
             IF current_setting('app.tenant') <> 'seven' THEN RETURN missing_function(); END IF;\n\
             RETURN 7;\n\
         END $$;\n",
    );
    let query = r#"{"db_name":"PostgreSQL","query":"SELECT tenant()","describe":{"columns":[],"parameters":{"Left":[]},"nullable":[]},"hash":"mine"}"#;
    project.write("crates/users/.sqlx/query-mine.json", query);
    let check = ["migrations", "check", "--migrations", "crates/users/migrations"];
    assert_eq!(project.xtask(&check).code, 1, "nothing sets `app.tenant`");

    project.write(".config/xtask.toml", "[migrations.settings]\n\"app.tenant\" = \"seven\"\n");
    let said = project.xtask(&check);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}

#[test]
fn what_main_holds_may_not_be_edited_on_a_branch() {
    let project = branched();
    assert_eq!(project.xtask(&["migrations", "check"]).code, 0);

    project.write("crates/orders/migrations/1_orders.sql", "CREATE TABLE orders (id bigint);\n");
    let said = project.xtask(&["migrations", "check"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    insta::assert_snapshot!(project.verdicts(), @"
    red
    migrations failed edited-after-apply
    ");
}

#[test]
fn a_new_migration_follows_the_style_of_its_folder() {
    let project = two_crates();
    let said = project.xtask(&["migrations", "new", "labels"]);
    assert_ne!(said.code, 0);
    insta::assert_snapshot!(said.stderr, @"error: this workspace has 2 folders of migrations (crates/orders/migrations, crates/users/migrations); name one with `--migrations PATH` or as `path` under `[migrations]` in `.config/xtask.toml`");

    let said = project.xtask(&["migrations", "new", "labels", "--migrations", "crates/orders/migrations"]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "crates/orders/migrations/2_labels.sql\n"),
        "{}",
        said.stderr
    );
    assert_eq!(project.xtask(&["migrations", "check"]).code, 0);
    let said = project.xtask(&["migrations", "check", "--migrations", "crates/nowhere"]);
    insta::assert_snapshot!(format!("{}{}", said.stderr, said.code), @"
    error: `--migrations crates/nowhere` is no folder of this workspace
    2
    ");
}

#[test]
fn the_story_of_a_code_is_told() {
    let project = two_crates();
    let told = project.xtask(&["migrations", "check", "--explain", "slot-applied"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(
        told.stdout.starts_with("slot-applied (error): production has already applied"),
        "{}",
        told.stdout
    );
    assert_eq!(project.xtask(&["migrations", "explain", "slot-applied"]).stdout, told.stdout);
    let unknown = project.xtask(&["migrations", "explain", "slot-aplied"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean `slot-applied`?"), "{}", unknown.stderr);
}

#[test]
fn a_snapshot_asks_for_the_live_database_and_never_takes_a_password_from_the_command_line() {
    let project = two_crates();
    let folder = ["--migrations", "crates/orders/migrations"];
    let said = project.xtask(&[&["migrations", "snapshot"], folder.as_slice()].concat());
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("set MIGRATION_GATE_DATABASE_URL"), "{}", said.stderr);
    let url = ["--database-url", "postgres://reader:hush@db/shop"];
    let said = project.xtask(&[&["migrations", "snapshot"], folder.as_slice(), url.as_slice()].concat());
    assert_eq!(said.code, 2);
    assert!(!said.stderr.contains("hush"), "{}", said.stderr);
    let mut command = project.command(&[&["migrations", "snapshot"], folder.as_slice()].concat());
    let said: crate::project::Said = command
        .env("MIGRATION_GATE_DATABASE_URL", "postgres://reader:hush@127.0.0.1:1/shop")
        .output()
        .unwrap()
        .into();
    assert_eq!(said.code, 3);
    insta::assert_snapshot!(said.stderr, @"error: cannot connect to the live database: Connection refused (os error 111); see that the address is right and reachable from here");
}

#[test]
fn a_dry_run_shows_what_a_deployment_would_do() {
    let project = two_crates();
    let said = project.xtask(&["migrations", "dry-run", "--migrations", "crates/orders/migrations"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("1_orders.sql"), "{}", said.stdout);
}
