//! What the queries of a release say to a schema, and what of it is new.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use sqlx::PgConnection;
use tokio::task::{JoinError, JoinSet};

use crate::{
    bench::{Bench, Planning, Trial, Trials},
    codes::{self, Code},
    error::Error,
    queries::Query,
    refusal::Refusal,
    restrictions::{Restriction, Restrictions},
    shape::{Column, Shape},
    target::{Target, lost},
    writes::{self, Required, RequiredColumns, Write},
};

/// Connections that describe at the same time, and how many queries are worth one.
const CONNECTIONS: usize = 4;
const FEWEST: usize = 20;

/// A schema, seen through the eyes of some queries.
#[derive(Debug, Default, Clone)]
pub(crate) struct View {
    /// As many as there are queries.
    pub(crate) answers: Vec<Answer>,
    /// Tables and columns, as sqlx calls them, that hold no null.
    pub(crate) filled: BTreeSet<(String, String)>,
    pub(crate) restrictions: Restrictions,
}

/// What came of one query.
#[derive(Debug, Default, Clone)]
pub(crate) struct Answer {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) shape: Option<Shape>,
    pub(crate) writes: Vec<Write>,
    /// Columns that its INSERTs should fill and do not.
    gaps: BTreeSet<Required>,
}

/// Something that the new schema does to an old query.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) code: &'static Code,
    pub(crate) only_warns: bool,
    /// What is the case, without the query.
    pub(crate) what: String,
    /// What the old binary makes of it.
    pub(crate) consequence: &'static str,
    pub(crate) fix: String,
}

