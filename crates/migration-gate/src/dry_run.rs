//! What a deployment would do, statement by statement, as it was seen on a scratch server.

use std::{fmt, future::Future};

use scratch_postgres::Options;
use serde::Serialize;

use crate::{
    Report,
    checks::{self, not_judged},
    codes::Level,
    error::Error,
    plan::{Plan, Step},
    project::Project,
    rehearsal::{Performance, Rehearsal},
    statements,
    trace::{Command, Effect, Mode, Touch},
    upgrade::{self, Depth, Reached, Scene},
};

/// How much of a statement is shown, in characters.
const SHOWN: usize = 66;

/// What is pending, in order, and what speaks against it.
#[derive(Debug, Default)]
pub struct DryRun {
    /// Findings of files and ledger, and what the server refused.
    pub report: Report,
    /// Whether there is a ledger at all.
    has_ledger: bool,
    /// Whether the ledger agrees with the files.
    agrees: bool,
    deployer: String,
    pending: Vec<Planned>,
}

/// A pending migration.
#[derive(Debug, Serialize)]
struct Planned {
    migration: String,
    version: i64,
    role: String,
    in_transaction: bool,
    /// Whether it was seen what the statements do.
    watched: bool,
    statements: Vec<Statement>,
}

#[derive(Debug, Default, Serialize)]
struct Statement {
    /// From 1.
    line: u32,
    text: String,
    /// On tables that production has; held until the file ends, where it runs in a transaction.
    locks: Vec<Lock>,
    /// Tables of production that are read from end to end.
    reads: Vec<String>,
    /// Tables of production whose rows are copied into new files.
    rewrites: Vec<String>,
    makes: Vec<String>,
    drops: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Lock {
    table: String,
    mode: &'static str,
    waits: &'static str,
}

/// The first line of what programs read.
#[derive(Serialize)]
struct Head {
    applied: usize,
    pending: usize,
    ledger: &'static str,
}

/// Looks at what is pending on a scratch server; changes nothing anywhere else.
pub async fn dry_run(project: &Project, options: &Options, interrupt: impl Future<Output = ()>) -> DryRun {
    let findings = checks::of_files(project);
    let plan = Plan::of(project);
    let mut run = DryRun {
        has_ledger: project.settings.ledger.is_some(),
        agrees: findings.iter().all(|it| it.level != Level::Error),
        deployer: project.roles.deployer.clone(),
        pending: plan.pending.iter().map(|step| Planned::unseen(project, step)).collect(),
        report: Report {
            findings,
            applied: plan.applied.len(),
            pending: plan.pending.len(),
            ..Report::default()
        },
    };
    if let Some(left_out) = &plan.left_out {
        run.report.findings.extend(not_judged::report(&left_out.files, &left_out.because));
    }
    if !plan.pending.is_empty() {
        let work = async |scene: &Scene<'_>| run.watch(scene).await;
        run.report.stopped = crate::on_server(project, &plan, options, interrupt, work).await.err();
    }
    run
}

impl DryRun {
    async fn watch(&mut self, scene: &Scene<'_>) -> Result<(), Error> {
        let report = &mut self.report;
        report.notes.extend(scene.target.set_up(scene.project).await?);
        if upgrade::replay(scene, &[], &mut report.findings).await? == Reached::Fault {
            return Ok(());
        }
        let rehearsal = Rehearsal::prepare(scene).await?;
        upgrade::pending(scene, &[], Depth::Apply, &mut report.findings).await?;
        let performance = match rehearsal {
            Some(rehearsal) => rehearsal.perform(scene).await?,
            None => Performance::default(),
        };
        report.notes.extend(performance.notes);
        for (planned, seen) in self.pending.iter_mut().zip(&performance.migrations) {
            planned.watched = true;
            planned.statements = seen.effects.iter().map(Statement::of).collect();
        }
        Ok(())
    }

