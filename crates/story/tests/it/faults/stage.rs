//! Gateway, control and worker over a Postgres of the test's own, which the test ends and starts again.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::response::Parts;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use scratch_postgres::{Options, Provider, Server};
use scratch_store::ScratchStore;
use serde_json::Value;
use service::testing::{Answer, Binary, Running, until_status};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::wire::Wire;
use crate::processes::{secrets, service, text};
use crate::receiver::Receiver;

/// Nothing that is waited for takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) gateway: Running,
    pub(crate) control: Running,
    pub(crate) worker: Running,
    pub(crate) receiver: Receiver,
    /// Of an operator.
    pub(crate) token: String,
    http: Client<HttpConnector, Body>,
    victim: Binary,
    wire: Option<Wire>,
    // Before its server.
    scratch: ScratchStore,
    pub(crate) postgres: Server,
    _folder: TempDir,
}

/// Which service a setting is for, its name, and its value.
pub(crate) type Setting<'a> = (&'static str, &'static str, &'a str);

impl Stage {
    pub(crate) async fn set(settings: &[Setting<'_>]) -> Self {
        let (postgres, scratch) = database().await;
        Self::over((postgres, scratch), None, settings).await
    }

    /// With a wire between one service and Postgres that the test can disturb.
    pub(crate) async fn with_a_wire_to(service: &'static str, settings: &[Setting<'_>]) -> Self {
        let (postgres, scratch) = database().await;
        let (wire, url) = Wire::to(&scratch.app_url());
        Self::over((postgres, scratch), Some((service, wire, url)), settings).await
    }

