//! Manifests and tags: what is there, byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LINK},
};
use serde::Deserialize;

use super::{
    DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, MANIFEST_MAX, Manifest, OCI_INDEX, OCI_MANIFEST, Registry,
    RegistryError,
    auth::Action,
    patience::{Failure, Patience},
    transport::{Call, strange},
};
use crate::{
    digest::Digest,
    reference::{At, Repository, Tag},
};

/// The digest of what is served, as the registry says.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Bytes of one page of tags, and pages of a repository.
const PAGE_MAX: usize = 4 * 1024 * 1024;
const PAGES_MAX: usize = 1000;

/// What a registry answered, and it was a success.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Deserialize)]
struct Page {
    // Some registries say `null` for none.
    tags: Option<Vec<Tag>>,
}

impl Registry {
    /// Whether the registry answers and lets the credentials read this repository, without changing anything.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self, repository: &Repository) -> Result<(), RegistryError> {
        let mut patience = self.patience(repository, format!("ask for `{repository}`"), 0);
        loop {
            let uri = self.transport.absolute(repository.registry(), "/v2/")?;
            let call = Call::new(&patience.what, repository, Action::Pull, uri);
            match patience.attempt(self.transport.send(&call)).await {
                Ok(_) => return Ok(()),
                Err(failure) => patience.again(failure).await?,
            }
        }
    }

    /// What a tag names now, or whether a digest is there. Nothing where it is not.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub async fn resolve(
        &self,
        repository: &Repository,
        at: &At,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let mut patience = self.patience(repository, format!("look up `{}`", named(repository, at)), 0);
        let answer = self.ask(&mut patience, repository, at, Method::HEAD).await?;
        let Some(Answer { headers, .. }) = answer else { return Ok(None) };
        if let Some(descriptor) = described(&headers) {
            if let At::Digest(expected) = at
                && descriptor.digest != *expected
            {
                return Err(wrong(&patience, expected, &descriptor.digest));
            }
            return Ok(Some(descriptor));
        }
        // A registry may leave the digest out; the content tells it.
        Ok(self.manifest(repository, at).await?.map(|it| it.descriptor()))
    }

    /// A manifest. Bytes that are not the digest's are refused.
    ///
    /// # Errors
    /// When the registry refuses, does not answer, or serves something else.
    pub async fn manifest(
        &self,
        repository: &Repository,
        at: &At,
    ) -> Result<Option<Manifest>, RegistryError> {
        let mut patience = self.patience(repository, format!("read `{}`", named(repository, at)), 0);
        let answer = self.ask(&mut patience, repository, at, Method::GET).await?;
        let Some(Answer { headers, body: bytes }) = answer else { return Ok(None) };
        let found = Digest::of(&bytes);
        let expected = match at {
            At::Digest(digest) => Some(digest.clone()),
            At::Tag(_) => told_digest(&headers),
        };
        match expected.filter(|it| *it != found) {
            Some(expected) => Err(wrong(&patience, &expected, &found)),
            None => {
                Ok(Some(Manifest { media_type: media_type_of(text(&headers, &CONTENT_TYPE), &bytes), bytes }))
            }
        }
    }

    /// Stores a manifest, under its digest or under a tag, which it moves. Returns its digest.
    ///
    /// # Errors
    /// When the registry refuses, does not answer, or stored something else.
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        at: &At,
        manifest: &Manifest,
    ) -> Result<Digest, RegistryError> {
        self.put(repository, at, manifest).await.map(|_| manifest.digest())
    }

    /// Stores a manifest and returns what the registry answered.
    pub(super) async fn put(
        &self,
        repository: &Repository,
        at: &At,
        manifest: &Manifest,
    ) -> Result<HeaderMap, RegistryError> {
        let what = format!("store `{}`", named(repository, at));
        let mut patience = self.patience(repository, what, manifest.bytes.len() as u64);
        let uri = self.transport.uri(repository, &format!("manifests/{at}"))?;
        let answer = loop {
            let call = Call::new(&patience.what, repository, Action::Push, uri.clone())
                .method(Method::PUT)
                .header(CONTENT_TYPE, manifest.media_type.as_str())
                .body(manifest.bytes.clone());
            match patience.attempt(self.transport.send(&call)).await {
                Ok(answer) => break answer,
                Err(failure) => patience.again(failure).await?,
            }
        };
        let digest = manifest.digest();
        match told_digest(answer.headers()).filter(|it| *it != digest) {
            Some(found) => Err(wrong(&patience, &digest, &found)),
            None => Ok(answer.headers().clone()),
        }
    }

    /// Deletes a manifest and every tag that names it. `false` where there was none.
    ///
    /// # Errors
    /// When the registry refuses, which it does where deletion is not enabled, or does not answer.
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let at = At::Digest(digest.clone());
        let mut patience = self.patience(repository, format!("delete `{}`", named(repository, &at)), 0);
        Ok(self.ask(&mut patience, repository, &at, Method::DELETE).await?.is_some())
    }

    /// All tags of a repository, sorted; none where there is no such repository.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, RegistryError> {
        let mut patience = self.patience(repository, format!("list the tags of `{repository}`"), 0);
        let mut uri = self.transport.uri(repository, "tags/list?n=1000")?;
        let mut tags = Vec::new();
        for _ in 0..PAGES_MAX {
            let call = Call::new(&patience.what, repository, Action::Pull, uri.clone());
            let page = patience.attempt(async {
                let answer = self.transport.send(&call).await?;
                let next = next_page(answer.headers());
                Ok((next, self.transport.collect(&call, answer, PAGE_MAX).await?))
            });
            let (next, body) = match page.await {
                Ok(page) => page,
                Err(Failure::Final(RegistryError::NotFound { .. })) => return Ok(Vec::new()),
                Err(failure) => {
                    patience.again(failure).await?;
                    continue;
                }
            };
            let page: Page = serde_json::from_slice(&body)
                .map_err(|error| strange(repository.registry(), format!("its list of tags: {error}")))?;
            tags.extend(page.tags.unwrap_or_default());
            patience.progressed();
            let Some(next) = next else {
                tags.sort_unstable();
                tags.dedup();
                return Ok(tags);
            };
            uri = self.transport.absolute(repository.registry(), &next)?;
        }
        Err(strange(repository.registry(), format!("its list of tags has more than {PAGES_MAX} pages")))
    }

    /// Asks about a manifest until there is an answer; nothing where it is not there.
    async fn ask(
        &self,
        patience: &mut Patience<'_>,
        repository: &Repository,
        at: &At,
        method: Method,
    ) -> Result<Option<Answer>, RegistryError> {
        let what = patience.what.clone();
        let action = if method == Method::DELETE { Action::Delete } else { Action::Pull };
        let uri = self.transport.uri(repository, &format!("manifests/{at}"))?;
        let accepted = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
        let call = Call::new(&what, repository, action, uri).method(method).header(ACCEPT, accepted);
        self.answered(patience, &call, MANIFEST_MAX).await
    }

    /// A small document below the repository's path; nothing where the registry does not have it.
    pub(super) async fn document(
        &self,
        patience: &mut Patience<'_>,
        repository: &Repository,
        tail: &str,
    ) -> Result<Option<Answer>, RegistryError> {
        let what = patience.what.clone();
        let uri = self.transport.uri(repository, tail)?;
        let call = Call::new(&what, repository, Action::Pull, uri);
        self.answered(patience, &call, PAGE_MAX).await
    }

    /// The answer to a call, whole; nothing for a 404.
    async fn answered(
        &self,
        patience: &mut Patience<'_>,
        call: &Call<'_>,
        max: usize,
    ) -> Result<Option<Answer>, RegistryError> {
        loop {
            let tried = patience.attempt(async {
                let answer = self.transport.send(call).await?;
                let headers = answer.headers().clone();
                Ok(Answer { headers, body: self.transport.collect(call, answer, max).await? })
            });
            match tried.await {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failure::Final(RegistryError::NotFound { .. })) => return Ok(None),
                Err(failure) => patience.again(failure).await?,
            }
        }
    }
}

