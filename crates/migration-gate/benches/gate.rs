//! How long the gate takes: each phase on a project of 250 migrations and 450 queries, and prepared queries beside
//! `cargo sqlx prepare --check` on this workspace.
//!
//! `cargo bench -p migration-gate --profile dev` measures what `cargo xtask` runs.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends; it prints"
)]

#[path = "gate/generated.rs"]
mod generated;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use scratch_postgres::{Options, Server};
use sqlx::{Connection as _, PgConnection};

/// Runs of each; the middle one counts, beside another command the fastest.
const ROUNDS: usize = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let queries = generated::write(folder.path());
    lock(folder.path());
    let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
    let database = format!("bench_{}", std::process::id());
    let url = server.url(&database, "postgres");
    let provision = || gate("provision", folder.path(), &server);
    ran(provision().args(PROJECT).args(["--database", &database, "--ledger-only"]));
    ran(gate("snapshot", folder.path(), &server).args(PROJECT).args([
        "--undecided",
        "deployer",
        "--database-url",
        &url,
    ]));
    ran(provision().args(PROJECT).args(["--database", &database]));
    generated::prepare(folder.path(), &url, &queries).await;
    release(folder.path());

    println!(
        "{} migrations, {} pending, {} queries:",
        generated::MIGRATIONS,
        generated::PENDING,
        generated::QUERIES
    );
    phases(|| gate("check", folder.path(), &server));
    let mut quick = gate("prepared", folder.path(), &server);
    quick.args(["--database", &database]);
    let mut times: Vec<_> = (0..ROUNDS).map(|_| ran(&mut quick).0).collect();
    println!("  {:24} {}\n", "prepared", shown(middle(&mut times)));

    beside_the_real_command(&server, &format!("{database}_own")).await;
    drop_database(&server, &database).await;
    server.stop().await.unwrap();
}

/// The flags of the generated project.
const PROJECT: &[&str] = &[
    "--ledger",
    "migrations/applied.toml",
    "--prelude",
    "prelude.sql",
    "--owner",
    "big_owner",
    "--deployer",
    "big_deployer",
    "--app",
    "big_app",
];

/// The whole gate, phase by phase.
fn phases(command: impl Fn() -> Command) {
    let flags = ["--queries", ".sqlx", "--release", "v1.0.0", "--timings"];
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (took, said) = ran(command().args(PROJECT).args(flags));
        let phase = |line: &str| {
            let (name, seconds) = line.strip_prefix("phase ")?.split_once(": ")?;
            let seconds: f64 = seconds.trim_end_matches(" s").parse().ok()?;
            Some((name.to_owned(), Duration::from_secs_f64(seconds)))
        };
        let mut phases: Vec<_> = said.lines().filter_map(phase).collect();
        phases.push(("all of it".into(), took));
        rounds.push(phases);
    }
    for (index, (name, _)) in rounds[0].iter().enumerate() {
        let mut times: Vec<Duration> = rounds.iter().map(|phases| phases[index].1).collect();
        println!("  {name:24} {}", shown(middle(&mut times)));
    }
}

/// Both ways on this workspace, in turn, on one database; everything is compiled and nothing has changed.
async fn beside_the_real_command(server: &Server, database: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let own = [
        "--ledger",
        "migrations/applied.toml",
        "--prelude",
        ".config/postgres/bootstrap.sql",
        "--owner",
        "slipway_owner",
        "--deployer",
        "slipway_deployer",
        "--app",
        "slipway_app",
        "--database",
        database,
    ];
    ran(gate("provision", &root, server).args(own));
    let mut real = with_tools("cargo", &root);
    real.args(["sqlx", "prepare", "--check", "--workspace", "--", "--locked"]);
    real.env("DATABASE_URL", server.url(database, "postgres"));
    let mut quick = gate("prepared", &root, server);
    quick.args(["--database", database]);
    let kept = tempfile::tempdir().unwrap();
    let mut again = gate("prepared", &root, server);
    again.args(["--database", database, "--keep"]).arg(kept.path().join("prepared.json"));
    // The first one compiles what earlier builds have not, or finds out what is kept.
    ran(&mut real);
    ran(&mut again);
    let mut commands = [real, quick, again];
    let mut least = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (command, least) in commands.iter_mut().zip(&mut least) {
            *least = ran(command).0.min(*least);
        }
    }
    drop_database(server, database).await;
    println!("this workspace, prepared queries, the fastest of each:");
    for (name, time) in
        ["cargo sqlx prepare", "without compiling", "with what is kept"].into_iter().zip(least)
    {
        let ratio = least[0].as_secs_f64() / time.as_secs_f64();
        println!("  {name:24} {} {ratio:>8.1}", shown(time));
    }
}

async fn drop_database(server: &Server, name: &str) {
    let mut admin = PgConnection::connect(server.admin_url()).await.unwrap();
    let sql = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
}

/// The gate's own binary, with this server.
fn gate(subcommand: &str, root: &Path, server: &Server) -> Command {
    let mut command = with_tools(env!("CARGO_BIN_EXE_migration-gate"), root);
    command.arg(subcommand).env("MIGRATION_GATE_SERVER_URL", server.admin_url());
    command
}

/// How long a command took that must end green, and what it said to people.
fn ran(command: &mut Command) -> (Duration, String) {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let took = began.elapsed();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    // Without cargo-sqlx cargo says that it knows no such command: `cargo xtask ci --setup sqlx` gets it.
    assert!(output.status.success(), "{command:?}\n{said}");
    (took, said)
}

/// Makes what is there a release, to which production could be rolled back; what is pending comes after it.
fn release(root: &Path) {
    let identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com"];
    let git = |arguments: &[&str]| ran(with_tools("git", root).args(identity).args(arguments));
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    for version in generated::MIGRATIONS - generated::PENDING + 1..=generated::MIGRATIONS {
        git(&["rm", "-q", "--cached", &format!("migrations/{version:04}_*")]);
    }
    for arguments in
        [&["commit", "-qm", "All"][..], &["tag", "v1.0.0"], &["add", "-A"], &["commit", "-qm", "More"]]
    {
        git(arguments);
    }
}

/// The lock file of this workspace, as far as the project's manifests ask for it.
fn lock(root: &Path) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(own, root.join("Cargo.lock")).unwrap();
    ran(with_tools("cargo", root).args(["metadata", "--offline", "--format-version", "1"]));
}

/// A program with the pinned tools of `cargo xtask ci --setup` in reach, without what cargo tells its children.
fn with_tools(program: &str, folder: &Path) -> Command {
    let cache =
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")));
    let pinned = cache.unwrap().join("slipway/tools/sqlx-cli-0.9.0/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([pinned].into_iter().chain(env::split_paths(&path))).unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder).env("PATH", path).env_remove("SQLX_OFFLINE");
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" {
            command.env_remove(name);
        }
    }
    command
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn shown(time: Duration) -> String {
    format!("{:>8.3} s", time.as_secs_f64())
}
