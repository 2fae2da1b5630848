//! The worker as a service: health, settings, stopping.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::service::testing::figures;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::receiver::{Answer, Receiver};
use crate::{DEADLINE, World, command, free_address};

/// The status that it answers with, or none while it does not.
async fn status(address: SocketAddr, path: &str) -> Option<u16> {
    get(address, path).await?.split(' ').nth(1)?.parse().ok()
}

/// Its whole answer, or none while it gives none.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
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

#[tokio::test]
async fn it_tells_how_many_jobs_wait_run_are_dead_and_have_ended() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    receiver.will_answer(&[Answer::Status(410)]);
    let admin = free_address();
    world.release("1.4.0").await;
    let file = receiver.one();
    let _worker = world.worker_with(&[("WEBHOOKS_FILE", &file), ("ADMIN_LISTEN", &admin.to_string())]);
    world.wait_for_all().await;

    // The database knows before the worker counts.
    let settled = [
        r#"slipway_jobs_dead{kind="deliver_webhook"} 1"#,
        r#"slipway_jobs_finished_total{kind="deliver_webhook",outcome="dead"} 1"#,
        r#"slipway_jobs_finished_total{kind="verify_release",outcome="done"} 1"#,
        r#"slipway_jobs_running{kind="deliver_webhook"} 0"#,
        r#"slipway_jobs_running{kind="verify_release"} 0"#,
        "slipway_outbox_pending{} 0",
    ];
    let start = Instant::now();
    let told = loop {
        match get(admin, "/metrics").await.filter(|text| settled.iter().all(|it| text.contains(it))) {
            Some(text) => break text,
            None => assert!(start.elapsed() < DEADLINE, "not all is told of"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };

    let lines = told
        .lines()
        .filter(|line| line.starts_with("slipway_") && !line.contains("_bucket") && !line.contains("_sum"));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    slipway_job_duration_seconds_count{kind="deliver_webhook"} 1
    slipway_job_duration_seconds_count{kind="verify_release"} 1
    slipway_jobs_dead{kind="deliver_webhook"} 1.0
    slipway_jobs_dead{kind="verify_release"} 0.0
    slipway_jobs_finished_total{kind="deliver_webhook",outcome="dead"} 1
    slipway_jobs_finished_total{kind="verify_release",outcome="done"} 1
    slipway_jobs_oldest_age_seconds{kind="deliver_webhook"} 0.0
    slipway_jobs_oldest_age_seconds{kind="verify_release"} 0.0
    slipway_jobs_queued{kind="deliver_webhook"} 0.0
    slipway_jobs_queued{kind="verify_release"} 0.0
    slipway_jobs_running{kind="deliver_webhook"} 0.0
    slipway_jobs_running{kind="verify_release"} 0.0
    slipway_outbox_oldest_age_seconds{} 0.0
    slipway_outbox_pending{} 0.0
    "#);
}

#[tokio::test]
async fn every_figure_is_in_the_table_of_figures() {
    let world = World::new().await;
    let admin = free_address();
    let settings = [
        ("ADMIN_LISTEN", admin.to_string()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned()),
    ];
    let worker = world.worker_with(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    // What is told of requests comes with the first one.
    wait_for(worker.address, "/health/ready", 200).await;
    world.release("1.4.0").await;
    let table = include_str!("../../../../.config/prometheus/README.md");
    let headings = ["Of every service", "Of services with a database", "Of the worker"];
    let listed = figures::listed(table, &headings);
    // What is told of jobs comes with the first one, and with the first count of them.
    let start = Instant::now();
    loop {
        let told = figures::told(&get(admin, "/metrics").await.unwrap_or_default());
        if told == listed {
            break;
        }
        let differ: Vec<_> = told.symmetric_difference(&listed).collect();
        assert!(start.elapsed() < DEADLINE, "{differ:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
