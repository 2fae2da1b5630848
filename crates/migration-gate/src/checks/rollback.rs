//! `rollback-…`: would the last release still work on the schema that the pending migrations leave?

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Report,
    bench::Trials,
    codes,
    error::Error,
    finding::Finding,
    plan::Step,
    queries::Query,
    release::{Release, Released},
    rollback::{Issue, View, issues, new_restrictions},
    statements,
    target::Target,
    upgrade::{Logins, Scene},
};

/// The database in which the migration at fault is looked for.
const SUFFIX: &str = "culprit";

/// An issue, the queries that it strikes by their places, and the place of the migration that brings it.
#[derive(Debug)]
struct Found {
    issue: Issue,
    queries: Vec<usize>,
    /// Whether only the queries' own answers tell where it comes from.
    asks: bool,
    culprit: Option<usize>,
}

/// By code and words: several queries may have the same issue.
type AllFound = BTreeMap<(&'static str, String), Found>;

/// Compares what the release's queries say to production's schema, `before`, and to the new one, where it is `known` what
/// comes of some.
pub(crate) async fn judge(
    scene: &Scene<'_>,
    before: Option<&Target>,
    known: &Trials,
    report: &mut Report,
) -> Result<(), Error> {
    let release = match &scene.project.released {
        Released::Release(release) => release,
        Released::Nothing(note) => {
            report.notes.push(note.clone());
            return Ok(());
        }
        Released::NotAsked => return Ok(()),
    };
    report.findings.extend(unjudged(release));
    let steps = &scene.plan.pending;
    // Where nothing is pending, a rollback changes nothing but the code; what came with the release is no fault of what
    // comes after it.
    let Some(before) = before.filter(|_| !steps.iter().all(|it| release.ships(it))) else { return Ok(()) };
    let queries: Vec<&Query> = release.sent.queries.iter().collect();
    let settings = &scene.project.settings.session;
    let describe_new = async {
        let mut view = View::of(scene.target, &queries, settings, known, |_| true).await?;
        view.describe(scene.target, &queries, settings, |_| true).await?;
        Ok(view)
    };
    let nothing = Trials::default();
    let try_old = View::of(before, &queries, settings, &nothing, |_| true);
    let (mut old, new) = tokio::try_join!(try_old, describe_new)?;
    // What is as the release was compiled needs no second look.
    let is_other = |place: usize| {
        new.answers[place].shape.as_ref().is_some_and(|it| !it.is_same_as(&queries[place].shape))
    };
    old.describe(before, &queries, settings, is_other).await?;
    let compared = Compared { release, queries, old, is_production: is_production(scene, release) };
    report.notes.extend(compared.refused_today(&new));
    let mut found = compared.with(&new);
    if steps.len() == 1 && compared.is_production {
        found.values_mut().for_each(|it| it.culprit = Some(0));
    } else if !found.is_empty() {
        let copy = before.copy(SUFFIX).await?;
        let outcome = compared.find_culprits(&Scene { target: &copy, ..*scene }, &mut found).await;
        copy.remove().await?;
        outcome?;
    }
    // What was so all along, or came with the release itself, is no fault of what comes after it.
    found.retain(|_, it| it.culprit.is_some_and(|place| !release.ships(&steps[place])));
    report.findings.extend(found.values().map(|it| finding(release, &compared.queries, it, steps)));
    Ok(())
}

/// Whether the schema before the pending migrations is what the release ran on.
///
/// Without a ledger nobody knows what production is, and a ledger may be older than the release: then the release's own
/// descriptions say what worked.
fn is_production(scene: &Scene<'_>, release: &Release) -> bool {
    !scene.plan.applied.is_empty() && !scene.plan.pending.iter().any(|it| release.ships(it))
}

/// What the release's queries said before.
struct Compared<'r> {
    release: &'r Release,
    queries: Vec<&'r Query>,
    old: View,
    is_production: bool,
}

