//! Input and surroundings that are wrong: the message, the exit code, and nothing left behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use scratch_postgres::{Options, Provider, Server};
use sqlx::{Connection as _, PgConnection};

use crate::project::{Project, Verdict};

/// Long enough for a loaded machine, short enough to fail by.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_malformed_ledger_is_named_with_line_key_and_the_nearest_key() {
    let verdict =
        Project::of_pairs().with("migrations/applied.toml", "# ledger\n[[migration]]\nverson = 1\n").check();

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: migrations/applied.toml:3: unknown field `verson`, expected one of `version`, `name`, `checksum`, `role`; did you mean `version`?");
}

#[test]
fn paths_that_do_not_exist_are_named() {
    let project = Project::empty();
    for (flag, path) in [("--ledger", "nowhere.toml"), ("--prelude", "nowhere.sql")] {
        let mut command = project.command("check");
        command.args([flag, path]);
        let verdict = Verdict::of(command);
        assert_eq!(verdict.exit_code, 2);
        assert!(
            verdict.stderr.contains(path) && verdict.stderr.contains("correct the path"),
            "{}",
            verdict.stderr
        );
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_migration-gate"));
    command.args(["check", "--migrations", "nowhere", "--owner", "a", "--deployer", "b", "--app", "c"]);
    let verdict = Verdict::of(command);
    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: the migrations directory `nowhere` does not exist; correct the path");
}

#[test]
fn a_prelude_that_is_refused_is_placed_at_its_line() {
    let verdict = Project::of_pairs().with("prelude.sql", "SELECT 1;\nCREATE SCHEMMA shop;\n").check();

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @r#"
    error: `prelude.sql`:2: syntax error at or near "SCHEMMA" (SQLSTATE 42601); the prelude runs as superuser, as one query
    migrations not judged: 0 applied and 0 pending
    "#);
}

#[test]
fn a_role_that_the_prelude_does_not_make_is_named() {
    let verdict = Project::of_pairs().deployed_by("gate_deploy").check();

    assert_eq!(verdict.exit_code, 2, "{}", verdict.stderr);
    insta::assert_snapshot!(verdict.stderr, @r"
    error: `prelude.sql` does not make role `gate_deploy`; let it, or correct the role's name in the configuration
    migrations not judged: 0 applied and 0 pending
    ");
}

#[test]
fn without_a_server_the_gate_says_so_and_a_fault_still_decides() {
    let nowhere = |project: &Project| {
        let mut command = project.command("check");
        command
            .env("XTASK_POSTGRES", "url")
            .env("XTASK_POSTGRES_URL", "postgres://postgres@127.0.0.1:1/postgres");
        Verdict::of(command)
    };

    let verdict = nowhere(&Project::of_pairs());
    assert_eq!((verdict.exit_code, verdict.stdout.as_str()), (3, ""));
    assert!(verdict.stderr.contains("no scratch Postgres"), "{}", verdict.stderr);

    let verdict = nowhere(&Project::of_pairs().without("migrations/0004_tags.down.sql"));
    verdict.expect(&["error[no-down]"]);
    assert!(verdict.stderr.contains("no scratch Postgres"), "{}", verdict.stderr);
}

#[test]
fn what_the_caller_says_of_a_database_of_his_own_is_not_heard() {
    let project = Project::of_pairs();
    let mut command = project.command("check");
    let nonsense = [
        ("DATABASE_URL", "postgres://staging.invalid/shop"),
        ("PGHOST", "staging.invalid"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "shop"),
        ("PGPASSWORD", "wrong"),
        ("PGOPTIONS", "--nonsense"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/nowhere"),
        ("PGPASSFILE", "/nowhere"),
    ];
    command.envs(nonsense);

    Verdict::of(command).expect_clean();
}

#[test]
fn two_checks_of_one_checkout_do_not_see_each_other() {
    let project = Project::of_pairs();
    let begin = || project.command("check").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut both = [begin(), begin()];

    let codes = both.each_mut().map(|it| it.wait().unwrap().code());
    assert_eq!(codes, [Some(0), Some(0)]);
    let left: Vec<_> = fs::read_dir(project.root()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_empty_file_and_a_huge_one_are_migrations() {
    let rows: String = (1..=300_000).map(|it| format!("({it}, 'a name'),\n")).collect();
    let huge = format!("CREATE TABLE names (id int, name text);\nINSERT INTO names VALUES\n{rows}(0, '');\n");
    assert!(huge.len() > 5_000_000, "{}", huge.len());

    let project =
        Project::of_pairs().pair("0005_nothing", "", "").pair("0006_names", &huge, "DROP TABLE names;\n");
    project.check().expect_clean();
}

#[test]
fn links_and_folders_in_the_place_of_files_are_told_apart() {
    let project = Project::of_pairs().with("migrations/waivers.toml/notes.txt", "");
    let verdict = project.check();
    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: the waivers `migrations/waivers.toml` is a directory; name a file");

    let project = Project::of_pairs();
    std::os::unix::fs::symlink("nowhere", project.root().join("migrations/0005_gone.up.sql")).unwrap();
    let verdict = project.check();
    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: the migration `migrations/0005_gone.up.sql` is a symbolic link to what does not exist; correct or remove it");

    let mut command = Command::new(env!("CARGO_BIN_EXE_migration-gate"));
    command.current_dir(project.root()).args(["check", "--migrations", "prelude.sql"]);
    let verdict = Verdict::of(command);
    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: the migrations directory `prelude.sql` is no directory; correct the path");
}

#[test]
fn a_setting_that_means_nothing_is_wrong_usage() {
    let project = Project::of_pairs();
    let mut command = project.command("check");
    command.env("XTASK_POSTGRES", "docker");

    assert_eq!(Verdict::of(command).exit_code, 2);
}

#[test]
fn an_extension_that_the_server_lacks_is_the_environments_fault() {
    let verdict =
        Project::of_pairs().pair("0004_tags", "CREATE EXTENSION no_such_extension;\n", "SELECT 1;\n").check();

    assert_eq!(verdict.exit_code, 3);
    insta::assert_snapshot!(verdict.stderr, @r#"
    error: the scratch server says that extension "no_such_extension" is not available, which `migrations/0004_tags.up.sql` needs; install the package that holds it beside the local server, or name a server that has it in `XTASK_POSTGRES_URL` or an image in `XTASK_POSTGRES_IMAGE`
    migrations not judged: 3 applied and 0 pending
    "#);
}

#[test]
fn findings_as_json_are_one_object_a_line() {
    let project = Project::of_pairs().without("migrations/0004_tags.down.sql");
    let mut command = project.command("check");
    command.args(["--message-format", "json"]);
    let verdict = Verdict::of(command);

    assert_eq!(verdict.exit_code, 1);
    insta::assert_snapshot!(verdict.stdout.trim_end(), @r#"{"code":"no-down","level":"error","file":"migrations/0004_tags.up.sql","line":1,"message":"the migration has no down, and the ones around it have; `sqlx migrate revert` passes over it and reverts the one before it, beneath a change that is still there","fix":"write `migrations/0004_tags.down.sql`, which undoes what this file does"}"#);
    let value: serde_json::Value = serde_json::from_str(&verdict.stdout).unwrap();
    assert_eq!(value["line"], 1);
}

#[test]
fn a_code_is_explained_and_an_unknown_one_is_refused() {
    let gate = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migration-gate"));
        command.args(arguments);
        Verdict::of(command)
    };

    let story = gate(&["explain", "not-owner"]);
    assert_eq!(story.exit_code, 0);
    insta::assert_snapshot!(story.stdout.trim_end(), @r"
    not-owner (error): the migration alters what another role owns

    Only the owner of an object may alter, index, comment or drop it, whatever was granted besides. Tests run as a superuser and see nothing; in production the deployer gets SQLSTATE 42501, `must be owner of table accounts`. `IF NOT EXISTS` does not help: the server asks for ownership first.

    What to do: Put the change into something that the deployer makes and owns; or let the owner apply the file in production, and take it into the ledger by a snapshot. `GRANT` does not help.
    ");
    assert_eq!(gate(&["explain"]).stdout.lines().count(), migration_gate::codes::CODES.len());
    assert_eq!(gate(&["explain", "nonsense"]).exit_code, 2);
}

#[tokio::test]
async fn a_server_that_dies_midway_is_the_environments_fault() {
    let world = Sleeper::start().await;

    world.server.stop().await.unwrap();

    let verdict = wait(world.gate).await;
    assert_eq!((verdict.exit_code, verdict.stdout.as_str()), (3, ""));
    assert!(
        verdict.stderr.starts_with("error: lost the server while applying `migrations/0004_tags.up.sql`: "),
        "{}",
        verdict.stderr
    );
}

#[tokio::test]
async fn a_prelude_that_can_run_only_once_costs_the_culprits_name_and_nothing_else() {
    let server = own_server().await;
    let project = Project::of_pairs()
        .with("prelude.sql", format!("CREATE ROLE reporting;\n{}", crate::project::PRELUDE))
        .pair(
            "0004_tags",
            "ALTER TABLE orders DROP COLUMN note;\n",
            "ALTER TABLE orders ADD COLUMN note text;\n",
        )
        .pair("0005_notes", "CREATE INDEX ON orders (note);\n", "SELECT 1;\n");
    let verdict = Verdict::of(on(&server, &project));

    insta::assert_snapshot!(verdict.expect(&["error[apply-failed]"]), @r#"
    error[apply-failed] migrations/0005_notes.up.sql:1: column "note" does not exist (SQLSTATE 42703)
      production: the deployment stops here and nothing of the file is kept
      do: correct the name, or add the column in a migration before this one
    "#);
    assert_eq!(databases(&server).await, Vec::<String>::new());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_deployer_to_whom_nothing_is_refused_is_told() {
    let server = own_server().await;
    let project = Project::of_pairs().deployed_by("gate_root").with(
        "prelude.sql",
        format!(
            "CREATE ROLE gate_root SUPERUSER LOGIN;\nALTER ROLE gate_root SET lock_timeout = '5s';\n{}",
            crate::project::PRELUDE
        ),
    );
    let verdict = Verdict::of(on(&server, &project));

    assert_eq!(verdict.exit_code, 0);
    insta::assert_snapshot!(verdict.stderr, @r"
    note: `gate_root` is a superuser, to whom nothing is refused: what another role owns is not judged
    migrations hold: 3 applied and 1 pending
    ");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_deployer_that_cannot_log_in_is_a_fault_of_the_prelude() {
    let server = own_server().await;
    let project = Project::of_pairs()
        .deployed_by("gate_group")
        .with("prelude.sql", format!("CREATE ROLE gate_group NOLOGIN;\n{}", crate::project::PRELUDE));
    let verdict = Verdict::of(on(&server, &project));

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @r#"
    error: role `gate_group` cannot log in to the scratch database: role "gate_group" is not permitted to log in; let the prelude make it with `LOGIN` and `CONNECT`, on a server that trusts local connections
    migrations not judged: 3 applied and 0 pending
    "#);
    assert_eq!(databases(&server).await, Vec::<String>::new());
    server.stop().await.unwrap();
}

#[test]
fn an_interrupted_gate_takes_its_own_server_down() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let is_empty = || fs::read_dir(directory.path()).unwrap().next().is_none();
    let project = Project::of_pairs().pair("0004_tags", "SELECT pg_sleep(600);\n", "SELECT 1;\n");
    let mut gate = project
        .command("check")
        .env_remove("XTASK_POSTGRES_URL")
        .env("XTASK_POSTGRES_DIR", directory.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the server has a directory", || !is_empty());

    assert!(Command::new("kill").args(["-TERM", &gate.id().to_string()]).status().unwrap().success());

    assert_eq!(gate.wait().unwrap().code(), Some(130));
    until("the server's directory is gone", is_empty);
}

#[tokio::test]
async fn an_interrupted_gate_leaves_no_database_behind() {
    let world = Sleeper::start().await;

    let killed = Command::new("kill").args(["-TERM", &world.gate.id().to_string()]).status().unwrap();

    assert!(killed.success());
    let verdict = wait(world.gate).await;
    assert_eq!(verdict.exit_code, 130, "{}", verdict.stderr);
    assert_eq!(databases(&world.server).await, Vec::<String>::new());
    world.server.stop().await.unwrap();
}

/// A gate that is in the middle of a migration that sleeps, on a server of the test's own.
struct Sleeper {
    server: Server,
    gate: std::process::Child,
    _project: Project,
}

impl Sleeper {
    async fn start() -> Self {
        let server = own_server().await;
        let project = Project::of_pairs().pair("0004_tags", "SELECT pg_sleep(600);\n", "SELECT 1;\n");
        let gate = on(&server, &project).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut admin = PgConnection::connect(server.admin_url()).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asleep: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if asleep {
                break;
            }
            assert!(Instant::now() < deadline, "the gate never came to its pending migration");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        admin.close().await.unwrap();
        Self { server, gate, _project: project }
    }
}

/// Waits until `condition` holds.
#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A check on `server`.
pub(crate) fn on(server: &Server, project: &Project) -> Command {
    let mut command = project.command("check");
    command.env("XTASK_POSTGRES", "url").env("XTASK_POSTGRES_URL", server.admin_url());
    command
}

/// A server that no other test uses.
pub(crate) async fn own_server() -> Server {
    let mut options = Options::from_env().unwrap();
    options.provider = options.provider.filter(|it| *it != Provider::Url);
    options.url = None;
    Server::start(&options).await.unwrap()
}

/// The databases that did not come with the server.
pub(crate) async fn databases(server: &Server) -> Vec<String> {
    let mut admin = PgConnection::connect(server.admin_url()).await.unwrap();
    let databases = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    admin.close().await.unwrap();
    databases
}

/// The verdict of a gate that is about to end.
async fn wait(gate: std::process::Child) -> Verdict {
    let output = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(|| gate.wait_with_output()));
    let output = output.await.expect("the gate ends").unwrap().unwrap();
    Verdict {
        exit_code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
