//! `missing-grant` and `query-broken`: every prepared query is tried as the role that sends it.

use std::collections::BTreeMap;

use crate::{
    Report,
    bench::{Bench, Planning, Trials},
    codes,
    error::Error,
    finding::Finding,
    grants::{self, Grant, Object},
    queries::Query,
    refusal::Refusal,
    sources::Sources,
    target::Target,
    upgrade::Scene,
    writes,
};

/// A query that cannot work, and whether it works in production as that is today.
struct Refused<'q> {
    query: &'q Query,
    refusal: Refusal,
    is_today: bool,
}

/// What came of the queries, and the settings that nobody has told.
#[derive(Default)]
struct Tried {
    trials: Trials,
    guessed: BTreeMap<String, String>,
}

/// Tries the queries on what the pending migrations leave, and returns what came of each; `before` is a database that is
/// what production is today.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    before: Option<&Target>,
    report: &mut Report,
) -> Result<Trials, Error> {
    let prepared = &scene.project.sent;
    for (file, because) in &prepared.broken {
        report.findings.push(unreadable(file, because));
    }
    if prepared.foreign > 0 {
        report.notes.push(format!("{} prepared queries are for another kind of database", prepared.foreign));
    }
    let mut verdict = Verdict::default();
    let mut tried = Tried::default();
    for role in scene.project.senders() {
        let queries: Vec<&Query> = prepared.queries.iter().filter(|it| it.role == role).collect();
        let mut refused = refused(scene, scene.target, role, &queries, &mut tried).await?;
        if refused.is_empty() {
            continue;
        }
        mark_todays(scene, before, role, &mut refused).await?;
        advise(scene, role, &refused, &mut verdict).await?;
    }
    for (name, value) in &tried.guessed {
        report.notes.push(format!(
            "queries read the setting `{name}`, which was tried as '{value}'; `--setting {name}=VALUE` tells what the code \
             makes it"
        ));
    }
    verdict.write(&mut report.findings);
    report.queries = prepared.queries.len();
    Ok(tried.trials)
}

async fn refused<'q>(
    scene: &Scene<'_>,
    target: &Target,
    role: &str,
    queries: &[&'q Query],
    tried: &mut Tried,
) -> Result<Vec<Refused<'q>>, Error> {
    let settings = &scene.project.settings.session;
    let mut bench = Bench::login(target, role, settings, Planning::Generic).await?;
    let required = writes::required(bench.connection()).await?;
    let mut refused = Vec::new();
    for query in queries {
        let trial = bench.attempt(query).await?;
        let plan = trial.plan.as_ref().map(writes::of).unwrap_or_default();
        // Nulls are refused for the right reason only where the query has no other values.
        let gap = plan.iter().flat_map(|it| it.leaves_out(&required)).find(|it| !it.may_be_filled);
        if let Some(refusal) = trial.failure.clone().or_else(|| gap.map(Refusal::left_out)) {
            refused.push(Refused { query, refusal, is_today: false });
        }
        tried.trials.keep(query, trial);
    }
    tried.guessed.extend(bench.guessed.drain(..));
    bench.close().await;
    Ok(refused)
}

/// What production refuses already is another message, not another verdict.
async fn mark_todays(
    scene: &Scene<'_>,
    before: Option<&Target>,
    role: &str,
    refused_now: &mut [Refused<'_>],
) -> Result<(), Error> {
    let Some(before) = before else {
        let is_production = !scene.plan.applied.is_empty();
        refused_now.iter_mut().for_each(|it| it.is_today = is_production);
        return Ok(());
    };
    let queries: Vec<&Query> = refused_now.iter().map(|it| it.query).collect();
    let today = refused(scene, before, role, &queries, &mut Tried::default()).await?;
    for it in refused_now {
        let is_it = |today: &&Refused<'_>| std::ptr::eq(today.query, it.query);
        it.is_today = today.iter().find(is_it).is_some_and(|today| today.refusal.is_same_as(&it.refusal));
    }
    Ok(())
}

async fn advise<'q>(
    scene: &Scene<'_>,
    role: &str,
    refused: &[Refused<'q>],
    verdict: &mut Verdict<'q>,
) -> Result<(), Error> {
    let mut advisor = Bench::advisor(scene.target, role, &scene.project.settings.session).await?;
    for refused in refused {
        let Refused { query, refusal, .. } = refused;
        let advice = grants::missing(&mut advisor, query, refusal, &scene.project.roles).await?;
        for grant in advice.grants {
            let lack = verdict.lacks.entry(grant.object.clone()).or_insert_with(|| Lack::of(refusal));
            if !lack.grants.contains(&grant) {
                lack.grants.push(grant);
            }
            lack.add(refused);
        }
        if let Some(refusal) = advice.remains {
            let key = (refusal.sqlstate.clone(), refusal.message.clone());
            verdict.broken.entry(key).or_insert_with(|| Lack::of(&refusal)).add(refused);
        }
    }
    advisor.close().await;
    Ok(())
}

/// One finding for each object that rights are missing on, and one for each thing that the server says.
#[derive(Default)]
struct Verdict<'q> {
    lacks: BTreeMap<Object, Lack<'q>>,
    broken: BTreeMap<(String, String), Lack<'q>>,
}

