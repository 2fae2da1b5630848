//! How the worker asks registries about images, and whose signatures it trusts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use release::credentials::AuthFile;
use release::registry::Options;
use release::verify::{Policy, SERVICE_LABEL, Sbom};
use release::{Digest, Error, Logins, Registry, Repository, TrustedKeys};
use serde::Serialize;
use service::settings::FromSetting;
use store::releases::Image;

/// Whose signatures count: the public keys of a PEM file.
#[derive(Clone, Debug)]
pub(crate) struct Keys(TrustedKeys);

/// Who asks: a file as `podman login --authfile` writes it.
#[derive(Clone, Debug)]
pub(crate) struct Account(Logins);

/// Registries that are spoken to without TLS.
#[derive(Clone, Debug)]
pub(crate) struct Insecure(BTreeSet<String>);

/// What is found out about an image at its registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Finding {
    /// It is there, signed by a trusted key, with its SBOM.
    Verified { signed_by: Vec<String> },
    /// It is not there, or not what was released.
    Refused { why: String },
    /// Nobody said whose signatures count.
    NotChecked,
}

/// Registries, and what must hold of images there.
#[derive(Clone, Debug)]
pub(crate) struct Registries {
    registry: Registry,
    keys: Option<TrustedKeys>,
}

impl Registries {
    /// # Errors
    /// This host's certificate authorities cannot be used.
    pub(crate) fn new(
        keys: Option<Keys>,
        account: Option<Account>,
        insecure: Option<Insecure>,
    ) -> Result<Self, Error> {
        let options = Options {
            logins: account.map_or_else(Logins::none, |it| it.0),
            insecure: insecure.map(|it| it.0).unwrap_or_default(),
            ..Options::default()
        };
        Ok(Self { registry: Registry::new(options)?, keys: keys.map(|it| it.0) })
    }

    /// Finds out whether an image is there and is what was released.
    ///
    /// # Errors
    /// The registry did not answer, or not to this worker: another time it may.
    pub(crate) async fn look_at(&self, image: &Image) -> Result<Finding, Error> {
        let Some(keys) = self.keys.clone() else { return Ok(Finding::NotChecked) };
        let (repository, digest) =
            match (image.repository.parse::<Repository>(), image.digest.parse::<Digest>()) {
                (Ok(repository), Ok(digest)) => (repository, digest),
                (Err(error), _) => return Ok(Finding::Refused { why: error.to_string() }),
                (_, Err(error)) => return Ok(Finding::Refused { why: error.to_string() }),
            };
        let labels = BTreeMap::from([(SERVICE_LABEL.to_owned(), image.service.clone())]);
        let policy = Policy { keys, identity: None, labels, sbom: Sbom::Required };
        match release::verify(&self.registry, &repository, &digest, &policy).await {
            Ok(verified) => {
                let signed_by = verified.signed_by.iter().map(ToString::to_string).collect();
                Ok(Finding::Verified { signed_by })
            }
            Err(Error::Refusal(refusal)) => Ok(Finding::Refused { why: refusal.to_string() }),
            Err(error) => Err(error),
        }
    }
}

impl FromSetting for Keys {
    const EXPECTED: &'static str =
        "a path to a PEM file of public keys, as `release keys public` prints them";

    fn from_setting(text: &str) -> Option<Self> {
        TrustedKeys::from_files(&[Path::new(text)]).ok().map(Self)
    }

    fn reason(text: &str) -> Option<String> {
        TrustedKeys::from_files(&[Path::new(text)]).err().map(|error| error.to_string())
    }
}

impl FromSetting for Account {
    const EXPECTED: &'static str = "a path to a file that `podman login --authfile` wrote";

    fn from_setting(text: &str) -> Option<Self> {
        AuthFile::read(Path::new(text)).ok().map(|file| Self(Logins::from_file(file)))
    }

    fn reason(text: &str) -> Option<String> {
        AuthFile::read(Path::new(text)).err().map(|error| error.to_string())
    }
}

impl FromSetting for Insecure {
    const EXPECTED: &'static str = "hosts, with their port or for any, and commas between them";

    fn from_setting(text: &str) -> Option<Self> {
        let hosts: BTreeSet<String> = text.split(',').map(|host| host.trim().to_owned()).collect();
        hosts.iter().all(|host| !host.is_empty() && !host.contains(['/', ' '])).then_some(Self(hosts))
    }
}
