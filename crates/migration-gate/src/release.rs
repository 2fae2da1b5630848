//! The release that production would be rolled back to, and the queries that it sends.

use std::collections::BTreeSet;

use crate::{error::Error, git::Repository, plan::Step, project::Settings, queries::QuerySet};

/// A release, as its git tag has it.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) tag: String,
    /// Whether the user has named it; the newest tag is only assumed to be it.
    pub(crate) is_named: bool,
    pub(crate) sent: QuerySet,
    /// The names of the migrations that it shipped.
    migrations: BTreeSet<String>,
}

/// What a project has released.
#[derive(Debug)]
pub(crate) enum Released {
    Release(Release),
    /// There is nothing to roll back to, and why.
    Nothing(String),
    /// The project has no prepared queries, now or ever.
    NotAsked,
}

impl Released {
    /// Finds the release and reads its queries.
    ///
    /// # Errors
    /// When a named tag does not exist, or git cannot tell.
    pub(crate) fn read(settings: &Settings, app: &str) -> Result<Self, Error> {
        let Settings { release, release_tags, queries, migrations, .. } = settings;
        if release.is_none() && queries.is_empty() {
            return Ok(Self::NotAsked);
        }
        if release.is_none() && release_tags.is_none() {
            return Ok(Self::Nothing(
                "whether the last release would still work was not judged: `--release TAG` names it, or `--release-tags 'v*'` \
                 finds it"
                    .into(),
            ));
        }
        let repository = Repository::around(migrations)?;
        let found = match (release, release_tags) {
            (None, Some(pattern)) => repository.last_release(pattern)?,
            (named, _) => named.clone(),
        };
        let Some(tag) = found else {
            let pattern = release_tags.as_deref().unwrap_or_default();
            return Ok(Self::Nothing(format!(
                "no tag like `{pattern}` comes before this commit: nothing was released that production could go back to"
            )));
        };
        let sent = QuerySet::at(&repository, &tag, queries, app)?;
        let shipped = repository.files(&tag, migrations)?.into_iter().map(|it| it.path).collect();
        Ok(Self::Release(Release { tag, is_named: release.is_some(), sent, migrations: shipped }))
    }
}

impl Release {
    /// Whether the release came with the migration and was made for what it leaves.
    pub(crate) fn ships(&self, step: &Step<'_>) -> bool {
        self.migrations.contains(&step.up.file_name())
    }
}
