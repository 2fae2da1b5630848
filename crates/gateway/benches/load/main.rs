//! What the gateway costs: the same requests to control straight and through the gateway, in turns, real processes on
//! loopback over a scratch Postgres.
//!
//! ```text
//! cargo build -p control && cargo bench -p gateway --bench load --profile dev
//! ```
//!
//! Twice: *closed*, where each of a few clients asks again as soon as it is answered, for requests a second; and *open*, where
//! requests are sent at a fixed rate however long answers take, and a latency counts from when its request was due, so that a
//! stall shows in every request that waited behind it. `LOAD_SECONDS` is how long each turn takes (default 3).
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    record_a_release(&straight).await;

    println!(
        "GET of one release: gateway → control → Postgres; {CLIENTS} connections, {TURNS} turns of {seconds} s each\n"
    );
    let ways = [&straight, &through];
    let mut closed = [Outcome::default(), Outcome::default()];
    for _ in 0..TURNS {
        for (way, outcome) in ways.iter().zip(&mut closed) {
            outcome.add(closed_turn(way, turn).await);
        }
    }
    report("closed loop", &ways, &closed);
    let rate = closed.iter().map(Outcome::rate).fold(f64::INFINITY, f64::min) * OPEN_PART;
    let mut open = [Outcome::default(), Outcome::default()];
    for _ in 0..TURNS {
        for (way, outcome) in ways.iter().zip(&mut open) {
            outcome.add(open_turn(way, turn, rate).await);
        }
    }
    report(&format!("open loop, {rate:.0} requests/s due"), &ways, &open);
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

    /// Asks once and reads the whole answer; nothing when it was no good one.
    async fn ask(&self) -> Option<()> {
        let asked = async {
            let answer =
                self.client.request(self.request("GET", "/v1/releases/1.4.0", Body::empty())).await.ok()?;
            let status = answer.status();
            let body = answer.into_body().collect().await.ok()?.to_bytes();
            (status == 200 && !body.is_empty()).then_some(())
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

async fn closed_turn(way: &Way, turn: Duration) -> Outcome {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let way = way.clone();
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            while started.elapsed() < turn {
                let asked = Instant::now();
                let answer = way.ask().await;
                outcome.note(answer, asked.elapsed());
            }
            outcome
        });
    }
    gather(clients, started).await
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
            let answer = way.ask().await;
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

fn report(title: &str, ways: &[&Way; 2], outcomes: &[Outcome; 2]) {
    println!("{title:32} requests/s   p50 ms   p99 ms  p99.9 ms   errors");
    for (way, outcome) in ways.iter().zip(outcomes) {
        let [rate, p50, p99, p999] = outcome.figures();
        println!("  {:30} {rate:10.0} {p50:8.2} {p99:8.2} {p999:9.2} {:8}", way.name, outcome.errors);
    }
    let [straight, through] = outcomes.each_ref().map(Outcome::figures);
    let [rate, p50, p99, p999] = std::array::from_fn(|index| through[index] / straight[index]);
    println!("  {:30} {rate:10.2} {p50:8.2} {p99:8.2} {p999:9.2}\n", "through / straight");
}

async fn start_control(scratch: &ScratchStore, signs: &TestGateway) -> Running {
    let path = Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name("control");
    assert!(path.exists(), "`{}` is not there: build it first (`cargo build -p control`)", path.display());
    let binary = Binary::new(path.to_str().expect("the path is text"));
    binary
        .env("DATABASE_URL", &scratch.app_url())
        .env("IDENTITY_KEY", signs.key())
        .env("LOG", LOG)
        .start()
        .await
}

/// The gateway, and a token that it believes.
async fn start_gateway(control: &Running, signs: &TestGateway) -> (Running, String) {
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

async fn record_a_release(way: &Way) {
    let image = format!("registry.example.org/slipway/gateway@sha256:{}", "a".repeat(64));
    let release =
        json!({ "version": "1.4.0", "commit": "c0ffee00".repeat(5), "images": { "gateway": image } });
    let request = way.request("POST", "/v1/releases", release.to_string().into());
    let answer = way.client.request(request).await.expect("control answers");
    assert_eq!(answer.status(), 201, "the release is recorded");
}
