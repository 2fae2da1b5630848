//! What children may see of the caller's environment.

use std::{collections::BTreeMap, ffi::OsString};

use crate::tools;

/// Variables that a child may see. Everything else of the caller's stays out, so that a laptop and a runner agree.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "COLUMNS",
    "TMPDIR",
    "TZ",
    "CI",
    "RUSTUP_HOME",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_UPDATE_ROOT",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "APT_CONFIG",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "CONTAINERS_CONF_OVERRIDE",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "REGISTRY_AUTH_FILE",
];

/// Prefixes of variables that a child may see: cargo's network and registries, XDG folders, the tool's own.
const ALLOWED_PREFIXES: &[&str] = &[
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "INSTA_",
    "XDG_",
    "XTASK_",
];

/// What a child sees of the caller's variables.
pub(crate) fn seen_by_children() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_allowed))
}

/// The caller's environment, reduced to what may decide nothing, plus what makes tools speak the same everywhere.
pub(super) fn allowed_environment() -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = seen_by_children().collect();
    environment.insert("LC_ALL".into(), "C.UTF-8".into());
    environment.insert("PATH".into(), tools::path_with_tools());
    environment
}

fn is_allowed(name: &str) -> bool {
    ALLOWED.contains(&name) || ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_sets_for_xtask_and_what_points_at_a_database_stays_out() {
        for name in
            ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_CFG_UNIX", "RUSTFLAGS", "DATABASE_URL", "PGHOST"]
        {
            assert!(!is_allowed(name), "{name}");
        }
        for name in ["PATH", "HTTPS_PROXY", "XTASK_POSTGRES", "CARGO_REGISTRIES_ACME_INDEX"] {
            assert!(is_allowed(name), "{name}");
        }
    }
}