/// What several queries have in common.
struct Lack<'q> {
    refusal: Refusal,
    grants: Vec<Grant>,
    queries: Vec<&'q Query>,
    is_today: bool,
}

impl<'q> Lack<'q> {
    fn of(refusal: &Refusal) -> Self {
        Self { refusal: refusal.clone(), grants: Vec::new(), queries: Vec::new(), is_today: true }
    }

    fn add(&mut self, refused: &Refused<'q>) {
        if !self.queries.iter().any(|it| std::ptr::eq(*it, refused.query)) {
            self.queries.push(refused.query);
            self.is_today &= refused.is_today;
        }
    }

    fn when(&self) -> &'static str {
        if self.is_today { "; production refuses it today already" } else { "" }
    }
}

impl Verdict<'_> {
    fn write(&self, findings: &mut Vec<Finding>) {
        let mut sources = Sources::default();
        for lack in self.broken.values() {
            findings.push(query_broken(lack, &mut sources));
        }
        for (object, lack) in &self.lacks {
            findings.push(missing_grant(object, lack, &mut sources));
        }
    }
}

fn missing_grant(object: &Object, lack: &Lack<'_>, sources: &mut Sources) -> Finding {
    let Object { kind, name, owner, grantee } = object;
    let (file, line, queries) = places(&lack.queries, sources);
    let statement = grants::statements(&lack.grants).join("; ");
    let rights = statement.trim_start_matches("GRANT ").split(" ON ").next().unwrap_or_default();
    let what = format!("`{grantee}` lacks {rights} on {} `{name}`, needed by {queries}", kind.to_lowercase());
    let means = format!("every such query is refused with SQLSTATE 42501, from the first one{}", lack.when());
    Finding::new(&codes::MISSING_GRANT, what)
        .at(file, line)
        .means(means)
        .fix(format!("{statement}; -- in a migration that `{owner}` runs, who owns it"))
}

fn query_broken(lack: &Lack<'_>, sources: &mut Sources) -> Finding {
    let refusal = &lack.refusal;
    let (file, line, queries) = places(&lack.queries, sources);
    let role = lack.queries.first().map_or("", |it| it.role.as_str());
    let what = format!("refused to `{role}`: {refusal}: {queries}");
    let means = format!("the query fails whenever it is sent, whatever its parameters{}", lack.when());
    Finding::new(&codes::QUERY_BROKEN, what).at(file, line).means(means).fix(repair(refusal, role))
}

fn repair(refusal: &Refusal, role: &str) -> String {
    if refusal.asks_for_owner() {
        return format!(
            "no grant helps: let a function of the owner's do it (`SECURITY DEFINER`, with its `search_path` set), which `{role}` \
             may execute"
        );
    }
    match refusal.sqlstate.as_str() {
        "23502" => "let the query fill the column, or give the column a default in a migration".into(),
        "42501" => format!("do without it: no grant gives `{role}` what it asks for"),
        "42704" if refusal.message.starts_with("unrecognized configuration parameter") => {
            "correct the setting's name, or let the query read it with `current_setting(NAME, true)`".into()
        }
        _ => "write the query for the schema that the migrations leave, or let a migration make what it asks for; then \
              `cargo sqlx prepare`"
            .into(),
    }
}

fn unreadable(file: &str, because: &str) -> Finding {
    Finding::new(&codes::QUERY_BROKEN, format!("this is no prepared query: {because}"))
        .at(file, 1)
        .means("nobody knows whether the query would work, and a build without a database stops here")
        .fix("cargo sqlx prepare --workspace")
}

/// Where the first query stands, and all of them in words.
fn places(queries: &[&Query], sources: &mut Sources) -> (String, u32, String) {
    let mut places: Vec<(String, u32, &Query)> = Vec::new();
    for query in queries {
        let (file, line) = sources.place(query);
        places.push((file, line, query));
    }
    // Sources before files of `.sqlx`.
    places.sort_by_key(|(file, line, _)| (file.ends_with(".json"), file.clone(), *line));
    let Some((file, line, query)) = places.first() else { return (String::new(), 1, String::new()) };
    let others: Vec<String> =
        places[1..].iter().take(4).map(|(file, line, _)| format!("{file}:{line}")).collect();
    let rest = places.len().saturating_sub(1 + others.len());
    let mut words = format!("`{}`", query.excerpt());
    if !others.is_empty() {
        words += &format!(", and {}", others.join(", "));
    }
    if rest > 0 {
        words += &format!(" and {rest} more");
    }
    (file.clone(), *line, words)
}
