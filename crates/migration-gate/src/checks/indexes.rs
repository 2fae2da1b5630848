//! `lint`: a query, or the DELETE behind a foreign key, that pending migrations leave without the index that it needs.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::Connection as _;

use crate::{
    Report,
    bench::{Bench, Planning, Trials},
    catalog, codes,
    error::Error,
    finding::Finding,
    plan::Step,
    queries::Query,
    sources::Sources,
    target::{Target, lost},
    upgrade::Scene,
    writes::{self, Table},
};

const INDEXES: &str = include_str!("indexes.sql");
const FOREIGN_KEYS: &str = include_str!("foreign_keys.sql");
const DOING: &str = "looking at indexes";

/// The tables are small here: this lets the planner do what it does with large ones.
const LARGE_TABLES: (&str, &str) = ("enable_seqscan", "off");

/// An index; another name makes it no other one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Index {
    table: Table,
    /// As SQL spells it, from the columns on.
    definition: String,
    name: String,
}

/// A foreign key that no index of its table begins with.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Unsupported {
    table: Table,
    name: String,
    column: String,
    refers_to: Table,
}

/// What a schema has of both.
#[derive(Debug)]
struct Indexes {
    all: BTreeSet<Index>,
    unsupported: BTreeSet<Unsupported>,
}

/// What the pending migrations change about it.
struct Changed<'i> {
    gone: Vec<&'i Index>,
    unsupported: Vec<&'i Unsupported>,
}

/// How a plan gets at the rows of a table.
struct Access {
    table: Table,
    /// Indexes that find the rows by a condition; without one the whole table is walked.
    indexes: Vec<String>,
}

/// Plans queries on production's schema, `before`, and on the new one, where an index is gone; `trials` are those on the
/// new one.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    before: Option<&Target>,
    trials: &Trials,
    report: &mut Report,
) -> Result<(), Error> {
    let sent = &scene.project.sent.queries;
    let Some(before) = before.filter(|_| !sent.is_empty()) else { return Ok(()) };
    let (old, new) = (Indexes::of(before).await?, Indexes::of(scene.target).await?);
    let small = &scene.project.settings.small_tables;
    let is_large = |table: &Table| !small.contains(&shown(table));
    let changed = Changed {
        gone: old.all.iter().filter(|it| is_large(&it.table) && !new.has(it)).collect(),
        unsupported: new.unsupported.difference(&old.unsupported).filter(|it| is_large(&it.table)).collect(),
    };
    let mut findings = changed.lost(scene, before).await?;
    let plans = sent.iter().filter_map(|query| Some((query, trials.of(query)?.plan.as_ref()?)));
    findings.extend(plans.flat_map(|(query, plan)| changed.deletes(plan, query, &scene.plan.pending)));
    // Several queries may miss the same index.
    let mut told = BTreeSet::new();
    findings.retain(|it| told.insert((it.file.clone(), it.line, it.fix.clone())));
    report.findings.extend(findings);
    Ok(())
}

impl Indexes {
    async fn of(target: &Target) -> Result<Self, Error> {
        let mut admin = target.admin().await?;
        let indexes: Vec<(String, String, String, String)> =
            sqlx::query_as(INDEXES).fetch_all(&mut admin).await.map_err(|error| lost(DOING, &error))?;
        let keys: Vec<(String, String, String, String, String, String)> =
            sqlx::query_as(FOREIGN_KEYS).fetch_all(&mut admin).await.map_err(|error| lost(DOING, &error))?;
        drop(admin.close().await);
        let index = |(schema, table, definition, name)| Index { table: (schema, table), definition, name };
        let key = |(schema, table, name, column, other_schema, other)| Unsupported {
            table: (schema, table),
            name,
            column,
            refers_to: (other_schema, other),
        };
        Ok(Self {
            all: indexes.into_iter().map(index).collect(),
            unsupported: keys.into_iter().map(key).collect(),
        })
    }

    fn has(&self, index: &Index) -> bool {
        self.all.iter().any(|it| it.table == index.table && it.definition == index.definition)
    }
}

