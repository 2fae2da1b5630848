//! The worker as a service: health, settings, stopping.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{DEADLINE, World, command, free_address};

/// The status that it answers with, or none while it does not.
async fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

async fn wait_for(address: SocketAddr, path: &str, wanted: u16) {
    let start = Instant::now();
    while status(address, path).await != Some(wanted) {
        assert!(start.elapsed() < DEADLINE, "`{path}` does not become {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until it takes no more connections: it has noticed that it is to stop.
pub(crate) async fn wait_until_gone(address: SocketAddr) {
    let start = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(start.elapsed() < DEADLINE, "it still accepts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn it_is_ready_while_its_database_answers_and_ends_on_term() {
    let world = World::new().await;
    let worker = world.worker();
    wait_for(worker.address, "/health/ready", 200).await;

    worker.signal(Signal::TERM);

    let (code, log) = worker.ends().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn it_lives_but_is_not_ready_without_its_database() {
    let address = free_address();
    let mut command = command(&[]);
    command.env("DATABASE_URL", "postgres://slipway_app:hush@127.0.0.1:1/slipway");
    let mut process = command.env("LISTEN", address.to_string()).spawn().unwrap();

    wait_for(address, "/health/live", 200).await;
    wait_for(address, "/health/ready", 503).await;

    process.start_kill().unwrap();
    let output = process.wait_with_output().await.unwrap();
    assert!(!String::from_utf8(output.stderr).unwrap().contains("hush"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_at_once() {
    let mut command = command(&[]);
    command.env("WORKER_CONCURRENCY", "0").env("WORKER_LEASE_S", "0");

    let output = command.output().await.unwrap();

    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    worker: `DATABASE_URL` is not set, expected a `postgres://` URL; or name a file that holds it in `DATABASE_URL_FILE`
    worker: `WORKER_CONCURRENCY` is `0`, expected a whole number from 1 to 64
    worker: `WORKER_LEASE_S` is `0`, expected a whole number of seconds, at least 1
    worker: `worker --help` lists every setting
    ");
}
