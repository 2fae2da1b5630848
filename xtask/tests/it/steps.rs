//! Every step goes red for its own reason, on a copy of this workspace, and the steps beside it stay green.

use crate::project::Project;

/// Steps that read only files, or need a second at most: run beside the broken one to see that they stay green.
const BESIDE: &[&str] = &["fmt", "house", "migrations"];

/// Runs the broken step and those beside it, and returns the verdicts.
#[track_caller]
fn verdicts(project: &Project, broken: &str) -> String {
    let mut arguments = vec!["ci", "--keep-going", "--force", broken];
    arguments.extend(BESIDE.iter().filter(|step| **step != broken));
    let said = project.xtask(&arguments);
    assert_eq!(said.code, 1, "{}\n{}", said.stdout, said.stderr);
    project.verdicts()
}

#[test]
fn a_file_that_is_not_formatted_turns_fmt_red() {
    let project = Project::copy();
    project.append("crates/store/src/lib.rs", "\nfn  unformatted( ) { }\n");
    insta::assert_snapshot!(verdicts(&project, "fmt"), @"
    red
    fmt failed unformatted
    house passed
    migrations passed
    ");
}

#[test]
fn a_module_that_does_not_say_what_it_is_turns_house_red() {
    let project = Project::copy();
    project.write("crates/store/src/mystery.rs", "");
    insta::assert_snapshot!(verdicts(&project, "house"), @"
    red
    fmt passed
    house failed house-module-doc
    migrations passed
    ");
}

#[test]
fn a_heavy_dependency_of_the_tool_turns_house_red() {
    let project = Project::copy();
    project.replace(
        "xtask/Cargo.toml",
        "toml.workspace = true",
        "tokio.workspace = true\ntoml.workspace = true",
    );
    project.cargo(&["update", "--quiet", "--workspace", "--offline"]);
    let said = project.xtask(&["ci", "house"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    house  FAILED     <time>
        xtask/Cargo.toml:1: error[house-tree]
          `xtask` has `tokio` in its tree, through `xtask` → `tokio`

    house failed
        log        target/xtask/logs/house.log
        reproduce  cargo xtask -C <root> ci house
    RED  1 failed  <time>
    ");
}

#[test]
fn a_lock_file_that_is_behind_the_manifests_turns_house_red() {
    let project = Project::copy();
    project.replace(
        "crates/proxy/Cargo.toml",
        "[dependencies]\n",
        "[dependencies]\ntempfile.workspace = true\n",
    );
    insta::assert_snapshot!(verdicts(&project, "house"), @"
    red
    fmt passed
    house failed house-lock-file
    migrations passed
    ");
}

#[test]
fn a_crate_that_the_map_does_not_name_turns_house_red() {
    let project = Project::copy();
    project
        .write("ARCHITECTURE.md", &project.read("ARCHITECTURE.md").replace("`migration-gate`", "the gate"));
    insta::assert_snapshot!(verdicts(&project, "house"), @"
    red
    fmt passed
    house failed house-architecture
    migrations passed
    ");
}

#[test]
fn a_service_that_depends_on_a_service_turns_house_red() {
    let project = Project::copy();
    project.append(
        "crates/gateway/Cargo.toml",
        "\n[target.'cfg(any())'.dependencies]\ncontrol = { path = \"../control\" }\n",
    );
    project.cargo(&["update", "--quiet", "--workspace", "--offline"]);
    insta::assert_snapshot!(verdicts(&project, "house"), @"
    red
    fmt passed
    house failed house-service
    migrations passed
    ");
}

#[test]
fn a_licence_that_is_not_allowed_turns_deny_red_at_the_crate_that_has_it() {
    let project = Project::copy();
    let before = project.xtask(&["ci", "deny"]);
    assert_eq!(before.code, 0, "{}{}", before.stdout, before.stderr);
    project.replace(".config/deny.toml", ", \"Zlib\"", "");
    assert_eq!(project.xtask(&["ci", "deny"]).code, 1);
    let report = project.report();
    // Where the database of advisories cannot be reached, a warning says so besides.
    let findings = report["steps"][0]["findings"].as_array().unwrap().iter();
    let refused: Vec<_> = findings.filter(|it| it["level"] == "error").collect();
    let line = usize::try_from(refused[0]["line"].as_u64().unwrap()).unwrap();
    assert_eq!(project.read("Cargo.lock").lines().nth(line - 1), Some("name = \"foldhash\""));
    insta::assert_snapshot!(
        format!("{} {} {}", refused[0]["code"], refused[0]["file"], refused[0]["message"]),
        @r#""deny-rejected" "Cargo.lock" "`foldhash 0.2.0`: failed to satisfy license requirements: `Zlib` rejected: license is not explicitly allowed""#
    );
}

#[test]
fn advisories_that_nobody_could_ask_for_are_told_loudly() {
    let project = Project::copy();
    let said = project
        .command(&["ci", "deny", "--force"])
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(0));
    let findings = &project.report()["steps"][0]["findings"];
    assert_eq!(findings[0]["code"], "advisories-not-judged", "{findings}");
    assert!(findings[0]["message"].as_str().unwrap().contains("were NOT judged"), "{findings}");
}

#[test]
fn a_warning_turns_clippy_red() {
    let project = Project::copy();
    project.append("crates/migrator/src/main.rs", "\nconst UNUSED: u32 = 1;\n");
    insta::assert_snapshot!(verdicts(&project, "clippy"), @"
    red
    fmt passed
    house passed
    clippy failed dead_code
    migrations passed
    ");
    let report = project.report();
    let clippy = report["steps"].as_array().unwrap().iter().find(|it| it["name"] == "clippy").unwrap();
    let found = &clippy["findings"][0];
    let line = project.read("crates/migrator/src/main.rs").lines().count();
    assert_eq!(found["line"], line);
    insta::assert_snapshot!(format!("{} {} {}", found["file"], found["code"], found["message"]), @r#""crates/migrator/src/main.rs" "dead_code" "constant `UNUSED` is never used""#);
}

#[test]
fn a_test_that_fails_turns_test_red() {
    let project = Project::copy();
    project.append(
        "crates/migrator/src/main.rs",
        "\n#[cfg(test)]\nmod broken {\n    #[test]\n    fn one_is_two() {\n        assert_eq!(1, 2);\n    }\n}\n",
    );
    insta::assert_snapshot!(verdicts(&project, "test"), @"
    red
    fmt passed
    house passed
    test failed test-failed
    migrations passed
    ");
}

#[test]
fn a_query_that_was_not_prepared_turns_sqlx_red() {
    let project = Project::copy();
    let queries = std::fs::read_dir(project.root.join(".sqlx")).unwrap();
    let mut queries: Vec<_> = queries.flatten().map(|it| it.path()).collect();
    queries.sort();
    std::fs::remove_file(&queries[0]).unwrap();
    insta::assert_snapshot!(verdicts(&project, "sqlx"), @"
    red
    fmt passed
    house passed
    sqlx failed query-missing
    migrations passed
    ");
}

#[test]
fn a_migration_that_production_would_refuse_turns_migrations_red() {
    let project = Project::copy();
    project.write("migrations/9999_alter_audit.up.sql", "ALTER TABLE audit_entries ADD COLUMN note text;\n");
    project.write("migrations/9999_alter_audit.down.sql", "ALTER TABLE audit_entries DROP COLUMN note;\n");
    insta::assert_snapshot!(verdicts(&project, "migrations"), @"
    red
    fmt passed
    house passed
    migrations failed not-owner
    ");
}

#[test]
fn the_migrations_are_judged_the_same_on_a_postgres_in_a_container() {
    let project = Project::copy();
    let said = project
        .command(&["ci", "migrations", "--force"])
        .env("XTASK_POSTGRES", "container")
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    insta::assert_snapshot!(project.verdicts(), @"
    green
    migrations passed
    ");
}

#[test]
fn a_server_that_cannot_be_reached_is_no_verdict() {
    let project = Project::copy();
    let mut command = project.command(&["ci", "migrations"]);
    command.env("XTASK_POSTGRES", "url").env("XTASK_POSTGRES_URL", "postgres://someone:s3cret@127.0.0.1:1/x");
    let said = crate::project::Said::from(command.output().unwrap());
    assert_eq!(said.code, 3);
    assert!(!said.stdout.contains("s3cret"), "{}", said.stdout);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    migrations  UNJUDGED   no scratch Postgres
          url: cannot connect to `someone@127.0.0.1:1`: Connection refused (os error 111); start that server, or unset `XTASK_POSTGRES_URL`
        migrations not judged: 0 applied and 0 pending

    migrations could not be judged
        log        target/xtask/logs/migrations.log
        reproduce  cargo xtask -C <root> ci migrations
        fix        cargo xtask doctor
    NOT JUDGED: this machine lacks something  1 could not be judged  <time>
    ");
}

#[test]
fn a_ledger_that_cannot_be_read_is_named_with_its_line_and_the_nearest_key() {
    let project = Project::copy();
    project.replace("migrations/applied.toml", "checksum = ", "chekcsum = ");
    let said = project.xtask(&["ci", "migrations"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    migrations  FAILED     <time>
        error[configuration]
          migrations/applied.toml:9: unknown field `chekcsum`, expected one of `version`, `name`, `checksum`, `role`; did you mean `checksum`?

    migrations failed
        log        target/xtask/logs/migrations.log
        reproduce  cargo xtask -C <root> ci migrations
    RED  1 failed  <time>
    ");
}

#[test]
fn long_an_image_without_a_health_check_turns_images_red_and_nothing_else() {
    let project = Project::copy();
    project.replace("Containerfile", "HEALTHCHECK --interval", "HEALTHCHECK NONE\n# --interval");
    let said = project.xtask(&["ci", "--keep-going", "--force"]);
    assert_eq!(said.code, 1, "{}\n{}", said.stdout, said.stderr);
    insta::assert_snapshot!(project.verdicts(), @"
    red
    fmt passed
    house passed
    clippy passed
    test passed
    sqlx passed
    migrations passed
    images failed image-no-healthcheck image-not-ready
    ");
}
