//! `owner-drift`: what is pending makes one schema as the deployer, another one where the deployer owns everything.

use std::collections::BTreeSet;

use sqlx::Connection as _;

use crate::{
    Report,
    catalog::{self, Catalog, Difference, Reader, Sides},
    codes,
    error::Error,
    finding::Finding,
    hand_over::hand_over,
    origins::Origins,
    plan::Step,
    project::Policy,
    target::{Target, lost},
    upgrade::Scene,
    walk::Walk,
};

const DEPLOYERS: Sides = Sides { after: "as the deployer" };
/// Other findings that tell the same of the same file, and tell why.
const SAID_ALREADY: &[&str] = &["swallowed-error", "grant-ignored", "role-escape", "framing"];

/// Runs what is pending once more, and where the end differs, step by step.
pub(crate) async fn judge(scene: &Scene<'_>, origins: &Origins, report: &mut Report) -> Result<(), Error> {
    let Some(production) = &origins.production else { return Ok(()) };
    let Some(new_owner) = new_owner(scene).await? else { return Ok(()) };
    let target = scene.target.beside("owned");
    let mut owned = Owned::begin(scene, production, &target, &new_owner).await?;
    for step in &scene.plan.pending {
        if !owned.apply(step, report).await? {
            return owned.walk.end().await;
        }
    }
    let end = owned.walk.catalog().await?;
    let mut reader = Reader::of(scene.target).await?;
    let as_deployer = reader.read().await?;
    reader.close().await;
    let is_same = drift(&owned.owners, &end, &as_deployer).is_empty();
    owned.walk.end().await?;
    if is_same {
        return Ok(());
    }
    step_by_step(scene, production, &new_owner, report).await
}

/// Finds the files that make the difference.
async fn step_by_step(
    scene: &Scene<'_>,
    production: &Target,
    new_owner: &str,
    report: &mut Report,
) -> Result<(), Error> {
    let (target, other) = (scene.target.beside("owned"), scene.target.beside("deployed"));
    let mut owned = Owned::begin(scene, production, &target, new_owner).await?;
    let mut deployed = Walk::begin(scene, production, &other).await?;
    let mut known = Vec::new();
    for step in &scene.plan.pending {
        if !owned.apply(step, report).await? || deployed.apply(step).await?.is_some() {
            break;
        }
        let drift = drift(&owned.owners, &owned.walk.catalog().await?, &deployed.catalog().await?);
        let new: Vec<Difference> = drift.iter().filter(|it| !known.contains(*it)).cloned().collect();
        let is_said = report
            .findings
            .iter()
            .any(|it| it.file.as_ref() == Some(&step.up.path) && SAID_ALREADY.contains(&it.code));
        if !new.is_empty() && !is_said {
            report.findings.push(finding(scene, step, &new));
        }
        known = drift;
    }
    owned.walk.end().await?;
    deployed.end().await
}

/// A copy in which one role owns everything.
#[derive(Debug)]
struct Owned<'s> {
    walk: Walk<'s>,
    target: &'s Target,
    new_owner: String,
    /// Who owned something before.
    owners: BTreeSet<String>,
}

impl<'s> Owned<'s> {
    async fn begin(
        scene: &'s Scene<'s>,
        production: &'s Target,
        target: &'s Target,
        new_owner: &str,
    ) -> Result<Self, Error> {
        let mut walk = Walk::begin(scene, production, target).await?;
        let mut owners = walk.catalog().await?.owners();
        owners.extend([scene.project.roles.owner.clone(), scene.project.roles.deployer.clone()]);
        let owned = Self { walk, target, new_owner: new_owner.into(), owners };
        owned.hand_over().await?;
        Ok(owned)
    }

    /// Whether it was accepted, which everybody is who owns what he alters.
    async fn apply(&mut self, step: &Step<'_>, report: &mut Report) -> Result<bool, Error> {
        if let Some(refusal) = self.walk.apply(step).await? {
            report.notes.push(format!(
                "whether the schema depends on who runs `{}` is not judged: a role that owns everything is refused there: {refusal}",
                step.up.path
            ));
            return Ok(false);
        }
        Ok(true)
    }

    async fn hand_over(&self) -> Result<(), Error> {
        let mut admin = self.target.admin().await?;
        hand_over(&mut admin, None, &self.new_owner).await?;
        drop(admin.close().await);
        Ok(())
    }
}

/// Who is to own everything: the owner where the deployer is it or has all its rights anyway, else the deployer. Nobody where
/// the deployer has to turn into the owner first: then it has rights in parts of a file only.
async fn new_owner(scene: &Scene<'_>) -> Result<Option<String>, Error> {
    let roles = &scene.project.roles;
    if scene.project.settings.policy == Policy::SetRole {
        return Ok(Some(roles.owner.clone()));
    }
    let mut admin = scene.target.admin().await?;
    let (inherits, may_become): (bool, bool) =
        sqlx::query_as("SELECT pg_has_role($1, $2, 'USAGE'), pg_has_role($1, $2, 'MEMBER')")
            .bind(&roles.deployer)
            .bind(&roles.owner)
            .fetch_one(&mut admin)
            .await
            .map_err(|error| lost("asking who is a member of whom", &error))?;
    drop(admin.close().await);
    Ok(match (inherits, may_become) {
        (true, _) => Some(roles.owner.clone()),
        (false, true) => None,
        (false, false) => Some(roles.deployer.clone()),
    })
}

/// Who owns what, and what owners may do, differs by design.
fn drift(owners: &BTreeSet<String>, owned: &Catalog, deployed: &Catalog) -> Vec<Difference> {
    let of_owners = |aspect: &str| {
        let rights = aspect.strip_prefix("rights of ").and_then(|role| role.split(" on ").next());
        aspect == "owner" || rights.is_some_and(|role| owners.contains(role))
    };
    let mut drift = owned.difference(deployed);
    drift.retain(|it| !of_owners(&it.aspect));
    drift
}

fn finding(scene: &Scene<'_>, step: &Step<'_>, drift: &[Difference]) -> Finding {
    let deployer = &scene.project.roles.deployer;
    let what = format!(
        "run by `{deployer}` this makes another schema than run by who owns everything: {}",
        catalog::told(drift, &DEPLOYERS)
    );
    Finding::new(&codes::OWNER_DRIFT, what)
        .at(&step.up.path, drift.iter().find_map(|it| it.line_in(step.up)).unwrap_or(1))
        .means("the deployment is green, and production silently lacks what every test has")
        .fix(format!(
            "do not ask for rights in a migration: let it fail where `{deployer}` lacks them, and grant them before it"
        ))
}
