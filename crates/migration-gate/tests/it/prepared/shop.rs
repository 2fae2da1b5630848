//! A copy of the workspace in `tests/shop`, with a database that has its schema.

use std::{
    cell::{Cell, OnceCell},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use scratch_postgres::{Options, Server};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::project::Verdict;

pub(crate) struct Shop {
    folder: TempDir,
    /// Where the gate keeps what it found out.
    beside: TempDir,
    server: Server,
    database: String,
    /// The lock file of the workspace as it was in the beginning.
    lock: OnceCell<Vec<u8>>,
    /// Whether the schema is another one than in the beginning.
    altered: Cell<bool>,
}

/// What `cargo sqlx prepare --check` said.
pub(crate) struct Real {
    pub(crate) is_green: bool,
    pub(crate) said: String,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let shop = Self {
            folder: tempfile::tempdir().unwrap(),
            beside: tempfile::tempdir().unwrap(),
            server: Server::start(&Options::from_env().unwrap()).await.unwrap(),
            database: format!("shop_{}", std::process::id()),
            lock: OnceCell::new(),
            altered: Cell::new(true),
        };
        shop.reset().await;
        shop
    }

    /// As it was in the beginning.
    pub(crate) async fn reset(&self) {
        for entry in fs::read_dir(self.root()).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                fs::remove_dir_all(entry.path()).unwrap();
            } else {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shop"), self.root());
        let lock = self.root().join("Cargo.lock");
        let locked = self.lock.get_or_init(|| {
            // The versions of this repository, as far as the shop asks for them.
            fs::copy(repository().join("Cargo.lock"), &lock).unwrap();
            self.lock();
            fs::read(&lock).unwrap()
        });
        fs::write(lock, locked).unwrap();
        if self.altered.replace(false) {
            self.make_database().await;
        }
    }

    async fn make_database(&self) {
        let mut admin = PgConnection::connect(self.server.admin_url()).await.unwrap();
        for sql in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            let sql = format!("{sql} {}", self.database);
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        admin.close().await.unwrap();
        self.alter(&fs::read_to_string(self.root().join("schema.sql")).unwrap()).await;
        self.altered.set(false);
    }

    pub(crate) async fn end(self) {
        let mut admin = PgConnection::connect(self.server.admin_url()).await.unwrap();
        let sql = format!("DROP DATABASE {}", self.database);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        self.server.stop().await.unwrap();
    }

    /// Changes the schema.
    pub(crate) async fn alter(&self, sql: &str) {
        if sql.is_empty() {
            return;
        }
        self.altered.set(true);
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).unwrap();
    }

    pub(crate) fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.root().join(path)).unwrap();
        self.write(path, &(old + text));
    }

    /// Changes a text that must be there.
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.root().join(path)).unwrap();
        assert!(text.contains(old), "`{old}` is not in {path}");
        self.write(path, &text.replacen(old, new, 1));
    }

    /// The prepared query whose text begins so.
    pub(crate) fn prepared(&self, beginning: &str) -> String {
        let folder = fs::read_dir(self.root().join(".sqlx")).unwrap();
        let begins = format!("\"query\": \"{beginning}");
        let path = folder
            .map(|it| it.unwrap().path())
            .find(|path| fs::read_to_string(path).unwrap().contains(&begins))
            .unwrap();
        path.strip_prefix(self.root()).unwrap().display().to_string()
    }

    /// Lets the lock file say what the manifests do.
    pub(crate) fn lock(&self) {
        let mut command = self.cargo(&["metadata", "--offline", "--format-version", "1"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// With what was kept by an earlier run.
    pub(crate) fn judged_again(&self) -> Verdict {
        let mut command = self.gate();
        command.arg("--keep").arg(self.kept());
        Verdict::of(command)
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.beside.path().join("kept/prepared.json")
    }

    /// Lets the gate keep that the workspace uses a version of sqlx that nobody knows, so that it shows where it is believed.
    pub(crate) fn keep_nonsense(&self) {
        fs::remove_file(self.kept()).ok();
        // Nothing is kept where a manifest is so young that cargo may have read an older one.
        for _ in 0..10 {
            self.judged_again();
            if self.kept().is_file() {
                break;
            }
        }
        let text = fs::read_to_string(self.kept()).unwrap();
        assert!(text.contains(r#""sqlx":"0.9."#), "{text}");
        fs::write(self.kept(), text.replace(r#""sqlx":"0.9."#, r#""sqlx":"0.1."#)).unwrap();
    }

    pub(crate) fn judged(&self) -> Verdict {
        Verdict::of(self.gate())
    }

    fn gate(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migration-gate"));
        command.args(["prepared", "--root"]).arg(self.root()).args(["--database", &self.database]);
        command.env("MIGRATION_GATE_SERVER_URL", self.server.admin_url()).stdin(Stdio::null());
        command
    }

    /// The real command, on what is compiled of other people's crates in this checkout's target folder.
    pub(crate) fn real(&self) -> Real {
        let mut command =
            self.cargo(&["sqlx", "prepare", "--check", "--workspace", "--", "--locked", "--offline"]);
        command.env("DATABASE_URL", self.url()).env_remove("SQLX_OFFLINE");
        command.env("CARGO_TARGET_DIR", repository().join("target/xtask/shop"));
        let output = command.output().unwrap();
        let said =
            [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        assert!(!said.contains("no such command"), "`cargo xtask ci --setup sqlx` gets cargo-sqlx");
        Real { is_green: output.status.success(), said }
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(self.root()).args(arguments).stdin(Stdio::null());
        // The toolchain that this checkout asks for, whoever runs the tests.
        command.env("PATH", path_with_sqlx()).env_remove("CARGO_TARGET_DIR");
        command
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> String {
        self.server.url(&self.database, "postgres")
    }
}

impl Real {
    /// Green, or red with the reason.
    pub(crate) fn told(&self) -> &'static str {
        match &self.said {
            _ if self.is_green => "green",
            said if said.contains(".sqlx is missing one or more queries") => "red, missing",
            said if said.contains("one or more query files differ") => "red, different",
            said if said.contains("`cargo check` failed") => "red, does not compile",
            _ => "red",
        }
    }
}

impl Verdict {
    /// The verdict and the codes.
    fn verdict(&self) -> &'static str {
        match self.exit_code {
            0 => "green",
            1 => "red",
            3 => "open",
            _ => "no verdict",
        }
    }

    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.verdict(), self.codes().join(" ")).trim_end().to_owned()
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `PATH` with the folder where `cargo xtask ci --setup` puts the pinned cargo-sqlx.
fn path_with_sqlx() -> std::ffi::OsString {
    let cache =
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")));
    let pinned = cache.unwrap().join("slipway/tools/sqlx-cli-0.9.0/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths([pinned].into_iter().chain(env::split_paths(&path))).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
