//! What refers to a manifest: by the referrers API, or by the tag that stands in for it on older registries.

use std::collections::BTreeMap;

use hyper::header::HeaderName;
use serde::{Deserialize, Serialize};

use super::{Descriptor, Manifest, OCI_INDEX, Registry, RegistryError, transport::strange};
use crate::{
    digest::Digest,
    reference::{At, Repository, Tag},
};

/// The content of a blob that says nothing.
pub const EMPTY: &[u8] = b"{}";
/// Its type.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The registry says that it keeps account of what refers to a manifest.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// How often a list that somebody else changed in between is written again.
const CONTESTED_MAX: usize = 5;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: Option<String>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Registry {
    /// The manifests that refer to this one, of one type where one is given: by the referrers API, else by its tag.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let what = format!("list what refers to `{}`", repository.at_digest(digest));
        let mut patience = self.patience(repository, what, 0);
        let answer = self.document(&mut patience, repository, &format!("referrers/{digest}")).await;
        // Without the API there is no such page, or no such method.
        let answer = match answer {
            Err(RegistryError::Refused { status: 405 | 501, .. }) => None,
            answer => answer?,
        };
        let mut found = match answer.map(|it| serde_json::from_slice::<Index>(&it.body)) {
            Some(Ok(index)) => index.manifests,
            Some(Err(error)) => {
                return Err(strange(repository.registry(), format!("its list of referrers: {error}")));
            }
            None => self.listed(repository, digest).await?,
        };
        found.retain(|it| artifact_type.is_none_or(|wanted| it.artifact_type.as_deref() == Some(wanted)));
        Ok(found)
    }

    /// Stores a manifest that refers to `subject`, and sees to it that it is found from there.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub async fn put_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        manifest: &Manifest,
        listed_as: Descriptor,
    ) -> Result<Digest, RegistryError> {
        let digest = manifest.digest();
        let answer = self.put(repository, &At::Digest(digest.clone()), manifest).await?;
        if !answer.contains_key(OCI_SUBJECT) {
            self.list(repository, subject, listed_as).await?;
        }
        Ok(digest)
    }

    /// Adds to the list behind the tag. Registries cannot compare and swap: it is read back, and added again where
    /// another writer was faster.
    async fn list(
        &self,
        repository: &Repository,
        subject: &Digest,
        entry: Descriptor,
    ) -> Result<(), RegistryError> {
        let tag = Tag::of_digest(subject, "");
        for _ in 0..CONTESTED_MAX {
            let mut manifests = self.listed(repository, subject).await?;
            if manifests.iter().any(|it| it.digest == entry.digest) {
                return Ok(());
            }
            manifests.push(entry.clone());
            let (media_type, annotations) = (Some(OCI_INDEX.to_owned()), BTreeMap::new());
            let index = Index { schema_version: 2, media_type, manifests, annotations };
            let bytes = serde_json::to_vec(&index).unwrap_or_default().into();
            let manifest = Manifest { media_type: OCI_INDEX.to_owned(), bytes };
            self.put_manifest(repository, &At::Tag(tag.clone()), &manifest).await?;
        }
        Err(strange(repository.registry(), format!("the tag `{tag}` does not keep what is stored under it")))
    }

    async fn listed(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let tag = Tag::of_digest(subject, "");
        let Some(manifest) = self.manifest(repository, &At::Tag(tag.clone())).await? else {
            return Ok(Vec::new());
        };
        let index: Index = serde_json::from_slice(&manifest.bytes).map_err(|error| {
            strange(repository.registry(), format!("what is tagged `{tag}` is no list of referrers: {error}"))
        })?;
        Ok(index.manifests)
    }
}