/// A manifest's name in messages.
fn named(repository: &Repository, at: &At) -> String {
    match at {
        At::Tag(tag) => repository.at_tag(tag).to_string(),
        At::Digest(digest) => repository.at_digest(digest).to_string(),
    }
}

fn wrong(patience: &Patience<'_>, expected: &Digest, found: &Digest) -> RegistryError {
    let (what, host) = (patience.what.clone(), patience.host.clone());
    RegistryError::WrongContent { what, host, expected: expected.clone(), found: found.to_string() }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn told_digest(headers: &HeaderMap) -> Option<Digest> {
    text(headers, &CONTENT_DIGEST)?.parse().ok()
}

fn described(headers: &HeaderMap) -> Option<Descriptor> {
    let digest = told_digest(headers)?;
    let size = text(headers, &CONTENT_LENGTH)?.parse().ok()?;
    let media_type = media_type_of(text(headers, &CONTENT_TYPE), b"");
    Some(Descriptor { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new() })
}

/// The type without parameters; where the registry does not say, what the manifest says of itself.
fn media_type_of(told: Option<String>, bytes: &[u8]) -> String {
    let told = told.map(|it| it.split(';').next().unwrap_or_default().trim().to_owned());
    let own = || {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        value.get("mediaType")?.as_str().map(str::to_owned)
    };
    told.filter(|it| it.starts_with("application/vnd."))
        .or_else(own)
        .unwrap_or_else(|| OCI_MANIFEST.to_owned())
}

/// The path of the next page, where the answer names one: only a path, so that it stays with the registry.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = text(headers, &LINK)?;
    let (address, relation) = link.split_once('>')?;
    let address = address.trim().strip_prefix('<')?;
    let is_next = relation.contains("rel=\"next\"") || relation.contains("rel=next");
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|at| &rest[at..])?,
        None => address,
    };
    (is_next && path.starts_with("/v2/")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_next_page_is_a_path_of_the_same_registry() {
        let next =
            |text: &str| next_page(&HeaderMap::from_iter([(LINK, HeaderValue::from_str(text).unwrap())]));
        let path = Some("/v2/a/tags/list?last=b&n=2".to_owned());
        assert_eq!(next("</v2/a/tags/list?last=b&n=2>; rel=\"next\""), path);
        assert_eq!(next("<https://other.example/v2/a/tags/list?last=b&n=2>; rel=\"next\""), path);
        assert_eq!(next("</v2/a/tags/list>; rel=\"prev\""), None);
        assert_eq!(next("<//other.example/>; rel=\"next\""), None);
    }
}
