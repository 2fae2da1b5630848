//! What operators see: every dashboard and every rule, asked of the real Prometheus about services that run.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use service::testing::Running;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::dashboards::Board;
use crate::door::{DEADLINE, Person};
use crate::home;
use crate::processes::{Given, Processes};
use crate::prometheus::Prometheus;

/// More wrong tokens than one address may show in a minute.
const GUESSES: usize = 25;

/// How long panels may stay empty: figures come twice a second, and rates need two of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Those who are told: a receiver of webhooks, one that wants no more of them, and an Alertmanager.
struct Listeners {
    address: SocketAddr,
    alerts: Arc<Mutex<BTreeSet<String>>>,
}

/// People who use Slipway in every way that a dashboard shows.
struct Crowd {
    viewer: Person,
    releaser: Person,
    operator: Person,
    nobody: Person,
    /// Who comes to a gateway that has no control behind it.
    stranded: Person,
    rounds: usize,
}

#[tokio::test]
async fn every_panel_shows_what_services_do_and_every_alert_can_be_raised() {
    let listeners = Listeners::start().await;
    let folder = tempfile::tempdir().unwrap();
    let slipway = Processes::start(Given {
        folder: folder.path().join("slipway"),
        worker: vec![("WEBHOOKS_FILE", listeners.introduce(folder.path()))],
        // Nobody takes the spans: they are dropped, and that is shown.
        all: vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_BSP_SCHEDULE_DELAY", "200")],
    })
    .await;
    let stranded = slipway.gateway_before("http://127.0.0.1:1").await;
    let mut targets = slipway.admin().to_vec();
    targets.push(("gateway", stranded.admin_address()));
    let prometheus = Prometheus::start(&targets, listeners.address).await;
    let mut crowd = Crowd::gathers(&slipway, &stranded).await;
    let boards = Board::all();
    assert!(boards.iter().map(Board::questions).sum::<usize>() >= 40, "the dashboards ask too little");

    let give_up = Instant::now() + PATIENCE;
    loop {
        crowd.does_everything().await;
        let mut faults = Vec::new();
        for board in &boards {
            faults.extend(board.faults(&prometheus).await);
        }
        if faults.is_empty() {
            break;
        }
        assert!(Instant::now() < give_up, "{}", faults.join("\n"));
        sleep(Duration::from_millis(500)).await;
    }

    every_target_answers(&prometheus, targets.len()).await;
    every_rule_is_judged(&prometheus).await;
    the_table_of_figures_is_true(&prometheus).await;
    listeners.hear_of("DeadJobs").await;
    a_fault_is_told_by_dashboard_panel_and_expression(&boards, &prometheus).await;
    what_is_read_of_logs_is_in_them(&stranded.log());
    prometheus.stop().await;
    stranded.stop().await;
    slipway.stop().await;
}

/// Every target is asked and answers; on a busy machine one may be late now and then.
async fn every_target_answers(prometheus: &Prometheus, count: usize) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let targets = prometheus.asks("targets", &[("state", "active")]).await;
        let targets = targets["data"]["activeTargets"].as_array().unwrap();
        assert_eq!(targets.len(), count);
        if targets.iter().all(|it| it["health"] == "up") {
            return;
        }
        assert!(Instant::now() < give_up, "{targets:#?}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn every_rule_is_judged(prometheus: &Prometheus) {
    let answer = prometheus.asks("rules", &[]).await;
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|it| it["rules"].as_array().unwrap()).collect();
    let text = std::fs::read_to_string(home().join(".config/prometheus/rules.yml")).unwrap();
    let written = text.lines().filter(|it| it.contains("- alert: ") || it.contains("- record: ")).count();
    assert_eq!(rules.len(), written);
    assert!(rules.iter().all(|it| it["health"] == "ok"), "{rules:#?}");
}

/// What the tables of figures say is what services tell, and the other way round.
async fn the_table_of_figures_is_true(prometheus: &Prometheus) {
    let own = |name: &str| name == "up" || name.starts_with("scrape_") || name.starts_with("ALERTS");
    let told = prometheus.values("{job!=\"\"}", "__name__").await;
    let parts = ["_bucket", "_count", "_sum"];
    let whole = |name: &str| parts.iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name).to_owned();
    let told: BTreeSet<String> = told.iter().filter(|it| !own(it)).map(|it| whole(it)).collect();
    let table = std::fs::read_to_string(home().join(".config/prometheus/README.md")).unwrap();
    let listed = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next());
    let listed: BTreeSet<String> = listed.map(ToOwned::to_owned).collect();
    let differ: Vec<&String> = told.symmetric_difference(&listed).collect();
    assert!(differ.is_empty(), "told and not listed, or listed and not told: {differ:?}");
}

/// The fields that Alloy takes out of lines are those of a line about a request.
fn what_is_read_of_logs_is_in_them(log: &[Value]) {
    let line = log.iter().find(|it| it["message"] == "answered").unwrap();
    let config = std::fs::read_to_string(home().join(".config/alloy/config.alloy")).unwrap();
    let (_, fields) = config.split_once("expressions = {").unwrap();
    let fields: Vec<&str> = fields.split('}').next().unwrap().split('"').skip(1).step_by(2).collect();
    assert!(fields.len() >= 4, "{fields:?}");
    for field in fields {
        assert!(line[field].is_string(), "`{field}` is not in {line}");
    }
}

