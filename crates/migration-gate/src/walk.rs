//! A walk through migrations in a copy of the database, with a look at the catalog wherever somebody needs one.

use sqlx::PgConnection;

use crate::{
    catalog::{Catalog, Difference, Reader},
    error::Error,
    files::MigrationFile,
    plan::Step,
    refusal::Refusal,
    session::Session,
    target::Target,
    upgrade::Scene,
};

/// The session beside the deployment's must not wait for ever for what that one holds.
const SETTINGS: &[(&str, &str)] = &[("lock_timeout", "10s")];

/// A database on its way from an origin.
#[derive(Debug)]
pub(crate) struct Walk<'s> {
    scene: &'s Scene<'s>,
    origin: &'s Target,
    target: &'s Target,
    reader: Option<Reader>,
    deployment: Option<Session<'s>>,
}

/// A migration, and what it changed in the catalog.
#[derive(Debug)]
pub(crate) struct Made<'p> {
    pub(crate) step: Step<'p>,
    pub(crate) differences: Vec<Difference>,
}

impl<'s> Walk<'s> {
    /// Begins in a copy of `origin`, which [`Self::end`] takes away.
    pub(crate) async fn begin(
        scene: &'s Scene<'s>,
        origin: &'s Target,
        target: &'s Target,
    ) -> Result<Self, Error> {
        origin.copy_to(target).await?;
        let reader = Some(Reader::of(target).await?);
        Ok(Self { scene, origin, target, reader, deployment: None })
    }

    /// What the database holds now.
    pub(crate) async fn catalog(&mut self) -> Result<Catalog, Error> {
        match &mut self.reader {
            Some(reader) => reader.read().await,
            None => self.reader.insert(Reader::of(self.target).await?).read().await,
        }
    }

    /// Applies `step` as the role that it names: what is pending in one session, as one deployment does; of what
    /// production has, each in a session of its own.
    pub(crate) async fn apply(&mut self, step: &Step<'_>) -> Result<Option<Refusal>, Error> {
        let role = self.scene.project.role(step.role);
        let is_pending = self.is_pending(step);
        let session = match self.deployment.take() {
            Some(session) if session.role == role => {
                let session = self.deployment.insert(session);
                if !is_pending {
                    session.forget().await?;
                }
                session
            }
            other => {
                if let Some(session) = other {
                    session.close().await;
                }
                let session = self.deployment.insert(self.target.login(role).await?);
                if let Some(refusal) = session.open_ledger().await? {
                    return Ok(Some(refusal));
                }
                session
            }
        };
        session.apply(step.up).await
    }

    pub(crate) fn is_pending(&self, step: &Step<'_>) -> bool {
        self.scene.plan.pending.iter().any(|it| it.up.version == step.up.version)
    }

    /// The line of `file`, just refused, that is at fault.
    pub(crate) async fn line_of(&mut self, refusal: &Refusal, file: &MigrationFile) -> u32 {
        match &mut self.deployment {
            Some(session) => session.line_of(refusal, file).await,
            None => 1,
        }
    }

    /// Another login of the role that `step` names, as somebody has who takes it back.
    pub(crate) async fn beside(&self, step: &Step<'_>) -> Result<Session<'s>, Error> {
        self.target.login_with(self.scene.project.role(step.role), SETTINGS).await
    }

    /// The ledger of migrations, as the project calls it.
    pub(crate) fn ledger(&self) -> &str {
        &self.target.ledger
    }

    /// A superuser's connection to the database.
    pub(crate) async fn admin(&self) -> Result<PgConnection, Error> {
        self.target.admin().await
    }

    /// Goes back to the origin and through `steps` again, all of which have been accepted before.
    pub(crate) async fn begin_again(&mut self, steps: &[Step<'_>]) -> Result<(), Error> {
        self.leave().await;
        self.target.remove().await?;
        self.origin.copy_to(self.target).await?;
        for step in steps {
            self.apply(step).await?;
        }
        Ok(())
    }

    /// Takes the database away.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.leave().await;
        self.target.remove().await
    }

    async fn leave(&mut self) {
        if let Some(session) = self.deployment.take() {
            session.close().await;
        }
        if let Some(reader) = self.reader.take() {
            reader.close().await;
        }
    }
}
