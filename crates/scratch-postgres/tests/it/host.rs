//! What the tests see of the host: the program as others run it, processes, directories.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use scratch_postgres::{Options, Provider};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A short directory of the test's own, which every user may traverse.
pub(crate) fn place() -> TempDir {
    let place = tempfile::Builder::new().prefix("spgt").tempdir_in("/tmp").expect("/tmp can be written");
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("its owner may");
    place
}

/// Settings for the library: the local provider in the test's own place.
pub(crate) fn local_options(place: &Path) -> Options {
    let options = Options::from_env().expect("the environment is in order");
    Options { provider: Some(Provider::Local), directories: vec![place.to_owned()], ..options }
}

/// Asks a server.
pub(crate) async fn ask(url: &str, sql: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let (answer,): (String,) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(answer)
}

/// Tells a server.
pub(crate) async fn tell(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    connection.execute(sql).await.expect("the server obeys");
    connection.close().await.expect("the server says goodbye");
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Nothing in the place, and no process that names it.
#[track_caller]
pub(crate) fn nothing_is_left(place: &Path) {
    eventually("the directory is empty", || entries(place).is_empty());
    eventually("no process is left", || processes_naming(place).is_empty());
}

/// The names in a directory.
pub(crate) fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The numbers of the processes whose command line names a path.
pub(crate) fn processes_naming(path: &Path) -> Vec<i32> {
    let needle = path.display().to_string();
    let numbers = entries(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<i32>().ok());
    numbers
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&needle)
        })
        .collect()
}

/// The program, started as xtask starts it.
pub(crate) struct Program {
    child: Child,
    line: String,
}

impl Program {
    /// Starts it in a place, with more variables, and reads its line.
    pub(crate) fn start(place: &Path, variables: &[(&str, &str)]) -> Self {
        let mut program = Self::spawn(place, variables);
        let stdout = program.child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut program.line).expect("it can be read");
        program
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(place: &Path, variables: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_scratch-postgres"))
            .env_remove("XTASK_POSTGRES_URL")
            .env("XTASK_POSTGRES", "local")
            .env("XTASK_POSTGRES_DIR", place)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        Self { child, line: String::new() }
    }

    /// One that serves, or the test fails with what it said.
    pub(crate) fn serving(place: &Path, variables: &[(&str, &str)]) -> Self {
        let program = Self::start(place, variables);
        if program.line.is_empty() {
            let (_, told) = program.end();
            panic!("{told}");
        }
        program
    }

    pub(crate) fn line(&self) -> serde_json::Value {
        serde_json::from_str(&self.line).expect("one line of JSON")
    }

    pub(crate) fn url(&self) -> String {
        self.line()["admin_url"].as_str().expect("an address").to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(i32::try_from(self.child.id()).expect("a number"), signal);
    }

    /// Closes its input unless it has ended, and tells how it ended and what it said on standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let mut told = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut told).expect("it can be read");
        (self.child.wait().expect("it ends"), told)
    }
}

/// Signals a process.
pub(crate) fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a number"), signal).expect("it can be signalled");
}

/// An executable script.
pub(crate) fn script(path: &PathBuf, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("its owner may");
}
