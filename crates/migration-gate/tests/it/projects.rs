//! Projects in the style of real ones, each kind as its maintainers would hand it to the gate: no alarm in any command.

use std::{
    ffi::OsStr,
    fs,
    process::{Command, Stdio},
};

use scratch_postgres::{Options, Server};

use crate::project::{Project, Verdict};

/// What most maintainers know of their deployments: one migrator, and how long it waits for a lock.
const DEPLOYED: &[&str] = &["--boot", "alone", "--lock-timeout", "5s"];

#[tokio::test]
async fn single_files_numbered_by_time_without_a_ledger() {
    good(&written(include_str!("projects/single_files.sql")), &[]).await;
}

#[tokio::test]
async fn counted_pairs_with_gaps() {
    good(&written(include_str!("projects/counted_pairs.sql")), &[]).await;
}

#[tokio::test]
async fn hundreds_of_migrations() {
    good(&hundreds(), &[]).await;
}

#[tokio::test]
async fn schemas_of_their_own() {
    good(&written(include_str!("projects/own_schemas.sql")), &[]).await;
}

#[tokio::test]
async fn extensions() {
    good(&written(include_str!("projects/extensions.sql")), &[]).await;
}

#[tokio::test]
async fn a_schema_that_something_else_began() {
    good(&written(include_str!("projects/made_before.sql")), &[]).await;
}

#[tokio::test]
async fn queries_in_several_crates() {
    good(&written(include_str!("projects/several_crates.sql")), &[]).await;
}

#[tokio::test]
async fn tenants_behind_row_security() {
    good(&written(include_str!("projects/tenants.sql")), &[]).await;
}

#[tokio::test]
async fn partitions_triggers_functions_views_and_enums() {
    good(&written(include_str!("projects/machinery.sql")), &[]).await;
}

#[tokio::test]
async fn a_role_that_a_migration_makes_where_it_is_missing() {
    good(&written(include_str!("projects/reader_role.sql")), &[]).await;
}

#[tokio::test]
async fn one_role_of_another_name_does_everything() {
    let one = ["--owner", "Hub-User", "--deployer", "Hub-User", "--app", "Hub-User"];
    good(&written(include_str!("projects/single_files.sql")), &one).await;
}

/// Every command is content: no error, no warning.
async fn good(project: &Project, flags: &[&str]) {
    let check = Verdict::of(command(project, "check", flags));
    check.expect_clean();
    let shown = Verdict::of(command(project, "dry-run", flags));
    assert_eq!((shown.exit_code, shown.codes()), (0, vec![]), "{}{}", shown.stdout, shown.stderr);

    let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
    let database = server.create_database("project").await.unwrap();
    for _ in 0..2 {
        let mut provision = command(project, "provision", flags);
        provision.args(["--server-url", server.admin_url(), "--database", database.name()]);
        Verdict::of(provision).expect_clean();
    }
    database.drop().await.unwrap();
    server.stop().await.unwrap();
}

/// As a maintainer types it, with every folder of queries and a prelude where there is one.
fn command(project: &Project, subcommand: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migration-gate"));
    command.current_dir(project.root()).arg(subcommand).args(DEPLOYED).args(flags).stdin(Stdio::null());
    let crates = fs::read_dir(project.root().join("crates")).into_iter().flatten();
    let folders = crates.map(|it| it.unwrap().path().join(".sqlx")).chain([project.root().join(".sqlx")]);
    for folder in folders.filter(|it| it.is_dir()) {
        command.args([OsStr::new("--queries"), folder.strip_prefix(project.root()).unwrap().as_os_str()]);
    }
    if project.root().join("prelude.sql").exists() {
        command.args(["--prelude", "prelude.sql"]);
    }
    command
}

/// A project out of one text: `-- ==> PATH` begins a file, `-- ==> query FOLDER NAME (TYPES)` a prepared query.
fn written(text: &str) -> Project {
    text.split("-- ==> ").skip(1).fold(Project::empty(), |project, part| {
        let (head, body) = part.split_once('\n').unwrap();
        match head.strip_prefix("query ") {
            Some(query) => {
                let (place, types) = query.split_once(" (").unwrap();
                let (folder, name) = place.split_once(' ').unwrap();
                let types: Vec<&str> =
                    types.trim_end_matches(')').split(", ").filter(|it| !it.is_empty()).collect();
                project.query_in(folder, name, body.trim_end(), &types)
            }
            None => project.with(head, body),
        }
    })
}

/// Three hundred migrations: tables that come, grow, are renamed, and go, as in a project of many years.
fn hundreds() -> Project {
    (1..=50).fold(Project::empty(), |project, year| {
        let before = if year == 1 { "year_1".into() } else { format!("year_{}", year - 1) };
        let steps = [
            format!("CREATE TABLE year_{year} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);"),
            format!("ALTER TABLE year_{year} ADD COLUMN IF NOT EXISTS parent_id bigint REFERENCES {before} (id);"),
            format!("ALTER TABLE year_{year} ADD COLUMN kept boolean NOT NULL DEFAULT true, ADD COLUMN note varchar(80);"),
            format!("ALTER TABLE year_{year} RENAME COLUMN name TO title;\nALTER TABLE year_{year} ALTER COLUMN note TYPE text;"),
            format!("CREATE INDEX year_{year}_title_idx ON year_{year} (lower(title));"),
            format!("CREATE OR REPLACE VIEW kept_{year} AS SELECT id, title FROM year_{year} WHERE kept;\nCOMMENT ON VIEW kept_{year} IS 'what stays';"),
        ];
        steps.iter().zip(1..).fold(project, |project, (sql, month)| {
            let stamp = format!("20{year:02}{month:02}01120000");
            project.with(&format!("migrations/{stamp}_step_{month}.sql"), format!("{sql}\n"))
        })
    })
}
