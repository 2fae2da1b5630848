//! `migrations`: the migration gate, on a cluster of its own, and what people ask it for beside the gate.

use std::path::Path;

use crate::{
    cli::{MigrationFlags, MigrationsSnapshotArgs},
    context::Context,
    outcome::{Finding, Level, Outcome, StepError, StepResult},
    process::{Finished, Log, Process},
    scratch::with_engine,
    verdict::inputs::{Git, Inputs},
};

/// The branch that work is merged into where the configuration does not say.
const BASE: &str = "main";
/// What a snapshot is told by the caller's environment, which children do not see otherwise.
const LIVE: [&str; 4] =
    ["MIGRATION_GATE_DATABASE_URL", "MIGRATION_GATE_DATABASE_URL_FILE", "PGPASSFILE", "PGPASSWORD"];

pub(crate) fn skip(cx: &Context) -> Option<String> {
    cx.migrations().is_empty().then(|| format!("no migrations in `{}`", cx.config.migrations.path))
}

pub(crate) fn inputs(cx: &Context) -> Inputs {
    let files = files(cx);
    let base = base(cx).map(|it| it.commit);
    let queries = queries(cx).into_iter().map(|it| format!("{}/", it.split('=').next().unwrap_or_default()));
    Inputs { server: true, gate: true, git: Git::Releases, dates: files.clone(), ..Inputs::files(files) }
        .and(["**/sqlx.toml"])
        .and(queries)
        .setting((&cx.config.postgres, &cx.config.roles, &cx.config.migrations, base))
}

/// The migrations with what lies beside them, the ledger, the prelude and the waivers.
pub(crate) fn files(cx: &Context) -> Vec<String> {
    let settings = &cx.config.migrations;
    let named = [&settings.ledger, &settings.prelude, &settings.waivers];
    let folders = cx.migrations().into_iter().map(|it| format!("{}/", it.trim_end_matches('/')));
    folders.chain(named.into_iter().flatten().cloned()).collect()
}

/// The configured folders of prepared queries, else every one that is there.
fn queries(cx: &Context) -> Vec<String> {
    cx.config.migrations.queries.clone().unwrap_or_else(|| cx.in_crates(".sqlx"))
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    check_with(cx, log, &MigrationFlags::default())
}

/// Judges every folder of migrations; what is said in `flags` counts before the configuration.
pub(crate) fn check_with(cx: &Context, log: &Log, flags: &MigrationFlags) -> StepResult {
    let mut findings = Vec::new();
    for folder in &cx.migrations() {
        let gate = project(cx, log, "check", &Parts::of(cx, folder, flags))?;
        let finished = with_engine(cx, gate).args(["--message-format", "json"]).log(log).run()?;
        findings.extend(found(&finished)?);
    }
    Ok(Outcome::Judged(findings))
}

/// The gate's binary with what this workspace's configuration says of migrations and roles.
pub(crate) fn gate(cx: &Context, log: &Log, command: &str) -> anyhow::Result<Process> {
    project(cx, log, command, &Parts::of(cx, &the_folder(cx)?, &MigrationFlags::default()))
}

/// `migrations new NAME`
pub(crate) fn new(cx: &Context, log: &Log, name: &str, flags: &MigrationFlags) -> anyhow::Result<Finished> {
    Ok(project(cx, log, "new", &Parts::of(cx, &the_folder(cx)?, flags))?.arg(name).log(log).run()?)
}

/// `migrations dry-run`
pub(crate) fn dry_run(cx: &Context, log: &Log, flags: &MigrationFlags) -> anyhow::Result<Finished> {
    let gate = project(cx, log, "dry-run", &Parts::of(cx, &the_folder(cx)?, flags))?;
    Ok(with_engine(cx, gate).log(log).run()?)
}

