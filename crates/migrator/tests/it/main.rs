//! The migrator as a process, against a real Postgres with the three roles.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod applying;
mod encrypted;
mod interference;
mod looking;
mod refusing;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use scratch_store::ScratchStore;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A database of the test's own, and what the migrator is told about it.
struct World {
    scratch: ScratchStore,
    folder: Option<TempDir>,
}

/// What a run left behind.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl World {
    /// Roles, and nothing else.
    async fn empty() -> Self {
        Self { scratch: ScratchStore::empty().await, folder: None }
    }

    /// Everything applied, and a copy of the migrations to change.
    async fn migrated() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(migrations()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self { scratch: ScratchStore::migrated().await, folder: Some(folder) }
    }

    /// Writes a file into the copy.
    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A file of the copy.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().expect("this world has a copy of the migrations").path().join(name)
    }

    /// The migrator as the deployment runs it; without `owner` it knows the deployer only.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.env("DATABASE_URL", self.scratch.deployer_url());
        if let Some(folder) = &self.folder {
            command.arg("--migrations").arg(folder.path());
        }
        command
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments).spawn().unwrap()).await
    }

    async fn run_with_owner(&self) -> Run {
        finish(self.command(&[]).env("OWNER_DATABASE_URL", self.scratch.owner_url()).spawn().unwrap()).await
    }

    async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.scratch.admin_url()).await.unwrap()
    }

    /// Tables with their owners, and the ledger's versions.
    async fn schema(&self) -> String {
        let mut admin = self.admin().await;
        let tables: Vec<(String,)> = sqlx::query_as(
            "SELECT tablename || ' of ' || tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        tables.into_iter().map(|(line,)| line).collect::<Vec<_>>().join("\n")
    }

    /// How many objects of each kind there are, and the rows of the ledger: what a run that only looks leaves alone.
    async fn catalog(&self) -> String {
        sqlx::query_scalar(
            "SELECT concat_ws(', ', (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute),
                (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_depend),
                (SELECT string_agg(version || ' ' || xmin::text, ', ' ORDER BY version) FROM _sqlx_migrations))",
        )
        .fetch_one(&mut self.admin().await)
        .await
        .unwrap()
    }

    async fn versions(&self) -> Vec<i64> {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&mut self.admin().await)
            .await
            .unwrap()
    }
}

impl Run {
    /// The log's last message, or standard error where there is no log.
    fn said(&self) -> String {
        let last = self.stderr.lines().last().unwrap_or_default();
        match last.split_once(r#""message":""#) {
            Some((_, rest)) => rest.split(r#"","#).next().unwrap_or_default().to_owned(),
            None => self.stderr.trim().to_owned(),
        }
    }

    /// How many migrations it applied, as its log tells.
    fn applied(&self) -> usize {
        self.stderr.lines().filter(|line| line.contains(r#""message":"migration applied""#)).count()
    }
}

/// The migrator without any login.
fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrator"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

async fn finish(child: Child) -> Run {
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn migrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations")
}

/// The versions of the files that ship, and these after them: tests add theirs far behind.
fn with_shipped(more: &[i64]) -> Vec<i64> {
    let names = std::fs::read_dir(migrations()).unwrap().map(|entry| entry.unwrap().file_name());
    let ups = names.filter_map(|name| name.to_str()?.strip_suffix(".up.sql")?[..4].parse().ok());
    let mut versions: Vec<i64> = ups.collect();
    versions.sort_unstable();
    versions.extend(more);
    versions
}
