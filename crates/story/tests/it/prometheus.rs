//! The real Prometheus with the configuration of `.config/prometheus`, asking services of this machine.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::door::DEADLINE;
use crate::home;

/// How often it asks and judges here, where nobody waits for quarters of a minute.
const INTERVAL: &str = "500ms";

/// A server that runs; killed when dropped.
pub(crate) struct Prometheus {
    child: Child,
    url: String,
    client: Client<HttpConnector, Body>,
    log: Arc<Mutex<String>>,
    _folder: TempDir,
}

/// A series that an expression yields, with its value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: serde_json::Map<String, Value>,
    pub(crate) value: f64,
}

impl Prometheus {
    /// Starts it on a free port, with the repository's configuration but for where the services are, how often it asks, and who is told.
    pub(crate) async fn start(targets: &[(&str, SocketAddr)], alertmanager: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = home().join(".config/prometheus");
        let config = elsewhere(&std::fs::read_to_string(from.join("prometheus.yml")).unwrap(), targets);
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, config).unwrap();
        std::fs::copy(from.join("rules.yml"), folder.path().join("rules.yml")).unwrap();
        let told = format!("- targets: [\"{alertmanager}\"]\n");
        std::fs::write(folder.path().join("alertmanagers.yml"), told).unwrap();
        let mut child = command(&path, &folder.path().join("data"))
            .spawn()
            .expect("`cargo xtask test --setup` installs prometheus");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (listening, mut heard) = tokio::sync::mpsc::channel(1);
        let written = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, address)) = line.split_once(r#"msg="Listening on" address="#) {
                    listening.send(address.trim().to_owned()).await.ok();
                }
                writeln!(written.lock().unwrap(), "{line}").unwrap();
            }
        });
        let address = tokio::time::timeout(DEADLINE, heard.recv()).await.ok().flatten();
        let address = address.unwrap_or_else(|| panic!("it does not listen:\n{}", log.lock().unwrap()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { child, url: format!("http://{address}"), client, log, _folder: folder }
    }

    /// What an expression yields now; else what is wrong with it.
    pub(crate) async fn evaluates(&self, expression: &str) -> Result<Vec<Sample>, String> {
        let answer = self.asks("query", &[("query", expression)]).await;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        Ok(series.into_iter().filter_map(|it| Sample::read(&it)).collect())
    }

    /// The values that a label has on a metric's series.
    pub(crate) async fn values(&self, metric: &str, label: &str) -> Vec<String> {
        let answer = self.asks(&format!("label/{label}/values"), &[("match[]", metric)]).await;
        let values = answer["data"].as_array().cloned().unwrap_or_default();
        values.iter().filter_map(|it| it.as_str().map(Into::into)).collect()
    }

    /// Ends it, and waits for its end; what it has kept goes with its folder.
    pub(crate) async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks its API.
    pub(crate) async fn asks(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let uri = format!("{}/api/v1/{what}?{}", self.url, query.join("&"));
        let asked = self.client.request(Request::get(uri).body(Body::empty()).unwrap());
        let answer = tokio::time::timeout(DEADLINE, asked).await.expect("Prometheus answers in time");
        let answer = answer.unwrap_or_else(|error| panic!("{error}:\n{}", self.log.lock().unwrap()));
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }
}

impl Sample {
    fn read(series: &Value) -> Option<Self> {
        let labels = series["metric"].as_object()?.clone();
        Some(Self { labels, value: series["value"][1].as_str()?.parse().ok()? })
    }
}

fn command(config: &Path, data: &Path) -> Command {
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", data.display()));
    command.arg("--web.listen-address=127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The configuration with every job's targets replaced, and asked faster.
fn elsewhere(config: &str, targets: &[(&str, SocketAddr)]) -> String {
    let mut job = "";
    let mut lines = Vec::new();
    for line in config.lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        lines.push(match name.trim() {
            "- job_name" => {
                job = value;
                line.to_owned()
            }
            "dns_sd_configs" => {
                let here: Vec<String> = targets
                    .iter()
                    .filter(|(name, _)| *name == job)
                    .map(|(_, it)| format!("\"{it}\""))
                    .collect();
                assert!(!here.is_empty(), "`{job}` is asked for, and no such service runs");
                format!("    static_configs: [{{ targets: [{}] }}]", here.join(", "))
            }
            "scrape_interval" | "scrape_timeout" | "evaluation_interval" => format!("{name}: {INTERVAL}"),
            _ => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

/// As a URL's query holds it.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}
