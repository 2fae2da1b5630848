//! A built binary: run to its end, or started, asked and told to stop.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{Answer, DEADLINE, read};

/// A built binary and the environment it is to have: nothing but what is given here.
#[derive(Debug, Clone)]
pub struct Binary {
    path: String,
    environment: Vec<(String, String)>,
}

/// What a run that has ended left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A service that runs; killed when dropped.
pub struct Running {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    client: Client<HttpConnector, Body>,
    log: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Binary {
    /// A binary by path: `env!("CARGO_BIN_EXE_gateway")`.
    pub fn new(path: &str) -> Self {
        let free = |name: &str| (name.to_owned(), "127.0.0.1:0".to_owned());
        Self {
            path: path.to_owned(),
            environment: vec![
                free("LISTEN"),
                free("ADMIN_LISTEN"),
                ("SHUTDOWN_DELAY_S".to_owned(), "0".to_owned()),
            ],
        }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        let child = self.command().args(arguments).output();
        let output =
            tokio::time::timeout(DEADLINE, child).await.expect("it ends").expect("it can be started");
        Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it ends before it listens; its output is shown.
    pub async fn start(&self) -> Running {
        let mut child = self.command().spawn().expect("it can be started");
        let stderr = child.stderr.take().expect("standard error is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (listening, mut addresses) = tokio::sync::mpsc::channel(1);
        let written = log.clone();
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(addresses) = listening_addresses(&line) {
                    listening.send(addresses).await.ok();
                }
                written.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let addresses = tokio::time::timeout(DEADLINE, addresses.recv()).await.ok().flatten();
        let lines = log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        let (address, admin) = addresses.unwrap_or_else(|| panic!("it does not listen; it wrote:\n{lines}"));
        // Given up before the service closes it: a request would meet its end.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(5))
            .build_http();
        Running { child, address, admin, client, log, reader }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Finished {
    /// Its exit code and what it wrote to standard error, for a snapshot.
    pub fn refusal(&self) -> String {
        format!("exit {}\n{}", self.status.code().unwrap_or(-1), self.stderr)
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin port listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// What it tells Prometheus now.
    ///
    /// # Panics
    /// When it tells nothing.
    pub async fn metrics(&self) -> String {
        let uri = format!("http://{}/metrics", self.admin);
        let answer = self.exchange(Request::get(uri).body(Body::empty()).expect("it is a URI")).await;
        assert_eq!(answer.status, axum::http::StatusCode::OK, "{}", answer.body);
        answer.body
    }

    /// The value of one series, written as Prometheus does: `ready`, or `hits_total{page="home"}`.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        self.metrics().await.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// Where it listens, as a base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).expect("the path is one");
        self.send(request).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(body.to_string().into()).expect("the path is one")).await
    }

    /// Sends a request whose URI is a path.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send(&self, mut request: Request) -> Answer {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("{}{path}", self.url()).parse().expect("the path is one");
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request) -> Answer {
        let asked = tokio::time::timeout(DEADLINE, self.client.request(request)).await;
        read(asked.expect("it answers in time").expect("it answers").map(Body::new)).await
    }

    /// Everything it has logged so far, as JSON values.
    ///
    /// # Panics
    /// When a line is not JSON.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// Waits for a line of the log.
    ///
    /// # Panics
    /// When none comes in time; the log is shown.
    pub async fn until_logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let give_up = tokio::time::Instant::now() + DEADLINE;
        loop {
            let log = self.log();
            if let Some(line) = log.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            assert!(tokio::time::Instant::now() < give_up, "not logged: {log:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends TERM, as a container engine does, and does not wait.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn terminate(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it still runs");
        kill_process(pid, Signal::TERM).expect("it can be told to stop");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn finished(mut self) -> Finished {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status = ended.expect("it ends").expect("its end can be waited for");
        self.reader.await.expect("its log can be read");
        let mut stdout = String::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut stdout).await.expect("its output is text");
        }
        let stderr = self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        Finished { status, stdout, stderr }
    }

    /// Sends TERM and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(self) -> Finished {
        self.terminate();
        self.finished().await
    }
}

/// Where a service says that it listens, for clients and for its operators.
fn listening_addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line[name].as_str()?.parse().ok();
    (line["message"] == "listening").then(|| Some((address("address")?, address("admin")?))).flatten()
}
