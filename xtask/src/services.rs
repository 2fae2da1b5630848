//! The services of a workspace, found by `[package.metadata.service]` in their own manifests.

use std::path::Path;

use anyhow::anyhow;
use cargo_metadata::Metadata;
use serde::Deserialize;

/// A crate that becomes an image.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The crate's name, which is its folder's and its binary's.
    pub(crate) name: String,
    pub(crate) manifest: Manifest,
}

/// `[package.metadata.service]` of a crate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Manifest {
    pub(crate) kind: Kind,
    /// The Containerfile's target.
    pub(crate) image: String,
    /// The port that it listens on; a job has none.
    pub(crate) port: Option<u16>,
    /// The path that answers 200 once it can work; a job has none.
    pub(crate) health: Option<String>,
    /// The role that it uses the database as; without one it has no database.
    pub(crate) database_role: Option<Role>,
    /// The service that it forwards to.
    pub(crate) upstream: Option<Upstream>,
    /// The variables without which it does not start, and of which every service that names one has the same value.
    /// Where its image is only tried, that value is random.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Runs until it is told to stop.
    Service,
    /// Runs to its end before the services start.
    Job,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    Owner,
    Deployer,
    App,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// The variable that takes its address.
    pub(crate) env: String,
    pub(crate) service: String,
}

impl Service {
    /// All services, jobs first, then in an order in which each comes after the one that it forwards to.
    ///
    /// # Errors
    /// When a manifest says something that is not a setting, or names an upstream that does not exist.
    pub(crate) fn all(metadata: &Metadata, root: &Path) -> anyhow::Result<Vec<Self>> {
        let mut found = Vec::new();
        for package in metadata.workspace_packages() {
            let Some(value) = package.metadata.get("service") else { continue };
            let manifest = Manifest::deserialize(value).map_err(|error| {
                let file = package.manifest_path.as_std_path();
                let file = file.strip_prefix(root).unwrap_or(file).display();
                anyhow!("{file}: [package.metadata.service]: {error}")
            })?;
            found.push(Self { name: package.name.to_string(), manifest });
        }
        in_order(found)
    }
}

fn in_order(mut waiting: Vec<Service>) -> anyhow::Result<Vec<Service>> {
    waiting.sort_by_key(|it| (it.manifest.kind != Kind::Job, it.name.clone()));
    let mut ordered: Vec<Service> = Vec::new();
    while !waiting.is_empty() {
        let ready = |it: &Service| {
            let upstream = it.manifest.upstream.as_ref();
            upstream.is_none_or(|up| ordered.iter().any(|other| other.name == up.service))
        };
        let Some(index) = waiting.iter().position(ready) else {
            let service = &waiting[0];
            let upstream = service.manifest.upstream.as_ref().map_or("", |it| &it.service);
            return Err(anyhow!(
                "`{}` forwards to `{upstream}`, which is not a service of this workspace or forwards back; \
                 see `upstream` in its Cargo.toml",
                service.name
            ));
        };
        ordered.push(waiting.remove(index));
    }
    Ok(ordered)
}

#[cfg(test)]
impl Service {
    /// For tests: one that needs nothing.
    pub(crate) fn plain(name: &str) -> Self {
        let manifest = Manifest {
            kind: Kind::Service,
            image: format!("{name}-runtime"),
            port: Some(1),
            health: None,
            database_role: None,
            upstream: None,
            secrets: Vec::new(),
        };
        Self { name: name.into(), manifest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, upstream: Option<&str>) -> Service {
        let mut service = Service::plain(name);
        service.manifest.upstream = upstream.map(|it| Upstream { env: "UP".into(), service: it.into() });
        service
    }

    #[test]
    fn a_service_comes_after_the_one_that_it_forwards_to() {
        let ordered =
            in_order(vec![service("a", Some("b")), service("b", Some("c")), service("c", None)]).unwrap();
        assert_eq!(ordered.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
    }

    #[test]
    fn an_upstream_that_does_not_exist_is_named() {
        let error = in_order(vec![service("edge", Some("nowhere"))]).unwrap_err();
        insta::assert_snapshot!(error, @"`edge` forwards to `nowhere`, which is not a service of this workspace or forwards back; see `upstream` in its Cargo.toml");
    }
}