    /// For programs: a line of JSON on the whole, one for each pending migration, one for each finding.
    pub fn to_json(&self) -> String {
        let head =
            Head { applied: self.report.applied, pending: self.pending.len(), ledger: self.ledger_verdict() };
        // Strings and numbers always have a JSON form.
        let mut lines = vec![serde_json::to_string(&head).unwrap_or_default()];
        lines.extend(self.pending.iter().map(|it| serde_json::to_string(it).unwrap_or_default()));
        lines.extend(self.report.findings.iter().map(crate::Finding::to_json));
        lines.join("\n")
    }

    fn ledger_verdict(&self) -> &'static str {
        match (self.has_ledger, self.agrees) {
            (_, false) => "contradicts",
            (false, true) => "none",
            (true, true) => "agrees",
        }
    }
}

impl Planned {
    fn unseen(project: &Project, step: &Step<'_>) -> Self {
        let bare = |it: statements::Statement<'_>| Statement {
            line: it.line,
            text: it.text.into(),
            ..Statement::default()
        };
        Self {
            migration: step.up.path.clone(),
            version: step.up.version,
            role: project.role(step.role).into(),
            in_transaction: !step.up.is_outside_transaction(),
            watched: false,
            statements: statements::split(step.up.sql().unwrap_or_default()).into_iter().map(bare).collect(),
        }
    }
}

impl Statement {
    fn of(effect: &Effect) -> Self {
        let taken =
            |touch: &Touch| touch.held.filter(|it| *it > Mode::AccessShare && touch.held > touch.before);
        let lock = |touch: &Touch| {
            let mode = taken(touch)?;
            Some(Lock { table: touch.name.clone(), mode: mode.name(), waits: mode.who_waits() })
        };
        let made = |it: &&Command| it.tag.starts_with("CREATE ");
        let name =
            |it: &Command| format!("{} {}", it.tag.trim_start_matches("CREATE ").to_lowercase(), it.object);
        let walked = |it: &&Touch| it.walks > 0 && !it.emptied;
        let mut drops = effect.dropped.clone();
        drops.extend(effect.collateral.iter().map(|it| format!("{it}, which it does not name")));
        Self {
            line: effect.line,
            text: effect.text.clone(),
            locks: effect.existing().filter_map(lock).collect(),
            reads: effect.existing().filter(walked).map(|it| it.name.clone()).collect(),
            rewrites: effect.rewritten().iter().map(|(touch, _)| touch.name.clone()).collect(),
            makes: effect.commands.iter().filter(made).map(name).collect(),
            drops,
        }
    }
}

/// Reads well in 80 columns.
impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = match self.ledger_verdict() {
            "none" => "there is no ledger, so everything is pending".into(),
            "agrees" => format!("production has {}, as the ledger says", count(self.report.applied)),
            _ => "ledger and files contradict each other, see below".to_owned(),
        };
        writeln!(f, "{ledger}")?;
        if self.pending.is_empty() {
            return writeln!(f, "nothing is pending");
        }
        writeln!(f, "{} would be applied by `{}`, in this order:", count(self.pending.len()), self.deployer)?;
        self.pending.iter().try_for_each(|it| write!(f, "\n{it}"))
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framing = if self.in_transaction { "in one transaction" } else { "outside a transaction" };
        writeln!(f, "{}\n  {framing}, as `{}`", self.migration, self.role)?;
        if !self.watched {
            writeln!(f, "  not run here: what it locks is not known")?;
        }
        self.statements.iter().try_for_each(|it| write!(f, "{it}"))
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:>4}  {}", self.line, one_line(&self.text))?;
        for lock in &self.locks {
            writeln!(f, "          locks     {}: {}, {}", lock.table, lock.mode, lock.waits)?;
        }
        let mut list = |what: &str, names: &[String]| {
            names.iter().try_for_each(|name| writeln!(f, "          {what:<9} {name}"))
        };
        list("reads all", &self.reads)?;
        list("rewrites", &self.rewrites)?;
        list("makes", &self.makes)?;
        list("drops", &self.drops)
    }
}

fn count(migrations: usize) -> String {
    if migrations == 1 { "1 migration".into() } else { format!("{migrations} migrations") }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}
