//! What the program says, and how it ends, when it cannot serve.

use std::{fs, path::Path};

use crate::host::{Program, nothing_is_left, place, script};

/// What it said, with the test's own paths named.
fn refused(place: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let (status, told) = Program::start(place, variables).end();
    (status.code(), told.replace(&place.display().to_string(), "PLACE"))
}

#[test]
fn it_announces_itself_in_one_line_of_json() {
    let place = place();
    let program = Program::serving(place.path(), &[]);
    let line = program.line();
    assert_eq!(line["provider"], "local");
    assert_eq!(line["version_num"].as_u64().map(|it| it / 10_000), Some(15));
    assert!(program.url().starts_with("postgres://postgres@localhost/postgres?host=%2Ftmp%2F"));
    assert_eq!(program.end().0.code(), Some(0));
    nothing_is_left(place.path());
}

#[test]
fn a_setting_that_means_nothing_is_wrong_usage() {
    let place = place();
    let (code, told) = refused(place.path(), &[("XTASK_POSTGRES", "docker")]);
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(told, @"scratch-postgres: `XTASK_POSTGRES` is `docker`; set it to `url`, `local` or `container`, or unset it");
}

#[test]
fn binaries_of_no_such_version_are_a_lack_of_the_host() {
    let place = place();
    let (code, told) = refused(place.path(), &[("XTASK_POSTGRES_MAJOR", "77"), ("PATH", "/usr/bin:/bin")]);
    assert_eq!(code, Some(3));
    let told = told.split(['(', ';']).next().expect("there is a first part").trim_end().to_owned();
    insta::assert_snapshot!(told, @"
    scratch-postgres: no scratch Postgres
      local: no server binaries of PostgreSQL 77 on this host
    ");
}

#[test]
fn a_server_that_cannot_be_started_is_told_with_its_own_words() {
    let (place, binaries) = (place(), place());
    let path = format!("{}:/usr/bin:/bin", binaries.path().display());
    let variables = [("XTASK_POSTGRES_MAJOR", "77"), ("PATH", path.as_str()), ("HOME", "")];
    let version = "if [ \"$1\" = --version ]; then echo 'postgres (PostgreSQL) 77.1'; exit; fi";
    script(
        &binaries.path().join("postgres"),
        &format!("{version}\necho 'FATAL:  out of patience' >&2; exit 1"),
    );
    script(&binaries.path().join("initdb"), "echo 'initdb: error: no luck' >&2; exit 1");
    let masked = |told: String| {
        let words = told.split('`').map(|it| if it.starts_with("PLACE/spg-") { "PRIVATE" } else { it });
        words.collect::<Vec<_>>().join("`")
    };
    let (code, told) = refused(place.path(), &variables);
    assert_eq!(code, Some(3));
    insta::assert_snapshot!(masked(told), @"
    scratch-postgres: no scratch Postgres
      local: `initdb` failed in `PRIVATE`: initdb: error: no luck; mend what it names, or set `XTASK_POSTGRES=container`
    ");
    script(&binaries.path().join("initdb"), "exit 0");
    let (code, told) = refused(place.path(), &variables);
    assert_eq!(code, Some(3));
    insta::assert_snapshot!(masked(told), @"
    scratch-postgres: no scratch Postgres
      local: the server did not start (exit status: 1); mend what its log names, or set `XTASK_POSTGRES=container`
        | FATAL:  out of patience
    ");
    nothing_is_left(place.path());
}

#[test]
fn no_provider_that_works_is_told_one_by_one() {
    let place = place();
    let empty = place.path().join("empty");
    fs::create_dir(&empty).expect("a directory");
    let (code, told) = refused(
        place.path(),
        &[("XTASK_POSTGRES", ""), ("XTASK_POSTGRES_MAJOR", "77"), ("PATH", &empty.display().to_string())],
    );
    assert_eq!(code, Some(3));
    let providers: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("  ")?.split(':').next()).collect();
    assert_eq!(providers, ["url", "local", "container"], "{told}");
}
