//! `snapshot`: the ledger as a live database has it, read and sealed; the database is a real one.

use scratch_postgres::{Options, Server};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    project::{Project, Verdict},
    provision::{drop_database, provision},
};

/// A live database, provisioned with what the project's ledger lists.
struct Live {
    server: Server,
    name: String,
}

impl Live {
    async fn of(project: &Project, name: &str) -> Self {
        let server = Server::start(&Options::from_env().unwrap()).await.unwrap();
        let name = format!("live_{name}_{}", std::process::id());
        let made = provision(&server, project, &name, &["--ledger-only"]);
        assert_eq!(made.exit_code, 0, "{}{}", made.stdout, made.stderr);
        Self { server, name }
    }

    fn url(&self) -> String {
        self.server.url(&self.name, "postgres")
    }

    async fn run(&self, sql: &str) {
        let mut admin = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
    }

    fn snapshot(&self, project: &Project, flags: &[&str]) -> Verdict {
        let mut command = project.command("snapshot");
        command.args(flags).env("MIGRATION_GATE_DATABASE_URL", self.url());
        let verdict = Verdict::of(command);
        let masked = |text: &str| text.replace(&self.name, "LIVE");
        Verdict { stdout: masked(&verdict.stdout), stderr: masked(&verdict.stderr), ..verdict }
    }

    async fn end(self) {
        drop_database(&self.server, &self.name).await;
        self.server.stop().await.unwrap();
    }
}

fn ledger(project: &Project) -> String {
    let text = project.read("migrations/applied.toml");
    let field = |it: &str| it.split(" = ").next().unwrap_or_default().to_owned();
    let masked = |line: &str| match field(line).as_str() {
        it @ ("digest" | "cluster" | "database" | "taken-at" | "checksum") => format!("{it} = …"),
        _ => line.to_owned(),
    };
    text.lines().map(masked).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_ledger_is_read_with_the_role_that_each_migration_ran_as_and_is_sealed() {
    let project = Project::of_pairs();
    let live = Live::of(&project, "sealed").await;
    let project = project.without("migrations/applied.toml");

    let verdict = live.snapshot(&project, &["--ledger", "migrations/applied.toml"]);

    assert_eq!((verdict.exit_code, verdict.stdout.as_str()), (0, ""), "{}", verdict.stderr);
    insta::assert_snapshot!(verdict.stderr, @"note: wrote what `LIVE` has applied to `migrations/applied.toml`; new or changed: 1 `accounts` as owner, 2 `orders` as deployer, 3 `order_state` as deployer");
    insta::assert_snapshot!(ledger(&project), @r#"
    # Production's ledger: what has been applied there, in which form, and as which role, in the order of application.
    #
    # Written by `cargo xtask migrations snapshot`, which reads the live database. Not to be edited: the seal would not match.
    # A migration that is not listed here is pending: it will be applied by the deployer.

    [[migration]]
    version = 1
    name = "accounts"
    checksum = …
    role = "owner"

    [[migration]]
    version = 2
    name = "orders"
    checksum = …
    role = "deployer"

    [[migration]]
    version = 3
    name = "order_state"
    checksum = …
    role = "deployer"

    [seal]
    digest = …
    cluster = …
    database = …
    taken-at = …
    "#);
    project.check().expect_clean();
    // What it says already is not said anew.
    let before = project.read("migrations/applied.toml");
    insta::assert_snapshot!(live.snapshot(&project, &[]).stderr, @"note: `migrations/applied.toml` already says what `LIVE` has applied");
    assert_eq!(project.read("migrations/applied.toml"), before);
    live.end().await;
}

#[tokio::test]
async fn what_a_deployment_applied_since_is_added() {
    let project = Project::of_pairs();
    let live = Live::of(&project, "added").await;
    assert_eq!(live.snapshot(&project, &[]).exit_code, 0);
    assert_eq!(provision(&live.server, &project, &live.name, &[]).exit_code, 0);

    let verdict = live.snapshot(&project, &[]);

    assert_eq!(verdict.exit_code, 0, "{}{}", verdict.stdout, verdict.stderr);
    insta::assert_snapshot!(verdict.stderr, @"note: wrote what `LIVE` has applied to `migrations/applied.toml`; new or changed: 4 `tags` as deployer");
    project.check().expect_clean();
    live.end().await;
}

#[tokio::test]
async fn a_migration_that_leaves_nothing_with_an_owner_has_to_be_told() {
    let project = Project::of_pairs()
        .pair(
            "0003_order_state",
            "INSERT INTO orders (id) VALUES (1);\n",
            "DELETE FROM orders WHERE id = 1;\n",
        )
        .applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
        ]);
    let live = Live::of(&project, "told").await;
    let project = project.without("migrations/applied.toml");

    let verdict = live.snapshot(&project, &[]);
    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"
    error: the database does not tell who ran 1 of its migrations:
      3 `order_state`: nothing is left of it that has an owner
    say it with `--role VERSION=owner` or `--role VERSION=deployer`, or with `--undecided deployer` for all of them; nothing was written
    ");
    assert!(!project.root().join("migrations/applied.toml").exists());

    assert_eq!(live.snapshot(&project, &["--role", "3=deployer"]).exit_code, 0);
    project.check().expect_clean();
    // A sealed ledger remembers what it was told.
    let again = live.snapshot(&project, &[]);
    assert_eq!(again.exit_code, 0, "{}", again.stderr);
    live.end().await;
}

