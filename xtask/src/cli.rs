//! The command line: what can be typed, and what it is lowered to.

mod images;
mod release;

use std::{ffi::OsStr, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};

pub(crate) use self::{
    images::{ImagesCommand, InspectFormat},
    release::ReleaseArgs,
};
use crate::{bench::Case, completions::Shell, steps::STEPS, terminal::Detail};

/// From a commit to images: the gate, its set-up and its tools.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Cli {
    /// Work on the cargo workspace in this folder instead of the tool's own
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Without one the overview is shown
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gate, or the named steps of it
    Ci(CiArgs),
    /// Run the test suite on a Postgres of its own
    Test(TestArgs),
    /// Show everything that is missing on this machine, each with the command that helps
    Doctor {
        /// Install what is missing
        #[arg(long)]
        fix: bool,
    },
    /// Say why a step would run or not, and what changed since it was green
    Explain {
        #[arg(value_name = "STEP", value_parser = StepName)]
        step: String,
    },
    /// Show the log of a step's last run
    Log {
        #[arg(value_name = "STEP", value_parser = StepName)]
        step: String,
    },
    /// Write completions for a shell; `source <(cargo xtask completions bash)` loads them
    Completions {
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// The development database, and what works on a scratch one
    #[command(subcommand)]
    Db(DbCommand),
    /// The migration gate
    #[command(subcommand)]
    Migrations(Box<MigrationsCommand>),
    /// Measure the gate beside the shell pipeline that it replaces, and print ratios
    Bench(BenchArgs),
    /// The workflows of Gitea Actions: write them, replay them, name their contexts
    Workflows(WorkflowsArgs),
    /// The hook that runs the cheap part of the gate before a push
    #[command(subcommand)]
    Hooks(HooksCommand),
    /// Runtime images and the bases that they are built from
    #[command(subcommand)]
    Images(ImagesCommand),
    /// Release a version: show the plan, or with `--execute` tag it and push its images, signed
    Release(ReleaseArgs),
    /// Start the whole stack of the compose file, wait until all of it is ready, and say where it is
    Up(UpArgs),
    /// Stop the stack and take it away; volumes are kept
    Down {
        /// Remove the volumes too, and with them the data
        #[arg(long)]
        volumes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Services to start, with what they depend on; all without any
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// Use a database that is given: `compose.external.yaml`, with the settings of `.env.external`
    #[arg(long, conflicts_with = "file")]
    pub(crate) external: bool,
    /// Also start what operators look at: `compose.observability.yaml`, with the settings of `.env.observability`
    #[arg(long)]
    pub(crate) observability: bool,
    /// Compose file, relative to the workspace's root; several are laid on top of each other
    #[arg(short, long, value_name = "FILE", default_value = "compose.yaml")]
    pub(crate) file: Vec<PathBuf>,
    /// How many containers of a service; may be given several times
    #[arg(long, value_name = "SERVICE=N", value_parser = service_and_number)]
    pub(crate) scale: Vec<(String, u32)>,
    /// Seconds that a service may take to get ready
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) timeout: u64,
    /// Start the images that were built last, whatever the sources are now
    #[arg(long)]
    pub(crate) no_build: bool,
    /// First install or build what is missing
    #[arg(long)]
    pub(crate) setup: bool,
    /// How to talk: `human` and `plain` for people, `json` for one event a line
    #[arg(long, value_enum, default_value_t = MessageFormat::Human, value_name = "FORMAT")]
    pub(crate) message_format: MessageFormat,
    #[command(flatten)]
    pub(crate) telling: Telling,
}