    async fn over(
        (postgres, scratch): (Server, ScratchStore),
        wire: Option<(&'static str, Wire, String)>,
        settings: &[Setting<'_>],
    ) -> Self {
        let database = |name: &str| match &wire {
            Some((service, _, through)) if *service == name => through.clone(),
            _ => scratch.app_url(),
        };
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(folder.path());
        let (identity_key, token_keys) = (secrets.join("identity-key"), secrets.join("token-keys"));
        let receiver = Receiver::start().await;
        let configured = |name: &'static str| {
            let mine = settings.iter().filter(|(service, ..)| *service == name);
            mine.fold(service(name), |binary, (_, name, value)| binary.env(name, value))
        };
        let control = configured("control")
            .env("IDENTITY_KEY_FILE", text(&identity_key))
            .env("DATABASE_URL", &database("control"));
        let control = control.start().await;
        let gateway = configured("gateway")
            .env("CONTROL_URL", &control.url())
            .env("RATE_LIMIT_PER_MINUTE", "4000000000")
            .env("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "4000000000")
            .env("IDENTITY_KEY_FILE", text(&identity_key))
            .env("TOKEN_KEYS_FILE", text(&token_keys));
        let made = gateway.run(&["token", "--subject", "ann", "--role", "operator"]).await;
        let worker = configured("worker")
            .env("WORKER_POLL_MS", "50")
            .env("WEBHOOKS_FILE", text(&receiver.introduce(folder.path(), folder.path())))
            .env("DATABASE_URL", &database("worker"));
        Self {
            gateway: gateway.start().await,
            worker: worker.start().await,
            control,
            receiver,
            token: made.stdout.trim().to_owned(),
            http: http_client(),
            victim: worker,
            wire: wire.map(|(_, wire, _)| wire),
            scratch,
            postgres,
            _folder: folder,
        }
    }

    pub(crate) fn wire(&self) -> &Wire {
        self.wire.as_ref().expect("it was set behind a wire")
    }

    /// One more worker, for a test that kills it.
    pub(crate) async fn another_worker(&self) -> Running {
        self.victim.start().await
    }

    /// Asks the gateway.
    pub(crate) async fn gets(&self, path: &str) -> Answer {
        self.asker(path).await
    }

    /// The same, to be done beside something else.
    pub(crate) fn asker(&self, path: &str) -> impl Future<Output = Answer> + Send + use<> {
        let request = Request::get(format!("{}{path}", self.gateway.url()));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let asked = self.http.request(request.body(Body::empty()).unwrap());
        async move {
            let (head, body) = asked.await.expect("the gateway answers").into_parts();
            let body = body.collect().await.expect("the answer is whole").to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            Answer { status: head.status, headers: head.headers, body }
        }
    }

    /// Waits until control and worker say that they are ready, or that they are not.
    pub(crate) async fn until_ready(&self, status: u16) {
        until_status(status, || self.control.get("/health/ready")).await;
        until_status(status, || self.worker.get("/health/ready")).await;
    }

    /// What a query says, run by the superuser.
    pub(crate) async fn asks<T>(&self, sql: &'static str) -> Vec<T>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        let mut admin = PgConnection::connect(&self.scratch.admin_url()).await.unwrap();
        sqlx::query_as(sql).fetch_all(&mut admin).await.unwrap()
    }

    /// Waits until no job and no event waits.
    pub(crate) async fn until_done(&self) {
        self.until_done_within(DEADLINE).await;
    }

    pub(crate) async fn until_done_within(&self, limit: Duration) {
        let give_up = tokio::time::Instant::now() + limit;
        loop {
            let open: Vec<(i64, i64)> = self
                .asks(
                    "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NULL),
                            (SELECT count(*) FROM webhook_outbox WHERE delivered_at IS NULL)",
                )
                .await;
            if open == [(0, 0)] {
                return;
            }
            assert!(tokio::time::Instant::now() < give_up, "jobs and events are left: {open:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What control has logged of the requests that these problems are of.
    pub(crate) fn explained(&self, problems: &[Value]) -> Vec<Value> {
        let ids: Vec<&Value> = problems.iter().map(|it| &it["request_id"]).collect();
        let mut lines = self.control.log();
        lines.retain(|line| ids.contains(&&line["request_id"]));
        lines
    }

    /// Every release that was acknowledged is there, and no other; each was audited, told and verified once, and heard of.
    pub(crate) async fn has_all_of(&self, mut acknowledged: Vec<String>) {
        self.until_done().await;
        acknowledged.sort();
        let recorded: Vec<(String,)> = self.asks("SELECT version FROM releases").await;
        let mut recorded: Vec<String> = recorded.into_iter().map(|(version,)| version).collect();
        recorded.sort();
        assert_eq!(acknowledged, recorded, "acknowledged, and recorded");
        let counted: Vec<(String, i64)> = self
            .asks(
                "SELECT 'audited ' || action, count(DISTINCT subject) FROM audit_entries GROUP BY action
                 UNION ALL SELECT 'audited in all', count(*) FROM audit_entries
                 UNION ALL SELECT 'told ' || event, count(*) FROM events WHERE event = 'release.recorded' GROUP BY event
                 ORDER BY 1",
            )
            .await;
        let each = i64::try_from(recorded.len()).unwrap();
        // No key was given to verify with.
        let wanted = [
            ("audited in all", 2 * each),
            ("audited release.not_verified", each),
            ("audited release.recorded", each),
            ("told release.recorded", each),
        ];
        assert_eq!(counted, wanted.map(|(what, count)| (what.to_owned(), count)));
        let failed = "SELECT count(*) FROM jobs WHERE outcome IS DISTINCT FROM 'succeeded'";
        assert_eq!(self.asks::<(i64,)>(failed).await, [(0,)]);
        // Each event was heard, though perhaps more than once: its number says that it is the same.
        self.receiver.told(2 * recorded.len()).await;
    }

    /// So many jobs more to verify the release that there is.
    pub(crate) async fn enqueues(&self, jobs: i64) {
        let mut admin = PgConnection::connect(&self.scratch.admin_url()).await.unwrap();
        let enqueues = "INSERT INTO jobs (id, kind, payload)
                        SELECT gen_random_uuid(), 'verify_release', jsonb_build_object('release_id', releases.id)
                        FROM (SELECT id FROM releases LIMIT 1) releases, generate_series(1, $1)";
        sqlx::query(enqueues).bind(jobs).execute(&mut admin).await.unwrap();
    }

    /// Follows changes: the answer's head, and the stream.
    pub(crate) async fn follow(&self) -> (Parts, Body) {
        let request = Request::get(format!("{}/v1/events", self.gateway.url()))
            .header("authorization", format!("Bearer {}", self.token));
        self.http.request(request.body(Body::empty()).unwrap()).await.unwrap().map(Body::new).into_parts()
    }

    /// Makes what is done look as if it were done long since.
    pub(crate) async fn ages(&self) {
        let mut admin = PgConnection::connect(&self.scratch.admin_url()).await.unwrap();
        let ages =
            "UPDATE jobs SET finished_at = finished_at - interval '40 days' WHERE outcome = 'succeeded';
                    UPDATE webhook_outbox SET delivered_at = delivered_at - interval '40 days'
                    WHERE delivered_at IS NOT NULL";
        admin.execute(ages).await.unwrap();
    }

    /// Waits until what was done long since is cleared away, all of it.
    pub(crate) async fn until_cleared(&self) {
        let give_up = tokio::time::Instant::now() + DEADLINE;
        let left = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM webhook_outbox)";
        while self.asks::<(i64,)>(left).await != [(0,)] {
            assert!(tokio::time::Instant::now() < give_up, "old rows stay");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops all, the edge first; none has to be killed, and none was started anew.
    pub(crate) async fn ends(self) {
        for running in [self.gateway, self.control, self.worker] {
            let finished = running.stop().await;
            assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
            let panicked = finished.stderr.lines().find(|line| line.contains("\"panicked\""));
            assert_eq!(panicked, None);
        }
    }
}

/// A server of the test's own, and a migrated database on it.
async fn database() -> (Server, ScratchStore) {
    let local = Options { provider: Some(Provider::Local), ..Options::from_env().unwrap() };
    let postgres =
        Server::start(&local).await.expect("`cargo xtask test --setup` installs the server's programs");
    let scratch = ScratchStore::migrated_on(&postgres).await;
    durable(&scratch).await;
    (postgres, scratch)
}

/// What is committed stays, as production has it: scratch servers do without.
async fn durable(scratch: &ScratchStore) {
    let mut admin = PgConnection::connect(&scratch.admin_url()).await.unwrap();
    let name: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut admin).await.unwrap();
    let setting = format!(r#"ALTER DATABASE "{name}" SET synchronous_commit = on"#);
    admin.execute(AssertSqlSafe(setting)).await.unwrap();
}

/// Its unused connections are given up before the gateway closes them: a request would meet their end.
pub(crate) fn http_client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(5))
        .build_http()
}

/// A problem's code.
pub(crate) fn code(answer: &Answer) -> Value {
    answer.json()["code"].clone()
}
