//! The worker as a process, against a real Postgres, in the login of the app role.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dead_letters;
mod forgetting;
mod kills;
mod leases;
mod receiver;
mod service;
mod verifying;
mod webhooks;

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scratch_store::ScratchStore;
use sqlx::{Connection, PgConnection};
use store::audit::{Entry, Filter};
use store::jobs::{Job, NewJob, VerifyRelease};
use store::releases::{Image, NewRelease, Release};
use store::{Origin, PageSize, Store};
use tokio::process::{Child, Command};
use uuid::Uuid;

/// How long a condition may take to come true before the test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// A migrated database of the test's own.
struct World {
    scratch: ScratchStore,
    store: Store,
}

/// A running worker; dropped, it is killed.
struct Worker {
    process: Child,
    address: SocketAddr,
}

impl World {
    async fn new() -> Self {
        let scratch = ScratchStore::migrated().await;
        let store = Store::connect(&scratch.app_url()).await.unwrap();
        Self { scratch, store }
    }

    /// Starts a worker whose leases run for a second, and that gives its jobs back as soon as it is told to stop.
    fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    /// Starts a worker whose jobs may go on for so many seconds once it is told to stop.
    fn worker_that_finishes_within(&self, seconds: &str) -> Worker {
        self.worker_with(&[("WORKER_FINISH_S", seconds)])
    }

    /// Starts a worker that is told this besides.
    fn worker_with(&self, settings: &[(&str, &str)]) -> Worker {
        let address = free_address();
        let mut command = command(&[]);
        command
            .env("DATABASE_URL", self.scratch.app_url())
            .env("LISTEN", address.to_string())
            .env("WORKER_LEASE_S", "1")
            .env("WORKER_POLL_MS", "20")
            .env("WORKER_FINISH_S", "0")
            .envs(settings.iter().copied());
        Worker { process: command.spawn().unwrap(), address }
    }

    /// What `worker jobs` answers on the terminal: exit code, then what it printed, without identifiers.
    async fn jobs(&self, arguments: &[&str]) -> String {
        let arguments: Vec<&str> = ["jobs"].iter().chain(arguments).copied().collect();
        let mut command = command(&arguments);
        let output =
            command.env("DATABASE_URL", self.scratch.app_url()).env("USER", "ann").output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        format!("exit {code}\n{}{}", text(output.stdout), text(output.stderr)).trim_end().to_owned()
    }

    /// Records a release, which makes a job; returns both.
    async fn release(&self, version: &str) -> Release {
        let image = Image {
            service: "gateway".to_owned(),
            repository: "registry.example.org/slipway/gateway".to_owned(),
            digest: format!("sha256:{}", "a".repeat(64)),
        };
        let release = NewRelease {
            version: version.to_owned(),
            commit_id: "c0ffee00".repeat(5),
            images: vec![image],
            signing_key_id: None,
            evidence: None,
        };
        let origin = Origin { actor: "ann".to_owned(), request_id: Some("req-1".to_owned()) };
        self.store.releases().record(&release, None, &origin).await.unwrap().value
    }

    /// A job to verify a release, whose identifier the test knows.
    async fn job(&self, release: &Release) -> Uuid {
        self.store.jobs().enqueue(&VerifyRelease { release_id: release.id }.job()).await.unwrap()
    }

    async fn state(&self, id: Uuid) -> Job {
        self.store.jobs().get(id).await.unwrap().unwrap()
    }

    /// Waits until the job is as wanted.
    async fn wait_for_job(&self, id: Uuid, wanted: impl Fn(&Job) -> bool) -> Job {
        let start = Instant::now();
        loop {
            let job = self.state(id).await;
            if wanted(&job) {
                return job;
            }
            assert!(start.elapsed() < DEADLINE, "the job stays {job:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until no job is left to do.
    async fn wait_for_all(&self) {
        let mut admin = self.admin().await;
        let start = Instant::now();
        loop {
            let open: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE finished_at IS NULL")
                .fetch_one(&mut admin)
                .await
                .unwrap();
            if open == 0 {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{open} jobs are still not done");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The verdicts about a release.
    async fn verdicts(&self, release: &Release) -> Vec<Entry> {
        let about = Filter { subject: Some(format!("release/{}", release.id)), ..Filter::default() };
        let page = self.store.audit().list(&about, None, PageSize::clamped(100)).await.unwrap();
        let verdicts = ["release.verified", "release.rejected", "release.not_verified"];
        page.items.into_iter().filter(|entry| verdicts.contains(&entry.action.as_str())).collect()
    }

    async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.scratch.admin_url()).await.unwrap()
    }

    /// Makes every handler wait in the database, until the connection is dropped or commits.
    async fn jam(&self) -> PgConnection {
        let mut admin = self.admin().await;
        sqlx::raw_sql("BEGIN; LOCK TABLE release_images IN ACCESS EXCLUSIVE MODE")
            .execute(&mut admin)
            .await
            .unwrap();
        admin
    }

    /// Lets the handlers go on.
    async fn unjam(&self, mut jam: PgConnection) {
        sqlx::raw_sql("COMMIT").execute(&mut jam).await.unwrap();
    }
}

impl Worker {
    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended and returns exit code and log.
    async fn ends(self) -> (Option<i32>, String) {
        let output = tokio::time::timeout(DEADLINE, self.process.wait_with_output());
        let output = output.await.expect("it ends in time").unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// The worker's program with nothing in its environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("ADMIN_LISTEN", "127.0.0.1:0").kill_on_drop(true);
    command
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A job of a kind that no worker knows.
fn unknown_job() -> NewJob {
    NewJob::new("fly_to_the_moon", serde_json::json!({}))
}
