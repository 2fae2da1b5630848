//! The settings: what the environment says about where the scratch server comes from.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::error::Error;

/// The major version when `XTASK_POSTGRES_MAJOR` is not set.
const DEFAULT_MAJOR: u32 = 15;

/// The image when `XTASK_POSTGRES_IMAGE` is not set, per major version: exact tags, never one that moves.
const IMAGES: &[(u32, &str)] = &[
    (14, "docker.io/library/postgres:14.19-bookworm"),
    (15, "docker.io/library/postgres:15.14-bookworm"),
    (16, "docker.io/library/postgres:16.10-bookworm"),
    (17, "docker.io/library/postgres:17.6-bookworm"),
];

/// Where a server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A server that somebody gave, by `XTASK_POSTGRES_URL`.
    Url,
    /// The server binaries of this host.
    Local,
    /// A container, over podman's Docker-compatible socket.
    Container,
}

/// Everything that decides how a server is started.
#[derive(Clone)]
pub struct Options {
    /// The only provider to try; otherwise all, in order.
    pub provider: Option<Provider>,
    /// A server whose owner said that it may be used up: superuser, any database.
    pub url: Option<String>,
    /// Also listens on loopback, with TLS and nothing else; only the local provider can.
    pub tls: Option<Tls>,
    /// The wanted major version of Postgres.
    pub major: u32,
    /// Names the run in databases and containers: lower-case letters, digits and `_`.
    pub run_id: String,
    /// The image of the container provider, with an exact tag.
    pub image: Option<String>,
    /// Where a private directory may be made, best first.
    pub directories: Vec<PathBuf>,
    /// Where the initialised data directory is kept between runs; without it each start initialises one.
    pub cache: Option<PathBuf>,
    /// The folders of `PATH`.
    pub search_path: Vec<PathBuf>,
    /// `DOCKER_HOST`, as testcontainers understands it.
    pub docker_host: Option<String>,
    /// `XDG_RUNTIME_DIR`, where a user's podman listens.
    pub runtime_dir: Option<PathBuf>,
    /// The configuration that podman was told to use.
    pub containers_conf: Option<PathBuf>,
    /// The `scratch-postgres` program, which holds containers; otherwise searched beside the running one.
    pub program: Option<PathBuf>,
}

/// How a server is reached with TLS.
#[derive(Clone)]
pub struct Tls {
    /// The loopback port.
    pub port: u16,
    /// Its certificate, as PEM.
    pub certificate: String,
    /// The key that belongs to it, as PEM.
    pub key: String,
}

impl Provider {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Url, Self::Local, Self::Container];

    /// As `XTASK_POSTGRES` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Local => "local",
            Self::Container => "container",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Options {
    /// What the process's environment says. `DATABASE_URL` is never read: it may be staging.
    ///
    /// # Errors
    /// [`Error::Usage`] when a variable has a value that means nothing.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables; empty ones count as not set.
    ///
    /// # Errors
    /// [`Error::Usage`] when a variable has a value that means nothing.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        Ok(Self {
            provider: get("XTASK_POSTGRES").map(|value| parse_provider(&value)).transpose()?,
            url: get("XTASK_POSTGRES_URL"),
            tls: None,
            major: get("XTASK_POSTGRES_MAJOR").map_or(Ok(DEFAULT_MAJOR), |value| parse_major(&value))?,
            run_id: get("XTASK_RUN_ID").map_or_else(own_run_id, |value| identifier(&value)),
            image: get("XTASK_POSTGRES_IMAGE").map(parse_image).transpose()?,
            directories: directories(path("XTASK_POSTGRES_DIR"), path("TMPDIR")),
            cache: path("XDG_CACHE_HOME")
                .or_else(|| path("HOME").map(|home| home.join(".cache")))
                .map(|cache| cache.join("slipway/postgres")),
            search_path: get("PATH").map(|it| std::env::split_paths(&it).collect()).unwrap_or_default(),
            docker_host: get("DOCKER_HOST"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            containers_conf: path("CONTAINERS_CONF"),
            program: path("XTASK_SCRATCH_POSTGRES"),
        })
    }

    /// The image of the container provider.
    pub fn image(&self) -> Option<&str> {
        let default = IMAGES.iter().find(|(major, _)| *major == self.major).map(|(_, image)| *image);
        self.image.as_deref().or(default)
    }
}

