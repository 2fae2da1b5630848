//! Servers from the local binaries.

use std::{fs, path::Path};

use rustix::process::Signal;
use scratch_postgres::{Halt, Server};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::host::{
    Program, ask, entries, eventually, kill, local_options, nothing_is_left, place, processes_naming,
};

#[tokio::test]
async fn a_server_speaks_utf_8_and_utc_and_gives_databases_of_their_own() {
    let place = place();
    let server = Server::start(&local_options(place.path())).await.expect("binaries are installed");
    assert_eq!(server.version_num() / 10_000, 15);
    let first = server.create_database("one").await.expect("the superuser may");
    let second = server.create_database("one").await.expect("the superuser may");
    assert_ne!(first.name(), second.name());
    let told = ask(
        &first.url("postgres"),
        "SELECT concat_ws(' ', current_setting('timezone'), current_setting('server_encoding'), datcollate, \
         current_setting('fsync'), pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()",
    )
    .await;
    assert_eq!(told.expect("the server answers"), "UTC UTF8 C.UTF-8 off postgres");
    let (gone, url) = (first.name().to_owned(), server.admin_url().to_owned());
    first.drop().await.expect("the superuser may");
    let left =
        ask(&url, "SELECT string_agg(datname, ' ') FROM pg_database").await.expect("the server answers");
    assert!(!left.contains(&gone) && left.contains(second.name()), "{left}");
    server.stop().await.expect("it stops");
    drop(second);
    nothing_is_left(place.path());
}

#[tokio::test]
async fn a_server_that_is_ended_and_started_again_has_what_was_committed_at_the_same_address() {
    let place = place();
    let server = Server::start(&local_options(place.path())).await.expect("binaries are installed");
    let database = server.create_database("kept").await.expect("the superuser may");
    let url = database.url("postgres");
    does(&url, "CREATE TABLE kept (number int)").await.expect("it is there");
    for (before, how) in ["0", "1"].into_iter().zip([Halt::Fast, Halt::Immediate]) {
        let kept = ask(&url, "SELECT count(*)::text FROM kept").await;
        assert_eq!(kept.expect("it is there"), before);
        does(&url, "SET synchronous_commit = on; INSERT INTO kept VALUES (1)").await.expect("it is there");
        server.halt(how).await.expect("it is ours");
        assert!(does(&url, "SELECT 1").await.is_err(), "{how:?}");
        server.resume().await.expect("it starts again");
    }
    assert_eq!(ask(&url, "SELECT count(*)::text FROM kept").await.expect("it is there"), "2");
    // One that waits for its clients, and is not waited for: the session that makes databases is one.
    server.halt(Halt::Smart).await.expect("it is ours");
    while does(&url, "SELECT 1").await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.resume().await.expect("it starts again");
    // That session has come back.
    server.create_database("more").await.expect("the superuser may");
    server.stop().await.expect("it stops");
    nothing_is_left(place.path());
}

#[tokio::test]
async fn many_servers_live_side_by_side_and_go_with_their_handles() {
    let place = place();
    let options = local_options(place.path());
    let (a, b, c) = tokio::join!(Server::start(&options), Server::start(&options), Server::start(&options));
    let servers = [a, b, c].map(|it| it.expect("binaries are installed"));
    for server in &servers {
        server.create_database("same").await.expect("the superuser may");
    }
    let addresses: std::collections::BTreeSet<&str> = servers.iter().map(Server::admin_url).collect();
    assert_eq!(addresses.len(), 3);
    drop(servers);
    nothing_is_left(place.path());
}

#[test]
fn two_programs_at_once_share_one_cache_without_harm() {
    let (place, cache) = (place(), place());
    let cache_home = cache.path().display().to_string();
    let variables = [("XDG_CACHE_HOME", cache_home.as_str())];
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| Program::serving(place.path(), &variables).end().0));
        for one in both {
            assert!(one.join().expect("it serves").success());
        }
    });
    assert_eq!(entries(&cache.path().join("slipway/postgres")).len(), 1);
    nothing_is_left(place.path());
}

#[test]
fn a_broken_cache_is_rebuilt() {
    let (place, cache) = (place(), place());
    let cache_home = cache.path().display().to_string();
    let serve =
        || Program::serving(place.path(), &[("XDG_CACHE_HOME", cache_home.as_str())]).end().0.success();
    assert!(serve());
    let kept = cache.path().join("slipway/postgres");
    let data = kept.join(&entries(&kept)[0]).join("data");
    let control = data.join("global/pg_control");
    let original = fs::read(&control).expect("a file");

    fs::remove_file(&control).expect("a file");
    assert!(serve());
    assert!(control.exists(), "what lacks a file is made anew");

    fs::write(&control, vec![0; original.len()]).expect("a file");
    assert!(serve());
    assert_ne!(
        fs::read(&control).expect("a file"),
        vec![0; original.len()],
        "what does not start is made anew"
    );
    nothing_is_left(place.path());
}

#[test]
fn nothing_is_left_however_the_holder_ends() {
    let place = place();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
        let program = Program::serving(place.path(), &[]);
        assert_eq!(entries(place.path()).len(), 1);
        program.signal(signal);
        eventually("the program ends", || {
            let server = entries(place.path());
            server.is_empty()
        });
        let (status, told) = program.end();
        assert_eq!(status.success(), signal != Signal::KILL, "{signal:?}: {told}");
        nothing_is_left(place.path());
    }
}

#[test]
fn nothing_is_left_when_the_holder_ends_in_the_middle_of_a_start() {
    let (place, cache) = (place(), place());
    let cache_home = cache.path().display().to_string();
    for signal in [Signal::TERM, Signal::KILL] {
        let starting = Program::spawn(place.path(), &[("XDG_CACHE_HOME", cache_home.as_str())]);
        eventually("it is at work", || {
            entries(place.path()).iter().any(|name| place.path().join(name).join("data/base").exists())
        });
        starting.signal(signal);
        let (status, _) = starting.end();
        assert_eq!(status.code(), (signal == Signal::TERM).then_some(130));
        nothing_is_left(place.path());
    }
}

#[test]
fn the_next_start_removes_what_was_killed_together_with_its_guardian() {
    let place = place();
    let program = Program::serving(place.path(), &[]);
    let left = place.path().join(&entries(place.path())[0]);
    for guardian in processes_naming(&left).into_iter().filter(|pid| is_shell(*pid)) {
        kill(guardian, Signal::KILL);
    }
    program.signal(Signal::KILL);
    program.end();
    eventually("the server ends with its holder", || processes_naming(&left).is_empty());
    assert!(left.exists(), "nobody was there to remove it");
    let next = Program::serving(place.path(), &[]);
    eventually("it is removed", || !left.exists());
    assert!(next.end().0.success());
    nothing_is_left(place.path());
}

async fn does(url: &str, sql: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(sql).await?;
    connection.close().await
}

fn is_shell(pid: i32) -> bool {
    let line = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    line.starts_with(b"/bin/sh")
}