/// What the test above sees when a dashboard is wrong.
async fn a_fault_is_told_by_dashboard_panel_and_expression(boards: &[Board], prometheus: &Prometheus) {
    let wrong = [
        ("services.json", "(job) (http_server_active_requests{", "(job) (http_active_requests{"),
        ("services.json", "label_values(up, job)", "label_values(ups, job)"),
        ("jobs.json", "\"{{kind}} {{outcome}}\"", "\"{{kind}} {{result}}\""),
        ("edge.json", "job=\\\"proxy\\\"", "job=\\\"edge\\\""),
        ("database.json", "sum by (job, state) (", "sum by (job, state) (("),
    ];
    let mut told = Vec::new();
    for (name, holds, instead) in wrong {
        let board = boards.iter().find(|it| it.name == name).unwrap().with(holds, instead);
        told.push(board.faults(prometheus).await.first().cloned().unwrap_or_default());
    }
    let no_query = told.pop().unwrap();
    assert!(no_query.starts_with("database.json, panel “Connections”: "), "{no_query}");
    assert!(no_query.contains("parse error"), "{no_query}");
    insta::assert_snapshot!(told.join("\n"), @r#"
    services.json, panel “Requests being answered”: no data
      sum by (job) (http_active_requests{job=~"control|gateway|proxy|worker"})
    services.json, variable `service`: `ups` has no `job`
    jobs.json, panel “Attempts a second”: the legend `{{kind}} {{result}}` names `result`, which is no label of it
      sum by (kind, outcome) (rate(slipway_jobs_finished_total{kind=~"deliver_webhook|verify_release"}[10s]))
    edge.json, panel “Answers of the proxy”: no data
      sum by (status) (rate(http_server_requests_total{job="edge", route!~"/health/.*"}[10s]))
    "#);
}

impl Listeners {
    async fn start() -> Self {
        let alerts = Arc::new(Mutex::new(BTreeSet::new()));
        let heard = alerts.clone();
        let take = async move |Json(raised): Json<Vec<Value>>| {
            let names = raised.iter().filter_map(|it| Some(it["labels"]["alertname"].as_str()?.to_owned()));
            heard.lock().unwrap().extend(names);
        };
        let router = Router::new()
            .route("/hook", post(async || StatusCode::NO_CONTENT))
            .route("/gone", post(async || StatusCode::GONE))
            .route("/api/v2/alerts", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, alerts }
    }

    /// Writes the worker's file of receivers.
    fn introduce(&self, folder: &Path) -> PathBuf {
        let (path, key) = (folder.join("webhooks.toml"), folder.join("webhook-key"));
        std::fs::write(&key, uuid::Uuid::new_v4().to_string()).unwrap();
        let receiver = |name| {
            let url = format!("http://{}/{name}", self.address);
            format!("[[receiver]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret-file = \"{}\"\n", key.display())
        };
        std::fs::write(&path, ["hook", "gone"].map(receiver).concat()).unwrap();
        path
    }

    async fn hear_of(&self, alert: &str) {
        let give_up = Instant::now() + DEADLINE;
        while !self.alerts.lock().unwrap().contains(alert) {
            assert!(Instant::now() < give_up, "no `{alert}`: {:?}", self.alerts.lock().unwrap());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Crowd {
    async fn gathers(slipway: &Processes, stranded: &Running) -> Self {
        let (door, side) = (slipway.door(), slipway.door_at(stranded));
        let crowd = Self {
            viewer: door.person("vic", "viewer"),
            releaser: door.person("ann", "releaser"),
            operator: door.person("bob", "operator"),
            nobody: door.nobody(),
            stranded: side.person("eve", "viewer"),
            rounds: 0,
        };
        for (name, rules) in [
            ("staging", json!({ "services": ["edge"] })),
            ("production", json!({ "services": ["edge"], "protected": true, "requires": "staging" })),
        ] {
            let made = crowd.operator.puts(&format!("/v1/environments/{name}"), &rules).await;
            assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        }
        let guesser = side.shows("a guess");
        let mut limited = false;
        for _ in 0..GUESSES {
            limited |= guesser.gets("/v1/releases").await.status == StatusCode::TOO_MANY_REQUESTS;
        }
        assert!(limited, "who guesses is held up");
        crowd
    }

    /// Asks, changes, is refused in every way, and finds control away.
    async fn does_everything(&mut self) {
        self.rounds += 1;
        let version = format!("1.{}.0", self.rounds);
        let image = format!("registry.example.org/edge@sha256:{:064x}", self.rounds);
        let release = json!({
            "version": version, "commit": format!("{:040x}", self.rounds), "images": { "edge": image }
        });
        let early = json!({ "release": version });
        let answers = [
            self.releaser.posts("/v1/releases", &release).await,
            self.viewer.gets("/v1/releases").await,
            self.viewer.posts("/v1/tokens", &json!({ "name": "x", "role": "viewer" })).await,
            self.viewer.gets("/nowhere").await,
            self.operator.posts("/v1/environments/production/promotions", &early).await,
            self.nobody.gets("/v1/releases").await,
            self.stranded.gets("/v1/releases").await,
        ];
        let statuses = answers.each_ref().map(|it| it.status.as_u16());
        assert_eq!(statuses, [201, 200, 403, 404, 409, 401, 502]);
    }
}
