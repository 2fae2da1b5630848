//! The development database of this checkout: it stays until it is taken away, with the schema that production will have.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    context::Context,
    outcome::StepError,
    process::{Finished, Log},
    steps::migrations,
    tools::machine::tools_folder,
    verdict::hashed,
};

/// The database on the checkout's own server.
const DATABASE: &str = "dev";
/// What the migration gate ends with when the database holds another history than the tree.
const ANOTHER_HISTORY: &str = "has applied another migration";

/// A server, and what became of it.
#[derive(Debug, Deserialize)]
struct Kept {
    admin_url: Option<String>,
    started: bool,
}

/// Starts the database where it does not run, and applies what it lacks, role by role; says what was done.
///
/// # Errors
/// When there is no server to be had, or the migrations cannot be applied to what the database holds.
pub(crate) fn up(cx: &Context, log: &Log) -> Result<Vec<String>, StepError> {
    let kept = keep(cx, log, &[])?;
    let admin = kept.admin_url.unwrap_or_default();
    let mut said = vec![if kept.started { "the server was started" } else { "the server runs" }.to_owned()];
    if !cx.migrations().is_empty() {
        let provision = migrations::gate(cx, log, "provision")?.args(["--database", DATABASE]);
        let finished = provision.env("MIGRATION_GATE_SERVER_URL", &admin).log(log).run()?;
        if !finished.success() {
            return Err(refused(&finished));
        }
        said.push(migrations::said(&finished));
    }
    said.push("`cargo xtask db url` prints its address, `cargo xtask db psql` opens it".into());
    Ok(said)
}

/// Takes the database away; true where there was one.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn down(cx: &Context, log: &Log) -> Result<bool, StepError> {
    let program = cx.gate_binary("scratch-postgres", log)?;
    let finished = cx.process(program).arg("drop").args(folders(cx)).log(log).run()?;
    if !finished.success() {
        return Err(lacking(&finished));
    }
    let removed: Vec<PathBuf> =
        serde_json::from_str(&finished.stdout).context("cannot read what `scratch-postgres` says")?;
    Ok(!removed.is_empty())
}

/// The address for a role, or for the superuser; a server that a reboot ended is started again.
///
/// # Errors
/// When there is no development database.
pub(crate) fn url(cx: &Context, log: &Log, role: Option<&str>) -> Result<String, StepError> {
    let kept = keep(cx, log, &["--existing"])?;
    let Some(admin) = kept.admin_url else {
        return Err(StepError::environment("this checkout has no development database", "cargo xtask db up"));
    };
    // Without migrations there is nothing but the server's own.
    let database = if cx.migrations().is_empty() { "postgres" } else { DATABASE };
    Ok(crate::scratch::rewritten(&admin, database, role))
}

fn keep(cx: &Context, log: &Log, options: &[&str]) -> Result<Kept, StepError> {
    let program = cx.gate_binary("scratch-postgres", log)?;
    let finished = cx.process(program).arg("keep").args(options).args(folders(cx)).log(log).run()?;
    if !finished.success() {
        return Err(lacking(&finished));
    }
    Ok(serde_json::from_str(&finished.stdout).context("cannot read what `scratch-postgres` says")?)
}

/// Where its data may lie, best first: in the checkout; where that has too long a path or is closed to the server's user, in the
/// user's cache; where that is closed too, where everybody may have a folder.
fn folders(cx: &Context) -> Vec<PathBuf> {
    let root = cx.root.display().to_string();
    let name = hashed(std::iter::once(root.as_str()));
    let name = format!("dev-{}", &name[..12]);
    let cache = tools_folder();
    let cache = cache.parent().unwrap_or(&cache).join("databases").join(&name);
    vec![cx.target().join("db"), cache, PathBuf::from("/var/tmp").join(format!("slipway-{name}"))]
}

fn lacking(finished: &Finished) -> StepError {
    let words = finished.stderr.trim().trim_start_matches("scratch-postgres: ");
    StepError::environment(format!("no development database: {words}"), "cargo xtask ci --setup migrations")
}

fn refused(finished: &Finished) -> StepError {
    let words = migrations::said(finished);
    let findings = finished.stdout.trim_end();
    if words.contains(ANOTHER_HISTORY) {
        let lacks = format!("a migration changed after this database had applied it: {words}");
        return StepError::environment(lacks, "cargo xtask db down && cargo xtask db up");
    }
    StepError::environment(
        format!("the migrations cannot be applied: {words}\n{findings}"),
        "cargo xtask migrations check",
    )
}