impl fmt::Debug for Options {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("provider", &self.provider)
            .field("url", &self.url.as_ref().map(|_| "…"))
            .field("major", &self.major)
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

/// Lower-case letters, digits and `_`: what a database, a container and a file may all be called.
pub(crate) fn identifier(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn parse_provider(value: &str) -> Result<Provider, Error> {
    Provider::ALL.into_iter().find(|it| it.name() == value).ok_or_else(|| {
        Error::Usage(format!(
            "`XTASK_POSTGRES` is `{value}`; set it to `url`, `local` or `container`, or unset it"
        ))
    })
}

fn parse_major(value: &str) -> Result<u32, Error> {
    value.parse().ok().filter(|major| (10..100).contains(major)).ok_or_else(|| {
        Error::Usage(format!("`XTASK_POSTGRES_MAJOR` is `{value}`; set it to a major version such as `15`"))
    })
}

fn parse_image(value: String) -> Result<String, Error> {
    let tag = value.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match tag {
        Some(tag) if !tag.is_empty() && tag != "latest" && value.contains('/') => Ok(value),
        _ => Err(Error::Usage(format!(
            "`XTASK_POSTGRES_IMAGE` is `{value}`; give the full name and an exact tag, such as `{}`",
            IMAGES[1].1
        ))),
    }
}

/// Memory first: making and removing the thousand files of a data directory is five times faster there.
fn directories(own: Option<PathBuf>, temporary: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(own) = own {
        return vec![own];
    }
    let mut all = Vec::new();
    let memory = Path::new("/dev/shm");
    if has_room(memory) {
        all.push(memory.to_owned());
    }
    all.extend(temporary);
    all.push("/tmp".into());
    all
}

/// Whether the file system has a gibibyte to spare; a container's `/dev/shm` has 64 MiB.
fn has_room(directory: &Path) -> bool {
    const ENOUGH: u64 = 1 << 30;
    rustix::fs::statvfs(directory).is_ok_and(|it| it.f_bavail.saturating_mul(it.f_frsize) >= ENOUGH)
}

fn own_run_id() -> String {
    format!("p{:x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Result<Options, Error> {
        Options::from_lookup(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn refused(name: &str, value: &str) -> String {
        options(&[(name, value)]).expect_err("the value means nothing").to_string()
    }

    #[test]
    fn a_value_that_means_nothing_is_told_with_the_values_that_do() {
        insta::assert_snapshot!(refused("XTASK_POSTGRES", "docker"), @"`XTASK_POSTGRES` is `docker`; set it to `url`, `local` or `container`, or unset it");
        insta::assert_snapshot!(refused("XTASK_POSTGRES_MAJOR", "15.2"), @"`XTASK_POSTGRES_MAJOR` is `15.2`; set it to a major version such as `15`");
        insta::assert_snapshot!(refused("XTASK_POSTGRES_IMAGE", "postgres:15"), @"`XTASK_POSTGRES_IMAGE` is `postgres:15`; give the full name and an exact tag, such as `docker.io/library/postgres:15.14-bookworm`");
        insta::assert_snapshot!(refused("XTASK_POSTGRES_IMAGE", "localhost:5000/postgres"), @"`XTASK_POSTGRES_IMAGE` is `localhost:5000/postgres`; give the full name and an exact tag, such as `docker.io/library/postgres:15.14-bookworm`");
    }

    #[test]
    fn the_ambient_database_url_is_never_used() {
        let options = options(&[("DATABASE_URL", "postgres://staging/app")]).expect("nothing is wrong");
        assert_eq!(options.url, None);
    }

    #[test]
    fn debug_output_has_no_password() {
        let options =
            options(&[("XTASK_POSTGRES_URL", "postgres://a:s3cret@h/d")]).expect("nothing is wrong");
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[test]
    fn the_run_id_becomes_a_part_of_names() {
        let options = options(&[("XTASK_RUN_ID", "2026-11-21T00:10")]).expect("nothing is wrong");
        assert_eq!(options.run_id, "2026_11_21t00_10");
    }
}
