//! Looking: `--dry-run` and `status`, read-only and without a lock.
#![expect(clippy::print_stdout, reason = "what they found is what they are asked for")]

use crate::apply::applied;
use crate::database::{self, Access};
use crate::failure::Failure;
use crate::plan::{Plan, title};
use crate::settings::Settings;
use crate::source::Source;

/// Says what would be applied, and as whom.
pub(crate) async fn dry_run(source: &Source, settings: &Settings) -> Result<(), Failure> {
    let mut deployer = database::open(settings.deployer(), Access::ReadOnly).await?;
    let applied = applied(&mut deployer, settings).await?;
    let plan = Plan::new(source, &applied)?;
    if plan.steps.is_empty() {
        println!("nothing to apply: all {} migrations are", applied.len());
        return Ok(());
    }
    println!("would apply {} of {} migrations:", plan.steps.len(), source.migrations.len());
    for step in &plan.steps {
        let migration = step.migration;
        let framing = if migration.no_tx { ", outside a transaction" } else { "" };
        let role = step.role.name();
        println!("  {} as {role}{framing}", title(migration.version, &migration.description));
    }
    if plan.needs_owner() && settings.owner.is_none() {
        println!("set OWNER_DATABASE_URL to apply what the owner must");
    }
    Ok(())
}

/// Lists every migration with its state, then says what contradicts.
pub(crate) async fn status(source: &Source, settings: &Settings) -> Result<(), Failure> {
    let mut deployer = database::open(settings.deployer(), Access::ReadOnly).await?;
    let applied = applied(&mut deployer, settings).await?;
    let mut lines: Vec<(i64, String)> = Vec::new();
    for row in &applied {
        lines.push((row.version, format!("{}  applied {}", title(row.version, &row.name), row.at)));
    }
    for file in &source.migrations {
        if applied.iter().all(|row| row.version != file.version) {
            let role = source.role(file.version).name();
            lines.push((
                file.version,
                format!("{}  pending, as {role}", title(file.version, &file.description)),
            ));
        }
    }
    lines.sort();
    for (_, line) in lines {
        println!("{line}");
    }
    Plan::new(source, &applied)?;
    Ok(())
}
