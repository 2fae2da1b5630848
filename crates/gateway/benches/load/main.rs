//! What the gateway costs, and what a restart of Postgres costs: real processes on loopback over a scratch Postgres; as
//! tables of Markdown.
//!
//! ```text
//! cargo bench -p gateway --bench load                  # optimised, as services run
//! cargo bench -p gateway --bench load --profile dev    # quicker to build
//! ```
//!
//! The same requests go to control straight and through the gateway, in turns. *Closed*: each of a few clients asks again as
//! soon as it is answered, for requests a second and the CPU time of each. *Open*: requests are sent at a fixed rate however
//! long answers take, and a latency counts from when its request was due, so that a stall shows in every request that waited
//! behind it. `LOAD_SECONDS` is how long each turn takes (default 3).
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod restarts;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use scratch_store::ScratchStore;
use serde_json::json;
use service::identity::Role;
use service::testing::{Binary, Running, TestGateway};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many clients ask at once in a closed turn, and how many connections there are.
const CLIENTS: usize = 16;
/// How many turns each way gets.
const TURNS: usize = 3;
/// The open turns' rate, as a part of what the slower way managed when closed.
const OPEN_PART: f64 = 0.5;
/// Where they listen, and what goes wrong: a line for each request would be what is measured.
const LOG: &str = "warn,service::chassis=info";
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One way to control.
#[derive(Clone)]
struct Way {
    name: &'static str,
    base: String,
    client: Client<HttpConnector, Body>,
    credentials: Credentials,
}

/// How a request says who asks.
#[derive(Clone)]
enum Credentials {
    /// As the gateway says it.
    Identity(TestGateway),
    /// As a client says it.
    Token(String),
}

/// What came of the requests of some turns.
#[derive(Default)]
struct Outcome {
    latencies: Vec<Duration>,
    errors: u64,
    took: Duration,
    /// Of control and of the gateway.
    cpu_seconds: [f64; 2],
}

