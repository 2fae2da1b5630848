//! What production went through and what it is about to: the ledger replayed role by role, then what is pending.

use crate::{
    checks::{
        self, apply,
        no_lock_timeout::{self, Unguarded},
        not_judged, role_escape, swallowed_error,
    },
    codes,
    conduct::TALKATIVE,
    error::Error,
    finding::Finding,
    plan::{Plan, Step},
    project::Project,
    refusal::Refusal,
    session::Session,
    target::Target,
};

/// Everything that a check which executes needs.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) target: &'a Target,
    pub(crate) project: &'a Project,
    pub(crate) plan: &'a Plan<'a>,
}

/// Whether the schema is where the next check needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    End,
    /// A migration was refused; what comes after it has been reported as not judged.
    Fault,
}

/// What is done with each pending migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Up, and how it behaves.
    Judge,
    /// Up.
    Apply,
}

/// Brings the schema to where production is.
///
/// Entries that the database already has are passed over, as sqlx does.
pub(crate) async fn replay(
    scene: &Scene<'_>,
    recorded: &[i64],
    findings: &mut Vec<Finding>,
) -> Result<Reached, Error> {
    let mut logins = Logins::new(scene);
    let left: Vec<&Step<'_>> =
        scene.plan.applied.iter().filter(|step| !recorded.contains(&step.up.version)).collect();
    for (index, step) in left.iter().enumerate() {
        if let Some(refusal) = logins.apply(step).await? {
            let session = logins.session.as_mut();
            findings.push(apply::judge_replayed(scene, session, step, &refusal).await?);
            let later = left[index + 1..].iter().copied().chain(&scene.plan.pending);
            let files: Vec<String> = later.map(|it| it.up.file_name()).collect();
            findings.extend(not_judged::report(&files, &format!("`{}` was refused", step.up.file_name())));
            return Ok(Reached::Fault);
        }
    }
    logins.close().await;
    Ok(Reached::End)
}

/// Applies what is pending in one login of the deployer, as one deployment does.
pub(crate) async fn pending(
    scene: &Scene<'_>,
    recorded: &[i64],
    depth: Depth,
    findings: &mut Vec<Finding>,
) -> Result<Reached, Error> {
    let steps: Vec<&Step<'_>> =
        scene.plan.pending.iter().filter(|step| !recorded.contains(&step.up.version)).collect();
    if steps.is_empty() && scene.plan.applied.is_empty() {
        return Ok(Reached::End);
    }
    let role = &scene.project.roles.deployer;
    let talk = (depth == Depth::Judge && scene.project.has_handlers()).then_some(TALKATIVE);
    let mut session = scene.target.login_with(role, talk.as_slice()).await?;
    if let Some(refusal) = session.open_ledger().await? {
        findings.push(apply::judge_opening(scene, &refusal));
        findings.extend(not_judged::report(&names(&steps), "the deployer cannot open the ledger"));
        return Ok(Reached::Fault);
    }
    if depth == Depth::Judge {
        session.watch().await?;
    }
    let mut unguarded = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let rest = &steps[index + 1..];
        let applied = match depth {
            Depth::Judge => closely(scene, &mut session, step, findings).await?,
            Depth::Apply => session.apply(step.up).await?,
        };
        unguarded.extend(Unguarded::of(step.up, &session.conduct));
        let stop = match applied {
            Some(refusal) => {
                findings.push(apply::judge_pending(scene, &mut session, step, &refusal).await?);
                Some(format!("`{}` was refused", step.up.file_name()))
            }
            None => None,
        };
        if let Some(because) = stop {
            findings.extend(no_lock_timeout::report(&unguarded, role));
            findings.extend(not_judged::report(&names(rest), &because));
            return Ok(Reached::Fault);
        }
    }
    findings.extend(no_lock_timeout::report(&unguarded, role));
    session.close().await;
    Ok(Reached::End)
}

/// Applies a pending migration and judges how it behaves.
async fn closely(
    scene: &Scene<'_>,
    session: &mut Session<'_>,
    step: &Step<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Refusal>, Error> {
    let caught = swallowed_error::rehearse(session, step.up).await?;
    let escape = role_escape::inside(scene, session, step.up).await?;
    let refusal = session.apply(step.up).await?;
    let of_conduct = checks::of_conduct(scene.project, step.up, &session.conduct);
    // What is left behind says it all.
    let is_left = of_conduct.iter().any(|it| it.code == codes::ROLE_ESCAPE.name);
    findings.extend(escape.filter(|_| !is_left));
    findings.extend(of_conduct);
    if refusal.is_none() {
        findings.extend(swallowed_error::check(step.up, &session.role, &session.conduct, &caught));
        findings.extend(swallowed_error::notices(scene, step.up, &session.conduct).await?);
    }
    Ok(refusal)
}

/// The login in use; another role is another login, and each migration has a session of its own.
pub(crate) struct Logins<'s> {
    scene: &'s Scene<'s>,
    session: Option<Session<'s>>,
}

impl<'s> Logins<'s> {
    pub(crate) fn new(scene: &'s Scene<'s>) -> Self {
        Self { scene, session: None }
    }

    /// Applies `step` as the role that it names.
    pub(crate) async fn apply(&mut self, step: &Step<'_>) -> Result<Option<Refusal>, Error> {
        let role = self.scene.project.role(step.role);
        let session = match self.session.take() {
            Some(mut session) if session.role == role => {
                session.forget().await?;
                self.session.insert(session)
            }
            other => {
                if let Some(session) = other {
                    session.close().await;
                }
                let session = self.session.insert(self.scene.target.login(role).await?);
                if let Some(refusal) = session.open_ledger().await? {
                    return Ok(Some(refusal));
                }
                session
            }
        };
        session.apply(step.up).await
    }

    pub(crate) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

fn names(steps: &[&Step<'_>]) -> Vec<String> {
    steps.iter().map(|step| step.up.file_name()).collect()
}
