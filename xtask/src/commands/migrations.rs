//! What people ask of the migration gate beside the step: one folder or revision, a new migration, a snapshot, a story.

use std::io::{self, Write as _};

use anyhow::Context as _;

use super::{
    gate::{Wanted, gate},
    unusable,
};
use crate::{
    cli::{MigrationFlags, MigrationsCheckArgs, MigrationsCommand},
    context::Context,
    engine::Policy,
    outcome::EXIT_ENVIRONMENT,
    process::{Finished, Log},
    steps::{self, Step},
};

pub(super) fn run(mut cx: Context, command: MigrationsCommand) -> anyhow::Result<u8> {
    if let Some(path) = command.project().and_then(|it| it.migrations.clone()) {
        if !cx.root.join(&path).is_dir() {
            return Err(unusable(anyhow::anyhow!("`--migrations {path}` is no folder of this workspace")));
        }
        cx.config.migrations.path = path;
    }
    let cx = &cx;
    let path = cx.target().join("logs").join("migration-gate.log");
    let log = || Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)));
    match command {
        MigrationsCommand::Check(MigrationsCheckArgs { explain: Some(code), .. }) => {
            Ok(passed_on(&steps::migrations::explain(cx, &log()?, Some(&code))?))
        }
        MigrationsCommand::Check(args) => {
            let judged =
                |_: &Step, cx: &Context, log: &Log| steps::migrations::check_with(cx, log, &args.project);
            let whole = args.project == MigrationFlags::default();
            let verdicts = if whole { Policy::Renew } else { Policy::Leave };
            let wanted = Wanted { format: args.message_format, verdicts, ..Wanted::step("migrations") };
            Ok(gate(cx, wanted, &judged)?.exit_code())
        }
        MigrationsCommand::New { name, project } => {
            Ok(passed_on(&steps::migrations::new(cx, &log()?, &name, &project)?))
        }
        MigrationsCommand::DryRun { project } => {
            Ok(passed_on(&steps::migrations::dry_run(cx, &log()?, &project)?))
        }
        MigrationsCommand::Snapshot(args) => Ok(passed_on(&steps::migrations::snapshot(cx, &log()?, &args)?)),
        MigrationsCommand::Explain { code } => {
            Ok(passed_on(&steps::migrations::explain(cx, &log()?, code.as_deref())?))
        }
    }
}

/// Shows what one of the gate's own programs said, and ends as it ended.
fn passed_on(finished: &Finished) -> u8 {
    write!(io::stdout(), "{}", finished.stdout).ok();
    eprint!("{}", finished.stderr);
    u8::try_from(finished.code()).unwrap_or(EXIT_ENVIRONMENT)
}