/// `migrations snapshot`
pub(crate) fn snapshot(cx: &Context, log: &Log, args: &MigrationsSnapshotArgs) -> anyhow::Result<Finished> {
    let flags = &args.project;
    let folder = the_folder(cx)?;
    let parts = Parts::of(cx, &folder, flags);
    let mut process = with_engine(cx, project(cx, log, "snapshot", &parts)?);
    if parts.ledger.is_none() {
        let ledger = cx.config.migrations.ledger.clone().unwrap_or_else(|| beside(&folder, "applied.toml"));
        process = process.args(["--ledger", &ledger]);
    }
    let roles = args.role.iter().map(|it| ("--role", it));
    let others =
        [("--database-url", &args.database_url), ("--table", &args.table), ("--undecided", &args.undecided)];
    let others = others.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
    for (flag, value) in roles.chain(others) {
        process = process.args([flag, value]);
    }
    for name in LIVE {
        if let Some(value) = std::env::var_os(name) {
            process = process.env(name, value);
        }
    }
    Ok(process.log(log).run()?)
}

/// `migrations explain CODE`
pub(crate) fn explain(cx: &Context, log: &Log, code: Option<&str>) -> anyhow::Result<Finished> {
    Ok(cx.process(cx.gate_binary("migration-gate", log)?).arg("explain").args(code).log(log).run()?)
}

/// What the gate said to people, in one line.
pub(crate) fn said(finished: &Finished) -> String {
    let text = finished.stderr.trim().trim_start_matches("error: ");
    if text.is_empty() {
        format!("the migration gate ended with exit code {} and said nothing", finished.code())
    } else {
        text.into()
    }
}

/// One folder of migrations and what belongs to it; paths relative to the workspace's root.
struct Parts {
    migrations: String,
    queries: Vec<String>,
    ledger: Option<String>,
    prelude: Option<String>,
    waivers: Option<String>,
    base: Option<String>,
    release_tags: Option<String>,
    release: Option<String>,
    all: bool,
}

impl Parts {
    /// The flags first, then the configuration, then what lies there.
    fn of(cx: &Context, folder: &str, flags: &MigrationFlags) -> Self {
        let settings = &cx.config.migrations;
        let or = |flag: &Option<String>, setting: &Option<String>| flag.clone().or_else(|| setting.clone());
        let applied = beside(folder, "applied.toml");
        let in_git = git(cx, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).is_some();
        Self {
            migrations: folder.into(),
            queries: if flags.queries.is_empty() { queries(cx) } else { flags.queries.clone() },
            ledger: or(&flags.ledger, &settings.ledger)
                .or_else(|| cx.root.join(&applied).is_file().then_some(applied)),
            prelude: or(&flags.prelude, &settings.prelude),
            waivers: or(&flags.waivers, &settings.waivers),
            base: flags.base.clone().or_else(|| base(cx).map(|it| it.revision)),
            release_tags: Some(settings.release_tags.clone()).filter(|it| in_git && !it.is_empty()),
            release: or(&flags.release, &settings.release),
            all: flags.all,
        }
    }
}

fn project(cx: &Context, log: &Log, command: &str, parts: &Parts) -> anyhow::Result<Process> {
    let roles = &cx.config.roles;
    let mut process = cx.process(cx.gate_binary("migration-gate", log)?).arg(command);
    process = process.args(["--migrations", &parts.migrations]);
    let options = [
        ("--owner", &roles.owner),
        ("--deployer", &roles.deployer),
        ("--app", &roles.app),
        ("--ledger", &parts.ledger),
        ("--prelude", &parts.prelude),
        ("--waivers", &parts.waivers),
        ("--base", &parts.base),
        ("--release-tags", &parts.release_tags),
        ("--release", &parts.release),
        ("--policy", &cx.config.migrations.policy),
        ("--lock-timeout", &cx.config.migrations.lock_timeout),
        ("--boot", &cx.config.migrations.boot),
        ("--time-zone", &cx.config.migrations.time_zone),
    ];
    let options = options.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
    let small = cx.config.migrations.small_tables.iter().map(|it| ("--small-table", it));
    for (flag, value) in options.chain(small).chain(parts.queries.iter().map(|it| ("--queries", it))) {
        process = process.args([flag, value]);
    }
    for (name, value) in &cx.config.migrations.settings {
        process = process.args(["--setting", &format!("{name}={value}")]);
    }
    Ok(if parts.all { process.arg("--all") } else { process })
}

