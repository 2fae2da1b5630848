//! The record of a release: written once, signed once, and attached to every image that it tells of.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;

use super::{Publishing, Refusal, refusal, tags::Place};
use crate::{
    Digest, Error, Record,
    attach::{self, Attached, Document, RECORD_TYPE},
    record::{self, RECORD_MAX, SCHEMA, Service},
    registry::RegistryError,
    verify::{self, FINGERPRINT_LABEL, Policy, REVISION_LABEL, Sbom},
};

/// Its file, and that of its signature.
pub(super) const RECORD: &str = "release.json";
const SIGNATURE: &str = "release.json.sig";

impl Publishing<'_> {
    /// Writes the record into the release's folder and attaches it to every image.
    pub(super) async fn record(&self, places: &[Place<'_>]) -> Result<(), Refusal> {
        let record = self.recorded(places).await?.to_bytes();
        let signature = self.signature(places, &record).await?;
        refusal::written(&self.order.folder.join(SIGNATURE), signature.as_bytes())?;
        refusal::written(&self.order.folder.join(RECORD), &record)?;
        let document = Document::record(record.clone(), signature.clone());
        for place in places {
            let (service, image) = (&place.image.service, &place.pushed.digest);
            if self.attached(place, &record).await?.is_some() {
                self.say(format!("{service}: the record is there"));
                continue;
            }
            self.say(format!("{service}: attach the record"));
            attach::attach(self.registry, &place.repository, image, &document).await?;
        }
        Ok(())
    }

    async fn recorded(&self, places: &[Place<'_>]) -> Result<Record, Refusal> {
        let order = self.order;
        let mut services = BTreeMap::new();
        for place in places {
            let policy = Policy { keys: self.trusted.clone(), sbom: Sbom::Optional, ..Policy::default() };
            let (repository, digest) = (place.repository.clone(), place.pushed.digest.clone());
            let verified = verify::verify(self.registry, &repository, &digest, &policy).await?;
            let label = |name: &str| verified.labels.get(name).cloned();
            let service = Service {
                built_from: label(REVISION_LABEL).unwrap_or_else(|| order.commit.clone()),
                fingerprint: label(FINGERPRINT_LABEL).unwrap_or_default(),
                sbom: place.pushed.sbom.clone(),
                signed_by: verified.signed_by,
                repository,
                digest,
            };
            services.insert(place.image.service.clone(), service);
        }
        Ok(Record {
            schema: SCHEMA,
            version: order.version.clone(),
            commit: order.commit.clone(),
            created_at: order.created_at,
            services,
            evidence: order.evidence.clone(),
            accepted: order.accepted.clone(),
        })
    }

    /// A signature of these very bytes that a trusted key made before, else a new one: each is another one, and one is enough.
    async fn signature(&self, places: &[Place<'_>], record: &[u8]) -> Result<String, Refusal> {
        for place in places {
            if let Some(signature) = self.attached(place, record).await? {
                return Ok(signature);
            }
        }
        let written = fs::read_to_string(self.order.folder.join(SIGNATURE)).unwrap_or_default();
        if record::verify(record, &written, self.trusted).is_ok() {
            return Ok(written);
        }
        self.say(format!("record: sign {}", Digest::of(record)));
        record::sign(record, "", self.key).map_err(|error| Error::from(error).into())
    }

    /// The trusted signature with which these very bytes are attached to an image, if they are.
    async fn attached(&self, place: &Place<'_>, record: &[u8]) -> Result<Option<String>, Refusal> {
        let (repository, digest) = (&place.repository, Digest::of(record));
        let documents =
            attach::attached(self.registry, repository, &place.pushed.digest, RECORD_TYPE).await?;
        for Attached { parts, .. } in documents {
            let [told, signature] = parts.as_slice() else { continue };
            if told.digest != digest {
                continue;
            }
            let read: Result<Bytes, RegistryError> =
                self.registry.blob_bytes(repository, signature, RECORD_MAX).await;
            let signature = String::from_utf8_lossy(&read?).into_owned();
            if record::verify(record, &signature, self.trusted).is_ok() {
                return Ok(Some(signature));
            }
        }
        Ok(None)
    }
}
