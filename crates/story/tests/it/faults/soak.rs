//! Mixed traffic for minutes, while one part after the other fails: nothing is lost, and nothing grows.

use std::time::{Duration, Instant};

use scratch_postgres::Halt;
use service::testing::Running;

use super::clients::{Clients, Told};
use super::soak_traffic::Traffic;
use super::stage::Stage;
use super::wire::State;

/// How long it goes on, in seconds, unless `SOAK_S` says so.
const SOAK_S: u64 = 600;
/// What fails takes turns; so long each.
const TURN: Duration = Duration::from_secs(5);
/// The part of the time after which memory should have found its size.
const WARM_UP: f64 = 0.4;
/// By how much memory may differ later on: allocators keep what a burst of refused requests took.
const MEMORY_GROWTH_MAX: f64 = 1.25;
/// File descriptors that a quiet service may have more than it had when it was quiet before: connections that are kept.
const DESCRIPTORS_MORE_MAX: f64 = 12.0;
/// No answer takes longer: what waits for a lost connection is ended by `REQUEST_TIMEOUT_S`.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// What was seen of a service.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    memory_bytes: f64,
    descriptors: f64,
}

/// What fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    PostgresRestarts(Halt),
    PostgresIsAway,
    WireLags,
    WireHolds,
    WireIsLost,
    WorkerIsKilled,
}

