//! A server that somebody gave.

use scratch_postgres::{Options, Provider, Server, test_database};
use sqlx::{Connection as _, PgConnection};

use crate::host::{ask, local_options, nothing_is_left, place, tell};

fn given(url: String) -> Options {
    let options = Options::from_env().expect("the environment is in order");
    Options { provider: Some(Provider::Url), url: Some(url), ..options }
}

async fn refused(url: String) -> String {
    Server::start(&given(url)).await.expect_err("it does not suit").to_string()
}

#[tokio::test]
async fn a_given_server_stays_and_its_scratch_databases_go() {
    let place = place();
    let host = Server::start(&local_options(place.path())).await.expect("binaries are installed");
    tell(host.admin_url(), "CREATE DATABASE scratch_test_dead_00000000000000ff_1").await;
    tell(host.admin_url(), "CREATE DATABASE scratch_by_hand").await;
    let first = Server::start(&given(host.admin_url().to_owned())).await.expect("a superuser");
    assert_eq!(first.provider(), Provider::Url);
    let living = first.create_database("living").await.expect("the superuser may");
    let connected = PgConnection::connect(living.admin_url()).await.expect("it is there");
    let second = Server::start(&given(host.admin_url().to_owned())).await.expect("a superuser");
    let sql = "SELECT coalesce(string_agg(split_part(datname, '_', 2), ' ' ORDER BY datname), 'none') \
               FROM pg_database WHERE datname LIKE 'scratch%'";
    // What a killed run left is gone, what lives or was made by hand stays.
    assert_eq!(ask(host.admin_url(), sql).await.expect("it answers"), "by living");
    drop(living);
    assert_eq!(ask(host.admin_url(), sql).await.expect("it answers"), "by");
    drop(connected);
    drop(first);
    second.stop().await.expect("it is let go");
    assert_eq!(ask(host.admin_url(), sql).await.expect("a given server stays"), "by");
    host.stop().await.expect("it stops");
    nothing_is_left(place.path());
}

#[tokio::test]
async fn a_server_that_does_not_suit_is_told_with_what_it_lacks() {
    let place = place();
    let host = Server::start(&local_options(place.path())).await.expect("binaries are installed");
    tell(host.admin_url(), "CREATE ROLE plain LOGIN").await;
    tell(host.admin_url(), "CREATE ROLE maker LOGIN CREATEDB CREATEROLE").await;
    insta::assert_snapshot!(refused(host.url("postgres", "plain")).await, @r#"
    no scratch Postgres
      url: role `plain` is not a superuser and lacks CREATEDB and CREATEROLE; name a superuser in `XTASK_POSTGRES_URL`, or run `ALTER ROLE "plain" SUPERUSER`
    "#);
    insta::assert_snapshot!(refused(host.url("postgres", "maker")).await, @r#"
    no scratch Postgres
      url: role `maker` is not a superuser; name a superuser in `XTASK_POSTGRES_URL`, or run `ALTER ROLE "maker" SUPERUSER`
    "#);
    insta::assert_snapshot!(refused("postgres://a:s3cret@127.0.0.1:1/x".to_owned()).await, @"
    no scratch Postgres
      url: cannot connect to `a@127.0.0.1:1`: Connection refused (os error 111); start that server, or unset `XTASK_POSTGRES_URL`
    ");
    insta::assert_snapshot!(refused("mysql://a:s3cret@127.0.0.1/x".to_owned()).await, @"
    no scratch Postgres
      url: `XTASK_POSTGRES_URL` is no address: it does not begin with `postgres://`; set it to `postgres://SUPERUSER@HOST:PORT/postgres` of a server that may be used up
    ");
    let options = Options { major: 77, ..given(host.admin_url().to_owned()) };
    let told = Server::start(&options).await.expect_err("it is another version").to_string();
    assert!(told.contains("not 77; give one of 77, or set `XTASK_POSTGRES_MAJOR`"), "{told}");
}

#[tokio::test]
async fn a_test_gets_an_empty_database_that_goes_with_it() {
    let (first, second) = (test_database().await, test_database().await);
    let sql = "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(ask(first.admin_url(), sql).await.expect("it answers"), "0");
    let url = first.url("postgres");
    drop(first);
    assert!(ask(&url, sql).await.is_err(), "it is gone");
    assert_eq!(ask(&second.url("postgres"), sql).await.expect("it answers"), "0");
}
