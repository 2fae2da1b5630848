//! What clients notice when Postgres is restarted: for how long, and how many are told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use scratch_postgres::{Halt, Options, Provider, Server};
use scratch_store::ScratchStore;
use service::testing::TestGateway;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{Credentials, Way, start_control, start_gateway};

/// Clients who record one release after the other.
const CLIENTS: usize = 8;
/// How often it is restarted in each way.
const TIMES: usize = 5;

/// Restarts Postgres under load, and tells what came of it.
pub(crate) async fn report() {
    let local = Options { provider: Some(Provider::Local), ..Options::from_env().expect("it is set well") };
    let postgres = Server::start(&local).await.expect("the server's programs are installed");
    let scratch = ScratchStore::migrated_on(&postgres).await;
    let signs = TestGateway::before("control");
    let control = start_control(&scratch, &signs).await;
    let (gateway, token) = start_gateway(&control, &signs).await;
    let way = Way::new("through the gateway", gateway.url(), Credentials::Token(token));

    println!("\n{CLIENTS} clients record releases while Postgres is restarted {TIMES} times in each way\n");
    println!(
        "| restart | recorded | told to come back | longest answer ms | server away ms | after it was back, first record ms |"
    );
    println!("|---|---|---|---|---|---|");
    for how in [Halt::Fast, Halt::Immediate] {
        let load = Load::begin(&way, how);
        let (mut away, mut back) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            load.records().await;
            let halted = Instant::now();
            postgres.halt(how).await.expect("it is ours");
            postgres.resume().await.expect("it starts again");
            away.push(halted.elapsed());
            let resumed = Instant::now();
            load.records().await;
            back.push(resumed.elapsed());
        }
        let ((recorded, refused), slowest) = load.end().await;
        let [away, back] = [away, back].map(|all| milliseconds(*all.iter().max().expect("there were some")));
        println!(
            "| {how:?} | {recorded} | {refused} | {:.0} | {away:.0} | {back:.0} |",
            milliseconds(slowest)
        );
    }
}

/// Clients at work.
struct Load {
    working: JoinSet<Duration>,
    over: Arc<AtomicBool>,
    recorded: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Load {
    fn begin(way: &Way, how: Halt) -> Self {
        let (recorded, refused) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let over = Arc::<AtomicBool>::default();
        let mut working = JoinSet::new();
        for client in 0..CLIENTS {
            let (way, over) = (way.clone(), Arc::clone(&over));
            let (recorded, refused) = (Arc::clone(&recorded), Arc::clone(&refused));
            working.spawn(async move {
                let mut slowest = Duration::ZERO;
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let asked = Instant::now();
                    let version = format!("{}.{client}.{number}", how as u8 + 3);
                    let came = way.ask(way.records(&version)).await;
                    slowest = slowest.max(asked.elapsed());
                    if came.is_some() { &recorded } else { &refused }.fetch_add(1, Ordering::Relaxed);
                    if came.is_none() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                slowest
            });
        }
        Self { working, over, recorded, refused }
    }

    /// Waits until one more release is recorded.
    async fn records(&self) {
        let before = self.recorded.load(Ordering::Relaxed);
        while self.recorded.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many were recorded and refused, and the longest answer.
    async fn end(self) -> ((usize, usize), Duration) {
        self.over.store(true, Ordering::Relaxed);
        let slowest = self.working.join_all().await.into_iter().max().unwrap_or_default();
        ((self.recorded.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed)), slowest)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