#[tokio::main]
async fn main() {
    let seconds = std::env::var("LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let turn = Duration::from_secs(seconds);
    let scratch = ScratchStore::migrated().await;
    let signs = TestGateway::before("control");
    let control = start_control(&scratch, &signs).await;
    let (gateway, token) = start_gateway(&control, &signs).await;
    let straight = Way::new("straight to control", control.url(), Credentials::Identity(signs));
    let through = Way::new("through the gateway", gateway.url(), Credentials::Token(token));
    assert!(straight.ask(straight.records("1.4.0")).await.is_some(), "the release is recorded");

    println!("{CLIENTS} connections, {TURNS} turns of {seconds} s each\n");
    println!(
        "| what | way | requests/s | p50 ms | p99 ms | p99.9 ms | errors | CPU of control, gateway: ms a request |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let ways = [&straight, &through];
    let services = [&control, &gateway];
    let read = |way: &Way| way.reads();
    let reads = closed("read one release, closed loop", &ways, services, turn, &read).await;
    let number = AtomicU64::new(0);
    let record = |way: &Way| way.records(&format!("2.0.{}", number.fetch_add(1, Ordering::Relaxed)));
    closed("record a release, closed loop", &ways, services, turn, &record).await;
    let rate = reads.iter().map(Outcome::rate).fold(f64::INFINITY, f64::min) * OPEN_PART;
    let mut open = [Outcome::default(), Outcome::default()];
    for _ in 0..TURNS {
        for (way, outcome) in ways.iter().zip(&mut open) {
            outcome.add(open_turn(way, turn, rate).await);
        }
    }
    report(&format!("read one release, open loop, {rate:.0} requests/s due"), &ways, &open);
    drop((control, gateway));
    restarts::report().await;
}

/// Turns of each way; `request` makes one request more.
async fn closed(
    what: &str,
    ways: &[&Way; 2],
    services: [&Running; 2],
    turn: Duration,
    request: &(dyn Fn(&Way) -> Request + Sync),
) -> [Outcome; 2] {
    let mut outcomes = [Outcome::default(), Outcome::default()];
    for _ in 0..TURNS {
        for (way, outcome) in ways.iter().zip(&mut outcomes) {
            let before = cpu_seconds(services).await;
            outcome.add(closed_turn(way, turn, request).await);
            let after = cpu_seconds(services).await;
            outcome.cpu_seconds =
                std::array::from_fn(|index| outcome.cpu_seconds[index] + after[index] - before[index]);
        }
    }
    report(what, ways, &outcomes);
    outcomes
}

/// The CPU time that control and gateway have had.
async fn cpu_seconds(services: [&Running; 2]) -> [f64; 2] {
    let of =
        async |service: &Running| service.metric("process_cpu_seconds_total{}").await.unwrap_or_default();
    [of(services[0]).await, of(services[1]).await]
}

impl Way {
    fn new(name: &'static str, base: String, credentials: Credentials) -> Self {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(CLIENTS).build_http();
        Self { name, base, client, credentials }
    }

    fn request(&self, method: &str, path: &str, body: Body) -> Request {
        let uri = format!("{}{path}", self.base);
        let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        let request = request.body(body).expect("it is a URI");
        match &self.credentials {
            Credentials::Identity(gateway) => gateway.says(request, "ann", Role::Operator),
            Credentials::Token(token) => {
                let mut request = request;
                let value = format!("Bearer {token}").parse().expect("a token is ASCII");
                request.headers_mut().insert("authorization", value);
                request
            }
        }
    }

    fn reads(&self) -> Request {
        self.request("GET", "/v1/releases/1.4.0", Body::empty())
    }

    fn records(&self, version: &str) -> Request {
        let image = format!("registry.example.org/slipway/gateway@sha256:{}", "a".repeat(64));
        let release =
            json!({ "version": version, "commit": "c0ffee00".repeat(5), "images": { "gateway": image } });
        self.request("POST", "/v1/releases", release.to_string().into())
    }

    /// Asks once and reads the whole answer; nothing when it was no good one.
    async fn ask(&self, request: Request) -> Option<()> {
        let asked = async {
            let answer = self.client.request(request).await.ok()?;
            let status = answer.status();
            let body = answer.into_body().collect().await.ok()?.to_bytes();
            (status.is_success() && !body.is_empty()).then_some(())
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }
}

impl Outcome {
    fn note(&mut self, answer: Option<()>, latency: Duration) {
        self.errors += u64::from(answer.is_none());
        self.latencies.push(latency);
    }

    fn add(&mut self, more: Self) {
        self.latencies.extend(more.latencies);
        self.errors += more.errors;
        self.took += more.took;
    }

    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency in milliseconds that so many of a thousand requests did not exceed.
    fn quantile_ms(&self, per_mille: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }

    fn figures(&self) -> [f64; 4] {
        [self.rate(), self.quantile_ms(500), self.quantile_ms(990), self.quantile_ms(999)]
    }
}

async fn closed_turn(way: &Way, turn: Duration, request: &(dyn Fn(&Way) -> Request + Sync)) -> Outcome {
    let started = Instant::now();
    let client = async || {
        let mut outcome = Outcome::default();
        while started.elapsed() < turn {
            let asked = Instant::now();
            let answer = way.ask(request(way)).await;
            outcome.note(answer, asked.elapsed());
        }
        outcome
    };
    let mut all = Outcome::default();
    for outcome in join_all((0..CLIENTS).map(|_| client())).await {
        all.add(outcome);
    }
    all.took = started.elapsed();
    all
}

async fn open_turn(way: &Way, turn: Duration, rate: f64) -> Outcome {
    let started = Instant::now();
    let mut requests = JoinSet::new();
    let count = (rate * turn.as_secs_f64()) as u32;
    let way = Arc::new(way.clone());
    for number in 0..count {
        let due = started + Duration::from_secs_f64(f64::from(number) / rate);
        tokio::time::sleep_until(due).await;
        let way = way.clone();
        requests.spawn(async move {
            let mut outcome = Outcome::default();
            let answer = way.ask(way.reads()).await;
            outcome.note(answer, due.elapsed());
            outcome
        });
    }
    gather(requests, started).await
}

async fn gather(mut running: JoinSet<Outcome>, started: Instant) -> Outcome {
    let mut all = Outcome::default();
    while let Some(outcome) = running.join_next().await {
        all.add(outcome.expect("asking does not panic"));
    }
    all.took = started.elapsed();
    all
}

fn report(what: &str, ways: &[&Way; 2], outcomes: &[Outcome; 2]) {
    for (way, outcome) in ways.iter().zip(outcomes) {
        let [rate, p50, p99, p999] = outcome.figures();
        let each =
            outcome.cpu_seconds.map(|seconds| seconds * 1000.0 / outcome.latencies.len().max(1) as f64);
        let cpu = if each == [0.0; 2] { String::new() } else { format!("{:.2}, {:.2}", each[0], each[1]) };
        let (name, errors) = (way.name, outcome.errors);
        println!("| {what} | {name} | {rate:.0} | {p50:.2} | {p99:.2} | {p999:.2} | {errors} | {cpu} |");
    }
    let [straight, through] = outcomes.each_ref().map(Outcome::figures);
    let [rate, p50, p99, p999] = std::array::from_fn(|index| through[index] / straight[index]);
    println!("| {what} | through / straight | {rate:.2} | {p50:.2} | {p99:.2} | {p999:.2} | | |");
}

/// Control beside the gateway, built as the gateway is.
fn built_control() -> PathBuf {
    let gateway = Path::new(env!("CARGO_BIN_EXE_gateway"));
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--locked", "--quiet", "--package", "control"]);
    if gateway.parent().is_some_and(|folder| folder.ends_with("release")) {
        build.arg("--release");
    }
    assert!(build.status().is_ok_and(|status| status.success()), "control cannot be built");
    gateway.with_file_name("control")
}

pub(crate) async fn start_control(scratch: &ScratchStore, signs: &TestGateway) -> Running {
    let path = built_control();
    let binary = Binary::new(path.to_str().expect("the path is text"));
    binary
        .env("DATABASE_URL", &scratch.app_url())
        .env("IDENTITY_KEY", signs.key())
        .env("LOG", LOG)
        .start()
        .await
}

/// The gateway, and a token that it believes.
pub(crate) async fn start_gateway(control: &Running, signs: &TestGateway) -> (Running, String) {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let keys = folder.path().join("keys.json");
    // The identity's key is random, so it does for this, too.
    let secret = URL_SAFE_NO_PAD.encode(signs.key());
    let set = json!({ "keys": [{ "kty": "oct", "kid": "load", "k": secret }] });
    std::fs::write(&keys, set.to_string()).expect("the file can be written");
    let binary = Binary::new(env!("CARGO_BIN_EXE_gateway"))
        .env("CONTROL_URL", &control.url())
        .env("IDENTITY_KEY", signs.key())
        .env("TOKEN_KEYS_FILE", keys.to_str().expect("the path is text"))
        .env("RATE_LIMIT_PER_MINUTE", "4000000000")
        .env("LOG", LOG);
    let made = binary.run(&["token", "--subject", "ann", "--role", "operator"]).await;
    (binary.start().await, made.stdout.trim().to_owned())
}