impl Compared<'_> {
    /// Every issue that `new` has and the old schema has not.
    fn with(&self, new: &View) -> AllFound {
        let mut found = AllFound::new();
        let mut add = |issue: Issue, index: usize, asks: bool| {
            let key = (issue.code.name, issue.what.clone());
            let empty = || Found { issue, queries: Vec::new(), asks, culprit: None };
            let found = found.entry(key).or_insert_with(empty);
            found.queries.push(index);
            found.asks |= asks;
        };
        for (index, query) in self.queries.iter().enumerate() {
            let old = self.is_production.then(|| &self.old.answers[index]);
            for issue in issues(query, old, new, &new.answers[index]) {
                add(issue, index, true);
            }
        }
        let writers = if self.is_production { &self.old.answers } else { &new.answers };
        for (restriction, issue) in new_restrictions(&self.old, new, writers) {
            let writes =
                |it: &usize| writers[*it].writes.iter().any(|write| write.table == restriction.table);
            let asks = !self.is_production || restriction.definition == "NOT NULL";
            (0..self.queries.len()).filter(writes).for_each(|index| add(issue.clone(), index, asks));
        }
        found
    }

    /// Applies what is pending one by one, to see which migration brings what.
    async fn find_culprits(&self, scene: &Scene<'_>, found: &mut AllFound) -> Result<(), Error> {
        let struck: BTreeSet<usize> = found.values().flat_map(|it| it.queries.iter().copied()).collect();
        let fewer = Compared {
            queries: struck.iter().map(|it| self.queries[*it]).collect(),
            old: View {
                answers: struck.iter().map(|it| self.old.answers[*it].clone()).collect(),
                ..self.old.clone()
            },
            ..*self
        };
        let struck: Vec<usize> = struck.into_iter().collect();
        // What a table refuses is read from it, whatever its writers say.
        let asked: BTreeSet<usize> =
            found.values().filter(|it| it.asks).flat_map(|it| it.queries.iter().copied()).collect();
        let is_asked = |place: usize| asked.contains(&struck[place]);
        let nothing = Trials::default();
        let at_first = if self.is_production { AllFound::new() } else { fewer.with(&fewer.old) };
        let mut absent: BTreeSet<_> = found
            .iter()
            .filter(|(key, it)| !is_among(key, it, &at_first, &struck))
            .map(|(key, _)| key.clone())
            .collect();
        let mut logins = Logins::new(scene);
        for (place, step) in scene.plan.pending.iter().enumerate() {
            if logins.apply(step).await?.is_some() {
                break;
            }
            let settings = &scene.project.settings.session;
            let mut view = View::of(scene.target, &fewer.queries, settings, &nothing, is_asked).await?;
            view.describe(scene.target, &fewer.queries, settings, is_asked).await?;
            let now = fewer.with(&view);
            for (key, found) in found.iter_mut() {
                if !is_among(key, found, &now, &struck) {
                    found.culprit = None;
                    absent.insert(key.clone());
                } else if absent.remove(key) {
                    found.culprit = Some(place);
                }
            }
        }
        logins.close().await;
        Ok(())
    }

    /// Queries that production's schema refuses as the new one does say nothing about the migrations.
    fn refused_today(&self, new: &View) -> Option<String> {
        let both = self.old.answers.iter().zip(&new.answers).filter(|_| self.is_production);
        let refused: Vec<_> = both
            .filter(|(_, new)| new.refusal.is_some())
            .filter_map(|(old, _)| old.refusal.as_ref())
            .collect();
        let first = refused.first()?;
        Some(format!(
            "{} of the {} queries of `{}` are refused by what production is already, such as with: {first}",
            refused.len(),
            self.queries.len(),
            self.release.tag
        ))
    }
}

/// Whether `found` is there too, if in other words; `struck` are the places of the queries that `there` knows.
fn is_among(key: &(&'static str, String), found: &Found, there: &AllFound, struck: &[usize]) -> bool {
    let is_it = |other: &Found| {
        other.issue.code == found.issue.code
            && other.queries.iter().any(|it| found.queries.contains(&struck[*it]))
    };
    there.contains_key(key) || !found.issue.only_warns && there.values().any(is_it)
}

fn finding(release: &Release, queries: &[&Query], found: &Found, steps: &[Step<'_>]) -> Finding {
    let Found { issue, queries: struck, culprit, .. } = found;
    let tag = &release.tag;
    let first = struck.first().map(|it| queries[*it]);
    let (excerpt, file) = first.map(|it| (it.excerpt(), it.file.as_str())).unwrap_or_default();
    let more = match struck.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!("{}: `{excerpt}`{more} of `{tag}` ({file})", issue.what);
    let means =
        format!("after a rollback to `{tag}`, and while both run during the roll-out: {}", issue.consequence);
    let place = culprit.and_then(|it| steps.get(it)).map(|step| (step, line(step, &what)));
    let finding = Finding::new(issue.code, what).means(means).fix(&issue.fix);
    let finding = if issue.only_warns { finding.only_warns() } else { finding };
    match place {
        Some((step, line)) => finding.at(&step.up.path, line),
        None => finding,
    }
}

/// The line of the statement that has most of the words of `what`.
fn line(step: &Step<'_>, what: &str) -> u32 {
    let words: Vec<String> = what
        .split(|it: char| !(it.is_alphanumeric() || it == '_'))
        .filter(|it| it.len() > 1)
        .map(str::to_lowercase)
        .collect();
    let mut best = (0, 1);
    for statement in statements::split(step.up.sql().unwrap_or_default()) {
        let text = statement.text.to_lowercase();
        let has = |word: &&String| {
            text.split(|it: char| !(it.is_alphanumeric() || it == '_')).any(|it| it == *word)
        };
        let score = words.iter().filter(has).count();
        if score > best.0 {
            best = (score, statement.line);
        }
    }
    best.1
}

/// What of the release cannot be judged.
fn unjudged(release: &Release) -> Vec<Finding> {
    let tag = &release.tag;
    let means = "nobody knows whether a rollback to it would still work";
    if release.sent.is_empty() {
        let what = format!("release `{tag}` has no prepared queries (`.sqlx/query-*.json`) in its git tag");
        let mut finding = Finding::new(&codes::NOT_JUDGED, what).means(means).fix(
            "commit what `cargo sqlx prepare` writes, so that the next release has it; name another release with `--release TAG`",
        );
        // Who names a release wants it judged.
        finding.level = if release.is_named { codes::Level::Error } else { codes::Level::Warning };
        return vec![finding];
    }
    let unreadable = |(file, because): &(String, String)| {
        let what = format!("`{file}` of release `{tag}` is no prepared query: {because}");
        let finding = Finding::new(&codes::NOT_JUDGED, what).means(means);
        finding.fix("see that `cargo sqlx prepare` has written what the next release commits").only_warns()
    };
    release.sent.broken.iter().map(unreadable).collect()
}
