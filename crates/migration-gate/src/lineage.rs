//! What the base branch and the releases hold of the same migrations, as git tells.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::{
    document::Document,
    error::Error,
    files,
    git::{Blob, Repository},
    ledger::Ledger,
    project::Settings,
};

/// Empty where nobody asked for base or releases.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    pub(crate) base: Option<Base>,
    /// What releases shipped, by version, the variant of the newest release last.
    pub(crate) releases: BTreeMap<i64, Vec<Shipped>>,
    /// What people should know of it.
    pub(crate) notes: Vec<String>,
}

/// The branch that this tree will be merged into.
#[derive(Debug)]
pub(crate) struct Base {
    /// As the user said it.
    pub(crate) revision: String,
    /// What it holds now.
    pub(crate) tip: Vec<Past>,
    /// What it held where this tree's branch began.
    pub(crate) fork: Vec<Past>,
    pub(crate) ledger: Option<Ledger>,
}

/// An up as another revision has it.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) file_name: String,
    pub(crate) bytes: Arc<[u8]>,
}

/// An up as releases shipped it.
#[derive(Debug)]
pub(crate) struct Shipped {
    pub(crate) up: Past,
    /// The first tag that has it so.
    pub(crate) tag: String,
    /// The place of the last tag that has it so, among all tags.
    last: usize,
}

impl Lineage {
    /// Asks git for what the settings name.
    ///
    /// # Errors
    /// When git cannot tell, or the base's ledger is malformed.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Error> {
        let mut lineage = Self::default();
        if settings.base.is_none() && settings.release_tags.is_none() {
            return Ok(lineage);
        }
        let repository = Repository::around(&settings.migrations)?;
        if let Some(revision) = &settings.base {
            let base = Base::read(&repository, revision, settings)?;
            if base.tip.is_empty() {
                let directory = settings.migrations.display();
                lineage
                    .notes
                    .push(format!("`{revision}` has no migrations in `{directory}` to compare with"));
            }
            lineage.base = Some(base);
        }
        if let Some(pattern) = &settings.release_tags {
            lineage.add_releases(&repository, pattern, &settings.migrations)?;
        }
        Ok(lineage)
    }

    /// Every version that the base or a release has.
    pub(crate) fn versions(&self) -> impl Iterator<Item = i64> {
        let base = self.base.iter().flat_map(|base| &base.tip).map(|up| up.version);
        base.chain(self.releases.keys().copied())
    }

    fn add_releases(
        &mut self,
        repository: &Repository,
        pattern: &str,
        directory: &Path,
    ) -> Result<(), Error> {
        let tags = repository.tags(pattern)?;
        let names: Vec<String> = tags.iter().map(|tag| format!("refs/tags/{tag}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let files = repository.files_of_each(&names, directory)?;
        for (place, (tag, blobs)) in tags.iter().zip(files).enumerate() {
            for up in ups(blobs) {
                let variants = self.releases.entry(up.version).or_default();
                let known = |it: &&mut Shipped| it.up.bytes == up.bytes && it.up.name == up.name;
                match variants.iter_mut().find(known) {
                    Some(variant) => variant.last = place,
                    None => variants.push(Shipped { up, tag: tag.clone(), last: place }),
                }
            }
        }
        self.releases.values_mut().for_each(|variants| variants.sort_by_key(|it| it.last));
        Ok(())
    }
}

impl Base {
    fn read(repository: &Repository, revision: &str, settings: &Settings) -> Result<Self, Error> {
        let tip = repository.commit(revision)?;
        let fork = repository.merge_base("HEAD", &tip)?;
        let at = |commit: &str| Ok::<_, Error>(ups(repository.files(commit, &settings.migrations)?));
        let ledger = match &settings.ledger {
            Some(path) => repository.file(&tip, path)?.map(|bytes| {
                let name = format!("{revision}:{}", path.display());
                Ledger::parse(&Document::new(String::from_utf8_lossy(&bytes), name))
            }),
            None => None,
        };
        Ok(Self {
            revision: revision.into(),
            fork: fork.map(|commit| at(&commit)).transpose()?.unwrap_or_default(),
            tip: at(&tip)?,
            ledger: ledger.transpose()?,
        })
    }

    /// What it held in the slot of `version` where this tree's branch began.
    pub(crate) fn at_fork(&self, version: i64) -> impl Iterator<Item = &Past> {
        self.fork.iter().filter(move |it| it.version == version)
    }
}

/// The ups among the files of a directory; what lies in a folder is none.
fn ups(blobs: Vec<Blob>) -> Vec<Past> {
    let up = |blob: Blob| {
        let (slot, name, kind) = files::parts(&blob.path)?;
        let version = slot.parse().ok()?;
        (kind.is_up() && !blob.path.contains('/')).then(|| Past {
            version,
            name: name.into(),
            file_name: blob.path.clone(),
            bytes: blob.bytes.clone(),
        })
    };
    blobs.into_iter().filter_map(up).collect()
}