#[tokio::test]
async fn an_owner_that_is_neither_of_the_two_is_named() {
    let project = Project::of_pairs();
    let live = Live::of(&project, "neither").await;
    live.run("ALTER TABLE orders OWNER TO postgres").await;

    let verdict = live.snapshot(&project.without("migrations/applied.toml"), &[]);

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"
    error: the database does not tell who ran 1 of its migrations:
      2 `orders`: `public.orders` belongs to `postgres`; owner is `gate_owner`, deployer `gate_deployer`
    say it with `--role VERSION=owner` or `--role VERSION=deployer`, or with `--undecided deployer` for all of them; nothing was written
    ");
    live.end().await;
}

#[tokio::test]
async fn a_database_that_contradicts_the_tree_is_written_down_and_the_findings_say_so() {
    let project = Project::of_pairs();
    let live = Live::of(&project, "contradicts").await;
    live.run(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (4, 'other branch', true, '\\x00', 1)",
    )
    .await;
    let sealed = project.read("migrations/applied.toml");

    let refused = live.snapshot(&project, &[]);
    assert_eq!(refused.exit_code, 2);
    assert!(refused.stderr.contains("4 `other_branch`: the tree does not hold"), "{}", refused.stderr);
    assert_eq!(project.read("migrations/applied.toml"), sealed);
    live.run("UPDATE _sqlx_migrations SET checksum = decode(repeat('ab', 48), 'hex') WHERE version = 4")
        .await;
    let written = live.snapshot(&project, &["--undecided", "deployer"]);

    insta::assert_snapshot!(written.expect(&["error[slot-applied]"]), @"
    error[slot-applied] migrations/0004_tags.up.sql:1: slot 4 is taken: production applied `other_branch` there (migrations/applied.toml:24)
      production: the deployment stops with `migration 4 was previously applied but has been modified`, and this file is never applied
      do: git mv migrations/0004_tags.up.sql migrations/0005_tags.up.sql && git mv migrations/0004_tags.down.sql migrations/0005_tags.down.sql, then bring the applied `other_branch` into the branch (merge the one that has it)
    ");
    live.end().await;
}

#[tokio::test]
async fn a_ledger_elsewhere_is_found_and_of_two_one_has_to_be_named() {
    let project = Project::of_pairs();
    let live = Live::of(&project, "elsewhere").await;
    live.run("CREATE SCHEMA audit; CREATE TABLE audit._sqlx_migrations (LIKE public._sqlx_migrations)").await;

    let verdict = live.snapshot(&project, &[]);
    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: the database has 2 ledgers, audit._sqlx_migrations and public._sqlx_migrations; name production's with `--table SCHEMA.NAME`");
    assert_eq!(live.snapshot(&project, &["--table", "public._sqlx_migrations"]).exit_code, 0);
    live.end().await;
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough_and_nothing_is_written_there() {
    let project = Project::of_pairs();
    let live = Live::of(&project, "reader").await;
    live.run("ALTER TABLE _sqlx_migrations ENABLE ROW LEVEL SECURITY; ALTER TABLE _sqlx_migrations DISABLE ROW LEVEL SECURITY; GRANT SELECT ON _sqlx_migrations TO gate_app").await;
    let mut command = project.command("snapshot");
    command.env("MIGRATION_GATE_DATABASE_URL", live.server.url(&live.name, "gate_app"));

    let verdict = Verdict::of(command);

    assert_eq!(verdict.exit_code, 0, "{}", verdict.stderr);
    project.check().expect_clean();
    live.end().await;
}

#[test]
fn an_address_is_never_shown_and_never_taken_with_a_password_from_the_command_line() {
    let project = Project::of_pairs();
    let refused = |flags: &[&str], variable: Option<&str>| {
        let mut command = project.command("snapshot");
        command.args(flags).env_remove("MIGRATION_GATE_DATABASE_URL");
        command.envs(variable.map(|it| ("MIGRATION_GATE_DATABASE_URL", it)));
        let verdict = Verdict::of(command);
        assert!(!verdict.stderr.contains("hush"), "{}", verdict.stderr);
        format!("{}exit code {}", verdict.stderr, verdict.exit_code)
    };

    insta::assert_snapshot!(refused(&["--database-url", "postgres://reader:hush@db/shop"], None), @"
    error: `--database-url` holds a password, which everybody on this machine can read; put the address into the variable MIGRATION_GATE_DATABASE_URL (or a file's name into MIGRATION_GATE_DATABASE_URL_FILE), or the password into ~/.pgpass
    exit code 2
    ");
    insta::assert_snapshot!(refused(&[], None), @"
    error: which database? set MIGRATION_GATE_DATABASE_URL (or MIGRATION_GATE_DATABASE_URL_FILE to a file that holds it) to the address of production's, for any role that may read it; or give `--database-url` without a password
    exit code 2
    ");
    insta::assert_snapshot!(refused(&[], Some("mysql://reader:hush@db/shop")), @"
    error: cannot connect to the live database: failed to lookup address information: Name or service not known; see that the address is right and reachable from here
    exit code 3
    ");
    insta::assert_snapshot!(refused(&[], Some("postgres://reader:hush@127.0.0.1:1/shop")), @"
    error: cannot connect to the live database: Connection refused (os error 111); see that the address is right and reachable from here
    exit code 3
    ");
}