/// One after the other, again and again.
const FAULTS: [Fault; 10] = [
    Fault::Nothing,
    Fault::PostgresRestarts(Halt::Fast),
    Fault::WorkerIsKilled,
    Fault::WireLags,
    Fault::PostgresIsAway,
    Fault::Nothing,
    Fault::WireHolds,
    Fault::WorkerIsKilled,
    Fault::PostgresRestarts(Halt::Immediate),
    Fault::WireIsLost,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_mixed_traffic_with_faults_in_turn_loses_nothing_and_grows_nothing() {
    let given = std::env::var("SOAK_S").ok().and_then(|text| text.parse().ok());
    let soak = Duration::from_secs(given.unwrap_or(SOAK_S));
    let quiet = "warn,service::chassis=info";
    let settings = [
        ("gateway", "LOG", quiet),
        ("control", "LOG", quiet),
        ("worker", "LOG", quiet),
        ("control", "REQUEST_TIMEOUT_S", "3"),
        // A job of a worker that was killed is another one's soon.
        ("worker", "WORKER_LEASE_S", "2"),
    ];
    let stage = Stage::with_a_wire_to("control", &settings).await;
    let clients = Clients::begin(3, &stage);
    let traffic = Traffic::begin(&stage);

    let begun = Instant::now();
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for fault in FAULTS.iter().cycle() {
        happens(*fault, &stage).await;
        stage.until_ready(200).await;
        if !clients.record(5).await {
            break;
        }
        for (service, samples) in services(&stage).into_iter().zip(&mut samples) {
            samples.push(Sample::of(service, begun.elapsed()).await);
        }
        if begun.elapsed() > soak {
            break;
        }
    }

    let (requests, faults) = traffic.end().await;
    let mut told = clients.end().await;
    told.faults.extend(faults);
    report(begun.elapsed(), requests, &told, &samples);
    assert!(told.faults.is_empty(), "{:#?}\n{:#?}", told.faults, stage.explained(&told.faults));
    assert!(told.slowest < ANSWERED_WITHIN, "{:?}", told.slowest);
    stage.has_all_of(told.acknowledged).await;
    stage.ages().await;
    let _sweeps = stage.another_worker().await;
    stage.until_cleared().await;
    nothing_has_grown(&samples);
    nothing_is_held(&stage).await;
    stage.ends().await;
}

async fn happens(fault: Fault, stage: &Stage) {
    match fault {
        Fault::Nothing => tokio::time::sleep(TURN).await,
        Fault::PostgresRestarts(how) => {
            stage.postgres.halt(how).await.unwrap();
            stage.postgres.resume().await.unwrap();
            tokio::time::sleep(TURN).await;
        }
        Fault::PostgresIsAway => {
            stage.postgres.halt(Halt::Fast).await.unwrap();
            tokio::time::sleep(TURN).await;
            stage.postgres.resume().await.unwrap();
        }
        Fault::WireLags | Fault::WireHolds => {
            let state = if matches!(fault, Fault::WireLags) {
                State::Lags(Duration::from_millis(100))
            } else {
                State::Holds
            };
            stage.wire().set(state);
            tokio::time::sleep(TURN).await;
            stage.wire().set(State::Flows);
        }
        Fault::WireIsLost => {
            stage.wire().set(State::Lost);
            tokio::time::sleep(TURN).await;
            stage.wire().set(State::Flows);
        }
        Fault::WorkerIsKilled => {
            // What is old when it starts is cleared away.
            stage.ages().await;
            let victim = stage.another_worker().await;
            tokio::time::sleep(TURN).await;
            drop(victim);
        }
    }
}

fn services(stage: &Stage) -> [&Running; 3] {
    [&stage.gateway, &stage.control, &stage.worker]
}

impl Sample {
    async fn of(service: &Running, at: Duration) -> Self {
        let memory_bytes = service.metric("process_resident_memory_bytes{}").await.unwrap();
        let descriptors = service.metric("process_open_fds{}").await.unwrap();
        Self { at, memory_bytes, descriptors }
    }
}

/// The later half of what came after the warm-up, beside its earlier half: the medians.
fn nothing_has_grown(samples: &[Vec<Sample>; 3]) {
    for samples in samples {
        let end = samples.last().unwrap().at;
        let warm: Vec<_> = samples.iter().filter(|it| it.at > end.mul_f64(WARM_UP)).collect();
        let (earlier, later) = warm.split_at(warm.len() / 2);
        let median = |half: &[&Sample], of: fn(&Sample) -> f64| {
            let mut all: Vec<f64> = half.iter().map(|it| of(it)).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let memory = [earlier, later].map(|half| median(half, |it| it.memory_bytes));
        assert!(memory[1] < memory[0] * MEMORY_GROWTH_MAX, "memory grows: {samples:?}");
        let descriptors = [earlier, later].map(|half| median(half, |it| it.descriptors));
        assert!(descriptors[1] < descriptors[0] + DESCRIPTORS_MORE_MAX, "descriptors grow: {samples:?}");
    }
}

/// Once it is quiet: no request is being answered, no connection is in use, and rows that were old are gone.
async fn nothing_is_held(stage: &Stage) {
    for service in services(stage) {
        let held = async || {
            let active = service.metric("http_server_active_requests{}").await.unwrap();
            let in_use = service.metric(r#"db_pool_connections{state="in_use"}"#).await.unwrap_or(0.0);
            // The look-out for events keeps one for itself.
            active + (in_use - 1.0).max(0.0)
        };
        let give_up = Instant::now() + Duration::from_secs(30);
        while held().await > 0.0 {
            assert!(Instant::now() < give_up, "{}", service.metrics().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for, beside its verdict")]
fn report(took: Duration, requests: u64, told: &Told, samples: &[Vec<Sample>; 3]) {
    println!("| soak of {} s | gateway | control | worker |\n|---|---|---|---|", took.as_secs());
    let line = |what: &str, of: &dyn Fn(&Vec<Sample>) -> f64| {
        let [gateway, control, worker] = samples.each_ref().map(of);
        println!("| {what} | {gateway:.0} | {control:.0} | {worker:.0} |");
    };
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    for part in [0.1, 0.4, 0.7, 1.0] {
        let at = |all: &Vec<Sample>| ((all.len() - 1) as f64 * part) as usize;
        line(&format!("memory after {part:.1} of it, MiB"), &|all| mib(all[at(all)].memory_bytes));
        line(&format!("descriptors after {part:.1} of it"), &|all| all[at(all)].descriptors);
    }
    println!(
        "{} releases acknowledged, {} of them by a repetition; {} refused for now; slowest {:.1} s; {requests} other requests",
        told.acknowledged.len(),
        told.replayed,
        told.refused,
        told.slowest.as_secs_f64()
    );
}