fn service_and_number(text: &str) -> Result<(String, u32), String> {
    let (service, number) = text.split_once('=').ok_or("write it as `SERVICE=N`")?;
    match number.parse() {
        Ok(number @ 0..=64) => Ok((service.into(), number)),
        _ => Err("N is a number from 0 to 64".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct CiArgs {
    /// Steps to run, in the gate's own order; all without any
    #[arg(value_name = "STEP", value_parser = StepName)]
    pub(crate) steps: Vec<String>,
    /// First install or build what is missing
    #[arg(long)]
    pub(crate) setup: bool,
    /// Run all steps, also after one failed
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Run also what was green on the same inputs
    #[arg(long)]
    pub(crate) force: bool,
    /// Run only the tests of crates that the changes since REV reach, for a first answer
    #[arg(long, value_name = "REV")]
    pub(crate) affected: Option<String>,
    /// Show what would run, and run nothing
    #[arg(long, conflicts_with_all = ["list", "setup"])]
    pub(crate) plan: bool,
    /// List the steps and what each proves
    #[arg(long)]
    pub(crate) list: bool,
    /// Let `cargo sqlx prepare --check` decide on `.sqlx`, which compiles, also where reading the sources is enough
    #[arg(long, conflicts_with_all = ["list", "plan"])]
    pub(crate) exact: bool,
    /// How to talk: `human` and `plain` for people, `json` for one event a line
    #[arg(long, value_enum, default_value_t = MessageFormat::Human, value_name = "FORMAT")]
    pub(crate) message_format: MessageFormat,
    #[command(flatten)]
    pub(crate) telling: Telling,
}

/// How much a run tells.
#[derive(Debug, Args)]
pub(crate) struct Telling {
    /// Show each step's reason, and what its tools write as they write it
    #[arg(short, long)]
    verbose: bool,
}

impl Telling {
    pub(crate) fn detail(&self) -> Detail {
        if self.verbose { Detail::Verbose } else { Detail::Usual }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    Human,
    Plain,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// First install or build what is missing
    #[arg(long)]
    pub(crate) setup: bool,
    /// Profile of `.config/nextest.toml`, such as `long`
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) telling: Telling,
    /// What nextest is given besides, such as a filter; doctests are left out then
    #[arg(last = true, value_name = "NEXTEST ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Start this checkout's development database
    Up,
    /// Take the development database away, with its data
    Down,
    /// Print the development database's address
    Url {
        /// Who logs in
        #[arg(long, value_enum, default_value_t = Login::App)]
        role: Login,
    },
    /// Open the development database in `psql`
    Psql {
        /// Who logs in
        #[arg(long, value_enum, default_value_t = Login::App)]
        role: Login,
        /// What `psql` is given besides
        #[arg(last = true, value_name = "PSQL ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Refresh `.sqlx` from a scratch database with all migrations
    Prepare,
}

/// Who logs in to the development database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Login {
    App,
    Deployer,
    Owner,
    /// The server's superuser
    Admin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrationsCommand {
    /// Judge the migrations as production would
    Check(MigrationsCheckArgs),
    /// Write the files of a new migration, in the next free slot and the project's own style
    New {
        /// Such as `add_labels`
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        project: MigrationFlags,
    },
    /// Show what a deployment would do, statement by statement, on a scratch server: nothing is changed
    DryRun {
        #[command(flatten)]
        project: MigrationFlags,
    },
    /// Read production's ledger from the live database, without writing there, into the ledger's file
    ///
    /// The address comes from MIGRATION_GATE_DATABASE_URL, or from the file that MIGRATION_GATE_DATABASE_URL_FILE names.
    Snapshot(MigrationsSnapshotArgs),
    /// Tell the story of a finding code, or list all codes
    Explain {
        /// Such as `slot-applied`
        #[arg(value_name = "CODE")]
        code: Option<String>,
    },
}

impl MigrationsCommand {
    /// What is said here of the project.
    pub(crate) fn project(&self) -> Option<&MigrationFlags> {
        match self {
            Self::Check(args) => Some(&args.project),
            Self::New { project, .. } | Self::DryRun { project } => Some(project),
            Self::Snapshot(args) => Some(&args.project),
            Self::Explain { .. } => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MigrationsCheckArgs {
    #[command(flatten)]
    pub(crate) project: MigrationFlags,
    /// Tell the story of a finding code and judge nothing
    #[arg(long, value_name = "CODE")]
    pub(crate) explain: Option<String>,
    /// How to talk: `human` and `plain` for people, `json` for one event a line
    #[arg(long, value_enum, default_value_t = MessageFormat::Human, value_name = "FORMAT")]
    pub(crate) message_format: MessageFormat,
}

#[derive(Debug, Args)]
pub(crate) struct MigrationsSnapshotArgs {
    #[command(flatten)]
    pub(crate) project: MigrationFlags,
    /// The live database, for an address without a password
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The ledger in the database, where it is not sqlx's own or there are several
    #[arg(long, value_name = "SCHEMA.NAME")]
    pub(crate) table: Option<String>,
    /// Who ran a version, where who owns what does not tell; may be given several times
    #[arg(long, value_name = "VERSION=owner|deployer")]
    pub(crate) role: Vec<String>,
    /// Who ran everything that nothing tells
    #[arg(long, value_name = "owner|deployer")]
    pub(crate) undecided: Option<String>,
}

/// What is said here instead of in `.config/xtask.toml`; paths are relative to the workspace's root.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
pub(crate) struct MigrationFlags {
    /// The folder of the migrations
    #[arg(long, value_name = "PATH")]
    pub(crate) migrations: Option<String>,
    /// A folder of prepared queries, and the role that sends them; may be given several times
    #[arg(long, value_name = "PATH[=ROLE]")]
    pub(crate) queries: Vec<String>,
    /// Production's ledger
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<String>,
    /// The git revision that this tree will be merged into
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<String>,
    /// The git tag of the release that production would be rolled back to
    #[arg(long, value_name = "TAG")]
    pub(crate) release: Option<String>,
    /// SQL that a database administrator runs first, as superuser
    #[arg(long, value_name = "FILE")]
    pub(crate) prelude: Option<String>,
    /// Findings that the project lives with until a day; without it `waivers.toml` beside the migrations
    #[arg(long, value_name = "FILE")]
    pub(crate) waivers: Option<String>,
    /// Take back and apply again also what production has applied
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure; all without
    #[arg(value_enum, value_name = "CASE")]
    pub(crate) cases: Vec<Case>,
    /// How often each case but the cold one is measured
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WorkflowsArgs {
    /// Write nothing; say where the files are not what the step table asks for
    #[arg(long)]
    pub(crate) check: bool,
    #[command(subcommand)]
    pub(crate) command: Option<WorkflowsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowsCommand {
    /// Run the jobs' lines in a clean clone as a host runner does, and compare with the local verdict
    Replay {
        /// One job, with what it needs; all without
        #[arg(value_name = "JOB")]
        job: Option<String>,
    },
    /// Print the status contexts that branch protection should require
    Contexts,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HooksCommand {
    /// Install the pre-push hook
    Install {
        /// Remove it again
        #[arg(long)]
        uninstall: bool,
    },
}

/// A step's name: the built-in ones are offered, and those of a workspace's own are known once it is read.
#[derive(Debug, Clone, Copy)]
struct StepName;

impl TypedValueParser for StepName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(STEPS.iter().map(|step| PossibleValue::new(step.name))))
    }
}