impl View {
    /// Tries those of the queries whose places are `wanted` in `target`, each as the role that sends it, unless it is
    /// `known` what comes of it there.
    pub(crate) async fn of(
        target: &Target,
        queries: &[&Query],
        settings: &[(String, String)],
        known: &Trials,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Self, Error> {
        let mut admin = target.admin().await?;
        let required = writes::required(&mut admin).await?;
        let restrictions = Restrictions::read(&mut admin).await?;
        drop(sqlx::Connection::close(admin).await);
        let mut view = Self { answers: Vec::new(), filled: BTreeSet::new(), restrictions };
        view.answers.resize_with(queries.len(), Answer::default);
        let mut benches: BTreeMap<&str, Bench> = BTreeMap::new();
        for (place, query) in queries.iter().enumerate().filter(|(place, _)| wanted(*place)) {
            view.answers[place] = match known.of(query) {
                Some(trial) => Answer::of(trial, &required),
                None => {
                    let bench = match benches.entry(&query.role) {
                        Entry::Occupied(bench) => bench.into_mut(),
                        Entry::Vacant(free) => {
                            let bench =
                                Bench::login(target, &query.role, settings, Planning::Generic).await?;
                            free.insert(bench)
                        }
                    };
                    Answer::of(&bench.attempt(query).await?, &required)
                }
            };
        }
        for bench in benches.into_values() {
            bench.close().await;
        }
        Ok(view)
    }

    /// Lets sqlx describe those of the queries that work and whose places are `wanted`.
    pub(crate) async fn describe(
        &mut self,
        target: &Target,
        queries: &[&Query],
        settings: &[(String, String)],
        wanted: impl Fn(usize) -> bool,
    ) -> Result<(), Error> {
        // Nullability depends on how the server plans, and that on the version of sqlx that described the queries.
        let is_generic = queries.iter().any(|it| it.is_generic);
        let planning = if is_generic { Planning::Generic } else { Planning::Custom };
        let mut of_roles: BTreeMap<&str, Vec<(usize, Query)>> = BTreeMap::new();
        for (place, query) in queries.iter().enumerate() {
            if !query.shape.is_empty() && self.answers[place].refusal.is_none() && wanted(place) {
                of_roles.entry(&query.role).or_default().push((place, (*query).clone()));
            }
        }
        let mut tasks = JoinSet::new();
        for (role, queries) in of_roles {
            let mut bench = Bench::login(target, role, settings, planning).await?;
            self.filled.extend(filled(bench.connection()).await?);
            bench.close().await;
            for share in queries.chunks(queries.len().div_ceil(CONNECTIONS).max(FEWEST)) {
                let (target, role, settings) = (target.clone(), role.to_owned(), settings.to_vec());
                let share = share.to_vec();
                tasks.spawn(async move {
                    let mut bench = Bench::login(&target, &role, &settings, planning).await?;
                    let mut shapes = Vec::with_capacity(share.len());
                    for (place, query) in share {
                        shapes.push((place, bench.describe(&query).await?));
                    }
                    bench.close().await;
                    Ok::<_, Error>(shapes)
                });
            }
        }
        while let Some(shapes) = tasks.join_next().await {
            let broken = |error: JoinError| Error::Lost {
                doing: "asking about queries".into(),
                cause: error.to_string(),
            };
            for (place, shape) in shapes.map_err(broken)?? {
                self.answers[place].shape = shape;
            }
        }
        Ok(())
    }
}

impl Answer {
    fn of(trial: &Trial, required: &RequiredColumns) -> Self {
        let writes = trial.plan.as_ref().map(writes::of).unwrap_or_default();
        let gaps = writes.iter().flat_map(|it| it.leaves_out(required)).cloned().collect();
        Self { refusal: trial.failure.clone(), shape: None, writes, gaps }
    }
}

/// Every column of a table that is NOT NULL, named as the search path of the connection has it.
async fn filled(connection: &mut PgConnection) -> Result<Vec<(String, String)>, Error> {
    let query = "
        SELECT a.attrelid::regclass::text, a.attname::text
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull
        WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    sqlx::query_as(query)
        .fetch_all(connection)
        .await
        .map_err(|error| lost("reading which columns are filled", &error))
}

/// What is worse for `query` in the `new` view than it was; without an `old` answer it was as its release was compiled.
pub(crate) fn issues(query: &Query, old: Option<&Answer>, view: &View, new: &Answer) -> Vec<Issue> {
    let was_refused = old.and_then(|it| it.refusal.as_ref());
    if let Some(refusal) = &new.refusal {
        if was_refused.is_some_and(|it| it.is_same_as(refusal)) {
            return Vec::new();
        }
        return vec![broken(refusal)];
    }
    let compiled = old.and_then(|it| it.shape.as_ref()).unwrap_or(&query.shape);
    let mut issues = new.shape.as_ref().map(|it| differences(compiled, it, &view.filled)).unwrap_or_default();
    let none = BTreeSet::new();
    issues.extend(new.gaps.difference(old.map_or(&none, |it| &it.gaps)).map(gap));
    issues
}

/// What tables refuse now that the `old` answers say the release writes to.
pub(crate) fn new_restrictions<'v>(
    old: &View,
    new: &'v View,
    writers: &[Answer],
) -> Vec<(&'v Restriction, Issue)> {
    let writes: BTreeSet<Write> = writers.iter().flat_map(|it| it.writes.clone()).collect();
    let left_out = |it: &&Restriction| {
        let mut gaps = new.answers.iter().flat_map(|answer| &answer.gaps);
        it.definition == "NOT NULL"
            && gaps.any(|gap| gap.table == it.table && it.name.contains(&format!("`{}`", gap.column)))
    };
    let found = new.restrictions.new_for(&old.restrictions, &writes).into_iter().filter(|it| !left_out(it));
    found.map(|it| (it, restricted(it))).collect()
}

fn broken(refusal: &Refusal) -> Issue {
    let fix = match refusal.sqlstate.as_str() {
        "42501" => "leave the role what the last release needs; it may be taken away in the release after this one".into(),
        "42P10" => "keep the unique index or constraint in this release; drop it in the one after".into(),
        _ => "expand first, contract later: keep what the last release uses beside the new; when this release no longer uses it, the \
              next one may drop it"
            .into(),
    };
    Issue {
        code: &codes::ROLLBACK_QUERY_BROKEN,
        only_warns: false,
        what: refusal.to_string(),
        consequence: "every such query is refused",
        fix,
    }
}

fn gap(column: &Required) -> Issue {
    let Required { table: (schema, table), column, is, may_be_filled } = column;
    let but = if *may_be_filled { ", unless a trigger fills it" } else { "" };
    Issue {
        code: &codes::ROLLBACK_INSERT_NOT_NULL,
        only_warns: *may_be_filled,
        what: format!(
            "column `{column}` of `{schema}.{table}` must be filled and has no default, and it is left out{but}"
        ),
        consequence: "every such INSERT is refused with SQLSTATE 23502",
        fix: format!(
            "give it a default (ALTER TABLE {schema}.{table} ALTER COLUMN {column} SET DEFAULT …; of type {is}), or leave it \
             nullable in this release and let the next one, which may rely on its being filled, make it NOT NULL"
        ),
    }
}

