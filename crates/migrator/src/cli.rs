//! The command line; it never carries a password.

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::settings::Settings;

/// Applies what is pending, as the deployer.
#[derive(Debug, Parser)]
#[command(name = "migrator", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// What to do instead of applying.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Say what would be applied, and touch nothing: read-only, without a lock
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Use the migrations and the `applied.toml` of this folder instead of those built in
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) migrations: Option<PathBuf>,
}

/// What can be done instead of applying.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Command {
    /// List every migration with its state; read-only, without a lock
    Status,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do
  1    files and ledger contradict each other, or a migration failed
  2    wrong usage or configuration
  3    the database is missing or busy
  130  interrupted";

impl Cli {
    /// Reads the command line; ends the process after `--help`, `--version` and wrong usage.
    pub(crate) fn read() -> Self {
        let environment = service::settings::describe(&[Settings::table()], &[]);
        let help = format!("Environment:\n{environment}\n{EXIT_CODES}");
        let matches = Self::command().after_help(help).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}