impl Changed<'_> {
    /// Queries that found their rows by an index that is gone, and have no other.
    async fn lost(&self, scene: &Scene<'_>, before: &Target) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        if self.gone.is_empty() {
            return Ok(findings);
        }
        let mut settings = scene.project.settings.session.clone();
        settings.push((LARGE_TABLES.0.into(), LARGE_TABLES.1.into()));
        for role in scene.project.senders() {
            let mut today = Bench::login(before, role, &settings, Planning::Generic).await?;
            let mut then = Bench::login(scene.target, role, &settings, Planning::Generic).await?;
            for query in scene.project.sent.queries.iter().filter(|it| it.role == role) {
                let Some(plan) = then.attempt(query).await?.plan else { continue };
                let is = accesses(&plan);
                if !self.gone.iter().any(|index| walks(&is, &index.table)) {
                    continue;
                }
                let was = today.attempt(query).await?.plan.as_ref().map(accesses).unwrap_or_default();
                let used = |index: &Index| {
                    was.iter().any(|it| it.table == index.table && it.indexes.contains(&index.name))
                };
                let index = self.gone.iter().find(|it| used(it) && walks(&is, &it.table));
                findings.extend(index.map(|it| lost_finding(it, query, &scene.plan.pending)));
            }
            today.close().await;
            then.close().await;
        }
        Ok(findings)
    }

    /// The query deletes what rows of another table may refer to, and those are looked for without an index.
    fn deletes(&self, plan: &Value, query: &Query, pending: &[Step<'_>]) -> Vec<Finding> {
        let writes = writes::of(plan);
        let is_deleted = |it: &&&Unsupported| {
            writes.iter().any(|write| write.operation == "DELETE" && write.table == it.refers_to)
        };
        let finding = |key: &&Unsupported| {
            let (table, other) = (shown(&key.table), shown(&key.refers_to));
            let (file, line) = Sources::default().place(query);
            let what = format!(
                "no index of `{table}` begins with `{}`, which refers to `{other}`, and a query deletes there: `{}` ({file}:{line})",
                key.column,
                query.excerpt()
            );
            let finding = Finding::new(&codes::LINT, what)
                .means(format!("each row that goes from `{other}` walks the whole of `{table}`"))
                .fix(format!(
                    "CREATE INDEX ON {table} ({}); with CONCURRENTLY, in a file of its own, where `{table}` is in use; or name it in \
                     `small-tables` if it stays small",
                    key.column
                ));
            place(finding, pending, [&key.name, &key.table.1])
        };
        self.unsupported.iter().filter(is_deleted).map(finding).collect()
    }
}

fn lost_finding(index: &Index, query: &Query, pending: &[Step<'_>]) -> Finding {
    let Index { table, definition, name } = index;
    let (file, line) = Sources::default().place(query);
    let what = format!(
        "`{name}` is gone, by which a query found its rows in `{}`: `{}` ({file}:{line})",
        shown(table),
        query.excerpt()
    );
    let fix = "keep it until no query needs it, or make one as good";
    let finding = Finding::new(&codes::LINT, what)
        .means("the query walks the whole table from now on: the more rows, the slower")
        .fix(format!("{fix}: CREATE INDEX ON {} {definition};", shown(table)));
    place(finding, pending, [name, &table.1])
}

/// Every way in which the plan gets at rows.
fn accesses(plan: &Value) -> Vec<Access> {
    let mut all = Vec::new();
    visit(&plan[0]["Plan"], &mut all);
    all
}

fn visit(node: &Value, all: &mut Vec<Access>) {
    let is_scan = node["Node Type"].as_str().is_some_and(|it| it.ends_with(" Scan"));
    if is_scan && let (Some(schema), Some(name)) = (node["Schema"].as_str(), node["Relation Name"].as_str()) {
        let mut indexes = Vec::new();
        used(node, &mut indexes);
        all.push(Access { table: (schema.into(), name.into()), indexes });
    }
    children(node).iter().for_each(|it| visit(it, all));
}

/// The indexes of a scan; those of a bitmap stand below it.
fn used(node: &Value, indexes: &mut Vec<String>) {
    if let (Some(index), true) = (node["Index Name"].as_str(), node["Index Cond"].is_string()) {
        indexes.push(index.into());
    }
    let is_bitmap = |it: &&Value| it["Node Type"].as_str().is_some_and(|it| it.starts_with("Bitmap"));
    children(node).iter().filter(is_bitmap).for_each(|it| used(it, indexes));
}

fn children(node: &Value) -> &[Value] {
    node["Plans"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn walks(accesses: &[Access], table: &Table) -> bool {
    accesses.iter().any(|it| it.table == *table && it.indexes.is_empty())
}

/// Where a pending migration speaks of one of `names`, the first of which is the better one.
fn place(finding: Finding, pending: &[Step<'_>], names: [&str; 2]) -> Finding {
    let speaks =
        |name: &str| pending.iter().find_map(|step| Some((&step.up.path, catalog::line_of(step.up, name)?)));
    match names.into_iter().find_map(speaks) {
        Some((path, line)) => finding.at(path, line),
        None => finding,
    }
}

fn shown((schema, name): &Table) -> String {
    if schema == "public" { name.clone() } else { format!("{schema}.{name}") }
}