/// The only folder of migrations; of several one has to be named.
fn the_folder(cx: &Context) -> anyhow::Result<String> {
    match cx.migrations().as_slice() {
        [] => Ok(cx.config.migrations.path.clone()),
        [one] => Ok(one.clone()),
        several => anyhow::bail!(
            "this workspace has {} folders of migrations ({}); name one with `--migrations PATH` or as `path` under \
             `[migrations]` in `.config/xtask.toml`",
            several.len(),
            several.join(", ")
        ),
    }
}

/// What this tree will be merged into.
struct Base {
    revision: String,
    /// Nothing where git does not know the revision.
    commit: Option<String>,
}

/// Nothing where work is done on the very branch that others are merged into, and no remote has a copy of it.
fn base(cx: &Context) -> Option<Base> {
    let configured = cx.config.migrations.base.as_deref();
    let branch = configured.unwrap_or(BASE);
    let remote = format!("origin/{branch}");
    match commits(cx, [&remote, branch]) {
        [commit @ Some(_), _] => Some(Base { revision: remote, commit }),
        [None, commit @ Some(_)] => (git(cx, &["symbolic-ref", "--quiet", "--short", "HEAD"]).as_deref()
            != Some(branch))
        .then(|| Base { revision: branch.into(), commit }),
        // What was asked for and does not exist is for the gate to tell.
        [None, None] => configured.map(|it| Base { revision: it.into(), commit: None }),
    }
}

/// The commits of two revisions, in one question; nothing for one that git does not know.
fn commits(cx: &Context, revisions: [&str; 2]) -> [Option<String>; 2] {
    let asked: String = revisions.iter().map(|it| format!("{it}^{{commit}}\n")).collect();
    let git = cx.process("git").args(["cat-file", "--batch-check=%(objectname)"]).input(asked);
    let answer = git.answer().unwrap_or_default();
    let mut lines = answer.lines();
    // Of one that it does not know it repeats the name and says `missing`.
    revisions.map(|_| lines.next().filter(|it| !it.contains(' ')).map(str::to_owned))
}

/// What git answers in one line; nothing where it refuses, or there is no git.
fn git(cx: &Context, arguments: &[&str]) -> Option<String> {
    cx.process("git").args(arguments).answer().map(|it| it.trim().to_owned())
}

fn beside(folder: &str, name: &str) -> String {
    Path::new(folder).join(name).display().to_string()
}

/// The findings of a run of the gate that came to a verdict.
fn found(finished: &Finished) -> Result<Vec<Finding>, StepError> {
    let findings: Vec<Finding> =
        finished.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match finished.code() {
        0 | 1 => judged(findings, finished),
        // What cannot be read, such as a malformed ledger, is a fault in the tree.
        2 => Ok(vec![Finding::error("configuration", said(finished))]),
        3 => Err(StepError::environment(said(finished), "cargo xtask doctor")),
        _ => Err(StepError::Other(anyhow::anyhow!("{}", said(finished)))),
    }
}

/// A gate that ends with 1 found an error; one that does not say which has failed itself.
fn judged(findings: Vec<Finding>, finished: &Finished) -> Result<Vec<Finding>, StepError> {
    let red = findings.iter().any(|it| it.level == Level::Error);
    if red == (finished.code() == 1) {
        Ok(findings)
    } else {
        Err(StepError::Other(anyhow::anyhow!("the migration gate contradicts itself: {}", said(finished))))
    }
}
