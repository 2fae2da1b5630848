//! The command line: flags become [`Settings`], nothing else happens here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use migration_gate::{Boot, Policy, QueryFolder, RoleNames, Settings, ledger::AppliedBy};

/// Would production accept these migrations, and could they be taken back?
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge the migrations on a scratch server: exit 0 clean, 1 findings, 2 usage, 3 environment
    Check {
        #[command(flatten)]
        project: ProjectFlags,
        /// How findings are written to stdout
        #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
        message_format: MessageFormat,
        /// Tell the story of a finding code and judge nothing
        #[arg(long, value_name = "CODE")]
        explain: Option<String>,
        /// Say on stderr how long each phase took
        #[arg(long)]
        timings: bool,
    },
    /// Show what is pending, statement by statement: locks, reads, rewrites; runs on a scratch server only
    DryRun {
        #[command(flatten)]
        project: ProjectFlags,
        /// How it is written to stdout
        #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
        message_format: MessageFormat,
    },
    /// Write the files of a new migration, in the next free slot and the project's own style
    New {
        /// Such as `add_labels`
        name: String,
        #[command(flatten)]
        project: ProjectFlags,
    },
    /// Read production's ledger from the live database, without writing there, into the ledger's file
    ///
    /// The address comes from MIGRATION_GATE_DATABASE_URL, or the file that MIGRATION_GATE_DATABASE_URL_FILE names.
    Snapshot {
        #[command(flatten)]
        project: ProjectFlags,
        /// The live database, for an address without a password
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
        /// The ledger in the database, where it is not sqlx's own or there are several
        #[arg(long, value_name = "SCHEMA.NAME")]
        table: Option<String>,
        /// Who ran a version, where who owns what does not tell; may be given several times
        #[arg(long, value_name = "VERSION=owner|deployer", value_parser = version_and_role)]
        role: Vec<(i64, AppliedBy)>,
        /// Who ran everything that nothing tells
        #[arg(long, value_name = "owner|deployer")]
        undecided: Option<AppliedBy>,
        /// How findings are written to stdout
        #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
        message_format: MessageFormat,
    },
    /// Make a database that is what production is, plus what is pending
    Provision {
        #[command(flatten)]
        project: ProjectFlags,
        /// Where a superuser may connect: `postgres://…`
        #[arg(long, env = "MIGRATION_GATE_SERVER_URL", hide_env_values = true, value_name = "ADMIN_URL")]
        server_url: String,
        /// The database to make, or to bring up to date
        #[arg(long, value_name = "NAME")]
        database: String,
        /// Stop where production is
        #[arg(long)]
        ledger_only: bool,
        /// How findings are written to stdout
        #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
        message_format: MessageFormat,
    },
    /// Compare `.sqlx` with the sources and a database, as `cargo sqlx prepare --check` does, without compiling: exit 3
    /// where only a build can tell
    Prepared {
        /// Root of the cargo workspace
        #[arg(long, value_name = "DIR", default_value = ".")]
        root: PathBuf,
        /// The folder of prepared queries, relative to the root
        #[arg(long, value_name = "DIR", default_value = ".sqlx")]
        queries: PathBuf,
        /// Where a superuser may connect: `postgres://…`
        #[arg(long, env = "MIGRATION_GATE_SERVER_URL", hide_env_values = true, value_name = "ADMIN_URL")]
        server_url: String,
        /// The database with the schema, such as `provision` makes
        #[arg(long, value_name = "NAME")]
        database: String,
        /// Keep here what cargo and the packages of registries say, until anything changes that they depend on
        #[arg(long, value_name = "FILE")]
        keep: Option<PathBuf>,
        /// How findings are written to stdout
        #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
        message_format: MessageFormat,
    },
    /// Tell the story of a finding code, or list all codes
    Explain {
        /// Such as `slot-applied`
        code: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProjectFlags {
    /// The directory of the migrations
    #[arg(long, value_name = "DIR", default_value = "migrations")]
    migrations: PathBuf,
    /// Production's ledger; without it everything is pending
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// SQL that a database administrator runs first, as superuser
    #[arg(long, value_name = "FILE")]
    prelude: Option<PathBuf>,
    /// Findings that the project lives with until a day; without it `waivers.toml` beside the migrations
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// A folder of prepared queries (`.sqlx`) and the role that sends them, where it is not the services'; may be given several
    /// times
    #[arg(long, value_name = "DIR[=ROLE]", value_parser = query_folder)]
    queries: Vec<QueryFolder>,
    /// What the code sets before it sends queries, such as `app.tenant=7`; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    setting: Vec<(String, String)>,
    /// The git revision that this tree will be merged into
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// What releases' git tags look like, such as `v*`: what one of them shipped, some production has applied
    #[arg(long, value_name = "PATTERN")]
    release_tags: Option<String>,
    /// The git tag of the release that production would be rolled back to
    #[arg(long, value_name = "TAG")]
    release: Option<String>,
    /// Take back and apply again also what production has applied
    #[arg(long)]
    all: bool,
    /// A table that is and stays small: what walks or rewrites it is no finding; may be given several times
    #[arg(long, value_name = "TABLE")]
    small_table: Vec<String>,
    /// The TimeZone of production's sessions, such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// How owner and deployer stand to each other
    #[arg(long, value_enum, default_value_t = PolicyFlag::Split)]
    policy: PolicyFlag,
    /// The `lock_timeout` that the project's own migrator sets when it logs in, such as `5s`
    #[arg(long, value_name = "TIME")]
    lock_timeout: Option<String>,
    /// What the project's own migrator does while another one is at work
    #[arg(long, value_enum, default_value_t = BootFlag::Waits)]
    boot: BootFlag,
    /// The role that made what production began with
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// The role that applies migrations
    #[arg(long, value_name = "ROLE")]
    deployer: Option<String>,
    /// The role that services run as; where no role is named at all, and the ledger tells no owner from the deployer, one role
    /// owns the database and does everything
    #[arg(long, value_name = "ROLE")]
    app: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PolicyFlag {
    /// Each owns what it made
    Split,
    /// The deployer is a member of the owner
    Member,
    /// The deployer turns into the owner when it logs in
    SetRole,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BootFlag {
    /// It waits in the server, as sqlx's own migrator does
    Waits,
    /// It asks again and again
    Polls,
    /// There never are two
    Alone,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MessageFormat {
    /// Three lines a finding
    Human,
    /// One JSON object a finding
    Json,
}

impl ProjectFlags {
    pub(crate) fn settings(self) -> Settings {
        Settings {
            migrations: self.migrations,
            ledger: self.ledger,
            prelude: self.prelude,
            waivers: self.waivers,
            queries: self.queries,
            session: self.setting,
            base: self.base,
            release_tags: self.release_tags,
            release: self.release,
            all: self.all,
            small_tables: self.small_table,
            time_zone: self.time_zone,
            policy: match self.policy {
                PolicyFlag::Split => Policy::Split,
                PolicyFlag::Member => Policy::Member,
                PolicyFlag::SetRole => Policy::SetRole,
            },
            lock_timeout: self.lock_timeout,
            boot: match self.boot {
                BootFlag::Waits => Boot::Waits,
                BootFlag::Polls => Boot::Polls,
                BootFlag::Alone => Boot::Alone,
            },
            roles: RoleNames { owner: self.owner, deployer: self.deployer, app: self.app },
        }
    }
}

fn query_folder(argument: &str) -> Result<QueryFolder, String> {
    let (path, role) = match argument.rsplit_once('=') {
        Some((path, role)) => (path, Some(role.to_owned())),
        None => (argument, None),
    };
    if path.is_empty() || role.as_ref().is_some_and(String::is_empty) {
        return Err("write `DIR` or `DIR=ROLE`".into());
    }
    Ok(QueryFolder { path: path.into(), role })
}

fn setting(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("write `NAME=VALUE`, such as `app.tenant=7`".into()),
    }
}

fn version_and_role(text: &str) -> Result<(i64, AppliedBy), String> {
    let (version, role) = text.split_once('=').ok_or("expected VERSION=owner or VERSION=deployer")?;
    let version = version.parse().map_err(|_| format!("`{version}` is no version"))?;
    Ok((version, role.parse().map_err(|hint: String| format!("the role is {hint}"))?))
}
