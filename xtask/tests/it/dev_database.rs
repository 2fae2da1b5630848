//! The development database: made once, brought up to date, refused where history changed, and taken away.

use std::{io::Write as _, process::Stdio};

use crate::project::{Project, Said};

fn said(project: &Project, arguments: &[&str]) -> Said {
    let mut command = project.command(arguments);
    // A server of another provider's would not stay.
    Said::from(command.env_remove("XTASK_POSTGRES").output().unwrap())
}

#[test]
fn a_development_database_follows_the_tree_until_an_applied_migration_changes() {
    let project = Project::copy();
    let psql = |sql: &str| {
        let mut run = project.command(&["db", "psql", "--role", "admin"]);
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = run.spawn().unwrap();
        // `\g` with settings leaves the rows and nothing else.
        writeln!(run.stdin.take().unwrap(), "{sql} \\g (format=unaligned tuples_only=on)").unwrap();
        Said::from(run.wait_with_output().unwrap())
    };
    assert_eq!(said(&project, &["db", "url"]).code, 3);
    let first = said(&project, &["db", "up"]);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    assert!(first.stdout.starts_with("the server was started\n"), "{}", first.stdout);
    let url = said(&project, &["db", "url"]).stdout;
    assert!(url.starts_with("postgres://slipway_app@localhost/dev?host="), "{url}");
    let owners = psql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1");
    assert_eq!(owners.stdout, "slipway_deployer\nslipway_owner\n", "{}", owners.stderr);

    project.write("migrations/9000_notes.up.sql", "CREATE TABLE notes (id bigint PRIMARY KEY);\n");
    project.write("migrations/9000_notes.down.sql", "DROP TABLE notes;\n");
    let second = said(&project, &["db", "up"]);
    assert_eq!(second.code, 0, "{}{}", second.stdout, second.stderr);
    assert!(second.stdout.starts_with("the server runs\n"), "{}", second.stdout);
    assert_eq!(psql("SELECT count(*) FROM notes").stdout, "0\n");

    project.append("migrations/9000_notes.up.sql", "CREATE TABLE more (id bigint PRIMARY KEY);\n");
    let changed = said(&project, &["db", "up"]);
    assert_eq!(changed.code, 3, "{}{}", changed.stdout, changed.stderr);
    assert!(
        changed.stderr.contains("a migration changed after this database had applied it"),
        "{}",
        changed.stderr
    );
    assert!(changed.stderr.contains("cargo xtask db down && cargo xtask db up"), "{}", changed.stderr);

    let down = said(&project, &["db", "down"]);
    assert_eq!(down.stdout, "removed the development database and its data\n", "{}", down.stderr);
    assert_eq!(said(&project, &["db", "down"]).stdout, "this checkout has no development database\n");
    assert_eq!(said(&project, &["db", "url"]).code, 3);
}
