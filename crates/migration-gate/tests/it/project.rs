//! A project in a temporary directory, and what the gate says to it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use migration_gate::{
    Level,
    files::{Directory, Ignored},
    ledger::Entry,
    seal::{Source, sealed},
};
use tempfile::TempDir;

/// What an administrator does once; several tests may do it on one server at the same time.
pub(crate) const PRELUDE: &str = "
DO $prelude$
DECLARE
    role_name text;
BEGIN
    LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
    FOREACH role_name IN ARRAY ARRAY['gate_owner', 'gate_deployer', 'gate_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I OWNER TO gate_owner', current_database());
    EXECUTE format('ALTER ROLE gate_deployer IN DATABASE %I SET lock_timeout = %L', current_database(), '5s');
    GRANT USAGE, CREATE ON SCHEMA public TO gate_owner, gate_deployer;
    GRANT USAGE ON SCHEMA public TO gate_app;
END
$prelude$;
";

/// A project that can be changed and checked.
pub(crate) struct Project {
    root: TempDir,
    deployer: &'static str,
}

/// What the gate said.
pub(crate) struct Verdict {
    pub(crate) exit_code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("migrations")).unwrap();
        Self { root, deployer: "gate_deployer" }
    }

    /// Pairs, counted: the owner made the accounts, the deployer the rest; tags are pending.
    pub(crate) fn of_pairs() -> Self {
        let project = Self::empty()
            .with("prelude.sql", PRELUDE)
            .pair(
                "0001_accounts",
                "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL);\n\
                 GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO gate_deployer;\n",
                "REVOKE ALL ON _sqlx_migrations FROM gate_deployer;\nDROP TABLE accounts;\n",
            )
            .pair(
                "0002_orders",
                "CREATE TABLE orders (\n    id bigint PRIMARY KEY,\n    note text\n);\n",
                "DROP TABLE orders;\n",
            )
            .pair(
                "0003_order_state",
                "CREATE TYPE order_state AS ENUM ('open', 'paid');\n\
                 ALTER TABLE orders ADD COLUMN state order_state NOT NULL DEFAULT 'open';\n",
                "ALTER TABLE orders DROP COLUMN state;\nDROP TYPE order_state;\n",
            )
            .pair(
                "0004_tags",
                "CREATE TABLE tags (order_id bigint NOT NULL REFERENCES orders, tag text NOT NULL);\n\
                 GRANT SELECT ON tags TO gate_app;\n",
                "DROP TABLE tags;\n",
            );
        project.applied(&[
            ("0001_accounts", "owner"),
            ("0002_orders", "deployer"),
            ("0003_order_state", "deployer"),
        ])
    }

    /// The same without a ledger: the deployer has made nothing yet and will make everything.
    pub(crate) fn of_pending_pairs() -> Self {
        Self::of_pairs().without("migrations/applied.toml").pair(
            "0001_accounts",
            "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL);\n",
            "DROP TABLE accounts;\n",
        )
    }

    /// Writes a file; its directory is made.
    pub(crate) fn with(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn pair(self, name: &str, up: &str, down: &str) -> Self {
        self.with(&format!("migrations/{name}.up.sql"), up).with(&format!("migrations/{name}.down.sql"), down)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap()
    }

    pub(crate) fn without(self, path: &str) -> Self {
        fs::remove_file(self.root.path().join(path)).unwrap();
        self
    }

    pub(crate) fn renamed(self, from: &str, to: &str) -> Self {
        fs::rename(self.root.path().join(from), self.root.path().join(to)).unwrap();
        self
    }

    /// Moves both files of a pair.
    pub(crate) fn renumbered(self, from: &str, to: &str) -> Self {
        ["up", "down"].into_iter().fold(self, |project, end| {
            project.renamed(&format!("migrations/{from}.{end}.sql"), &format!("migrations/{to}.{end}.sql"))
        })
    }

    /// Writes the ledger: these files, as they are now, in this order.
    pub(crate) fn applied(self, entries: &[(&str, &str)]) -> Self {
        self.applied_at("2026-01-31T12:00:00Z", entries)
    }

    /// The same, with the moment at which it was read from the database.
    pub(crate) fn applied_at(self, taken_at: &str, entries: &[(&str, &str)]) -> Self {
        let directory = Directory::read(&self.root.path().join("migrations"), Ignored::default()).unwrap();
        let entry = |(stem, role): &(&str, &str)| {
            let is_it = |file: &&migration_gate::files::MigrationFile| {
                file.kind.is_up() && format!("{}_{}", file.slot, file.name) == *stem
            };
            let file = directory.files.iter().find(is_it).unwrap();
            let (name, checksum) = (file.name.clone(), file.checksum());
            Entry { version: file.version, name, checksum, role: role.parse().unwrap(), line: 0 }
        };
        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        let source = Source {
            cluster: "7000000000000000001".into(),
            database: "shop".into(),
            taken_at: taken_at.into(),
        };
        let text = sealed(&entries, &source);
        let content: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let ledger = format!("# what production has\n{}\n", content.join("\n"));
        self.with("migrations/applied.toml", ledger)
    }

    /// The checksum of an up, as production would record it.
    pub(crate) fn checksum(&self, stem: &str) -> String {
        let directory = Directory::read(&self.root.path().join("migrations"), Ignored::default()).unwrap();
        let file = directory.files.iter().find(|it| it.kind.is_up() && it.path.contains(stem)).unwrap();
        file.checksum()
    }

    /// Stores a query as `cargo sqlx prepare` does; without columns, which only matter to whoever compares them.
    pub(crate) fn query(self, label: &str, sql: &str, parameters: &[&str]) -> Self {
        self.described(label, sql, &[], parameters)
    }

    /// Stores a query with its columns: name, type, whether it may be null.
    pub(crate) fn described(
        self,
        label: &str,
        sql: &str,
        columns: &[(&str, &str, bool)],
        parameters: &[&str],
    ) -> Self {
        self.with(&format!(".sqlx/query-{label}.json"), prepared(label, sql, columns, parameters))
    }

    /// A query without columns in a folder of its own.
    pub(crate) fn query_in(self, folder: &str, label: &str, sql: &str, parameters: &[&str]) -> Self {
        self.with(&format!("{folder}/query-{label}.json"), prepared(label, sql, &[], parameters))
    }

    /// Names another role as the deployer.
    pub(crate) fn deployed_by(self, deployer: &'static str) -> Self {
        Self { deployer, ..self }
    }

    /// Runs git in the project's folder.
    pub(crate) fn git(self, arguments: &[&str]) -> Self {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
        let status = Command::new("git").current_dir(self.root()).args(identity).args(arguments).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
        self
    }

    /// Commits everything; the first commit makes the repository, with `main` checked out.
    pub(crate) fn committed(self) -> Self {
        let project = if self.root().join(".git").exists() {
            self
        } else {
            self.git(&["init", "--quiet", "--initial-branch=main"])
        };
        project.git(&["add", "--all"]).git(&["commit", "--quiet", "--message=change"])
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The command line of a check; flags whose file does not exist are left out.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migration-gate"));
        command.current_dir(self.root()).arg(subcommand).args(["--migrations", "migrations"]);
        command.args(["--owner", "gate_owner", "--deployer", self.deployer, "--app", "gate_app"]);
        for (flag, path) in [("--ledger", "migrations/applied.toml"), ("--prelude", "prelude.sql")] {
            if self.root().join(path).exists() {
                command.args([flag, path]);
            }
        }
        if self.root().join(".sqlx").exists() {
            command.args(["--queries", ".sqlx"]);
        }
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn check(&self) -> Verdict {
        self.check_with(&[])
    }

    pub(crate) fn check_with(&self, flags: &[&str]) -> Verdict {
        let mut command = self.command("check");
        command.args(flags);
        Verdict::of(command)
    }
}

impl Verdict {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        Self {
            exit_code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Level and code of every finding, in order.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let levels = [Level::Error, Level::Warning, Level::Info].map(|it| format!("{it}["));
        let is_head = |line: &&str| levels.iter().any(|it| line.starts_with(it));
        self.stdout.lines().filter(is_head).filter_map(|line| line.split(' ').next()).collect()
    }

    /// The project is good: no finding at all.
    #[track_caller]
    pub(crate) fn expect_clean(&self) {
        assert_eq!((self.exit_code, self.stdout.as_str()), (0, ""), "{}", self.stderr);
    }

    /// Exactly these findings, and the exit code that follows from them.
    #[track_caller]
    pub(crate) fn expect(&self, codes: &[&str]) -> &str {
        assert_eq!(self.codes(), codes, "{}{}", self.stdout, self.stderr);
        let red = codes.iter().any(|it| it.starts_with("error"));
        assert_eq!(self.exit_code, i32::from(red), "{}", self.stderr);
        self.stdout.trim_end()
    }
}

/// A type of the project's own is an object.
fn type_of(name: &str) -> serde_json::Value {
    serde_json::from_str(name).unwrap_or_else(|_| name.into())
}

/// A query as `cargo sqlx prepare` stores it.
fn prepared(label: &str, sql: &str, columns: &[(&str, &str, bool)], parameters: &[&str]) -> String {
    let column = |(ordinal, (name, type_info, _)): (usize, &(&str, &str, bool))| {
        let origin = serde_json::json!({"Table": {"table": "t", "name": name}});
        let type_info = type_of(type_info);
        serde_json::json!({"ordinal": ordinal, "name": name, "type_info": type_info, "origin": origin})
    };
    let parameters: Vec<serde_json::Value> = parameters.iter().map(|it| type_of(it)).collect();
    let json = serde_json::json!({
        "db_name": "PostgreSQL",
        "query": sql,
        "describe": {
            "columns": columns.iter().enumerate().map(column).collect::<Vec<_>>(),
            "parameters": {"Left": parameters},
            "nullable": columns.iter().map(|(_, _, nullable)| nullable).collect::<Vec<_>>(),
        },
        "hash": label,
    });
    json.to_string()
}