fn restricted(restriction: &Restriction) -> Issue {
    let Restriction { table: (schema, table), name, definition, .. } = restriction;
    Issue {
        code: &codes::ROLLBACK_QUERY_BROKEN,
        only_warns: true,
        what: format!("{name} on `{schema}.{table}` is new or stricter ({definition})"),
        consequence: "writes of the last release that it does not allow are refused",
        fix: "see that what the last release writes is allowed, or let this release write so and the next one demand it".into(),
    }
}

fn differences(old: &Shape, new: &Shape, filled: &BTreeSet<(String, String)>) -> Vec<Issue> {
    let names = |shape: &Shape| shape.columns.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let (was, is) = (names(old), names(new));
    if is.len() > was.len() && is[..was.len()] == was[..] {
        let more = is[was.len()..].join("`, `");
        let mut issue = changed(format!("the result has the further columns `{more}`"));
        issue.only_warns = true;
        issue.consequence = "connections that have it prepared hear `cached plan must not change result type` until they are new";
        issue.fix =
            "name the columns instead of `*` in this release, or renew the connections after the migration"
                .into();
        return vec![issue];
    }
    if was != is {
        return vec![changed(format!(
            "the result's columns are `{}`, they were `{}`",
            is.join("`, `"),
            was.join("`, `")
        ))];
    }
    let columns = old.columns.iter().zip(&new.columns).flat_map(|(old, new)| {
        // Another plan lets sqlx take the wrong side of an outer join for the one that may be missing.
        let is_filled = new.origin.as_ref().is_some_and(|it| filled.contains(it));
        column(old, &Column { nullable: new.nullable && !is_filled, ..new.clone() })
    });
    let parameters = old.parameters.iter().zip(&new.parameters).zip(1..).flat_map(|((old, new), place)| {
        let gone: Vec<&str> =
            old.labels.iter().filter(|it| !new.labels.contains(it)).map(String::as_str).collect();
        if !gone.is_empty() {
            return Some(changed(format!(
                "parameter ${place}, `{}`, has lost `{}`",
                new.name,
                gone.join("`, `")
            )));
        }
        if old.name == new.name {
            return None;
        }
        // It has been tried with the old type: the server takes it.
        let what = format!("parameter ${place} is `{}`, it was `{}`", new.name, old.name);
        Some(Issue {
            only_warns: true,
            consequence: "the old type is still taken, as far as its values fit",
            ..changed(what)
        })
    });
    columns.chain(parameters).collect()
}

fn column(old: &Column, new: &Column) -> Vec<Issue> {
    let name = &old.name;
    let mut issues = Vec::new();
    let more: Vec<&str> =
        new.is.labels.iter().filter(|it| !old.is.labels.contains(it)).map(String::as_str).collect();
    if old.is.name != new.is.name {
        let mut issue = changed(format!("column `{name}` is `{}`, it was `{}`", new.is.name, old.is.name));
        if old.is.is_text() && new.is.is_text() {
            issue.only_warns = true;
            issue.consequence = "connections that have it prepared hear `cached plan must not change result type` until they are new";
        }
        issues.push(issue);
    } else if old.is.fields != new.is.fields {
        issues.push(changed(format!("the fields of column `{name}`, `{}`, have changed", new.is.name)));
    } else if !more.is_empty() && !old.is_forced_text() {
        let mut issue =
            changed(format!("column `{name}`, `{}`, may be `{}`", new.is.name, more.join("`, `")));
        issue.consequence = "rows with a label that the old code does not know cannot be decoded";
        issue.fix = "let one release know the label, and only the next one add and write it".into();
        issues.push(issue);
    }
    if !old.nullable && new.nullable && !old.is_forced_nullable() {
        issues.push(Issue {
            code: &codes::ROLLBACK_NULLABLE,
            only_warns: false,
            what: format!("column `{name}` may be null, it could not"),
            consequence: "the first null stops it with an `UnexpectedNullError`",
            fix: "keep the NOT NULL in this release; drop it in the next one, when the release that production goes back to reads the \
                  column as nullable"
                .into(),
        });
    }
    issues
}

fn changed(what: String) -> Issue {
    Issue {
        code: &codes::ROLLBACK_TYPE_CHANGE,
        only_warns: false,
        what,
        consequence: "the old binary cannot decode what it gets",
        fix: "add a new column beside the old one and fill both; the next release, whose forerunner reads only the new one, drops the \
              old one"
            .into(),
    }
}
