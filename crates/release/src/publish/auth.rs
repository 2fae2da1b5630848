//! Credentials for podman: an auth file that is in no folder and goes with the process, however that ends.

use std::{fs::File, io::Write as _, os::fd::AsRawFd as _, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustix::fs::{MemfdFlags, memfd_create};

use super::refusal::Refusal;
use crate::Credentials;

/// An auth file in memory. Children inherit it, and find it at its path.
#[derive(Debug)]
pub(super) struct AuthInMemory {
    file: File,
}

impl AuthInMemory {
    /// For one registry, with these credentials or with none: whatever login the user has besides is not used.
    pub(super) fn new(registry: &str, credentials: Option<&Credentials>) -> Result<Self, Refusal> {
        let failed = |error: std::io::Error| {
            Refusal::environment(
                "release-file",
                format!("cannot hold credentials in memory: {error}"),
                "free -h",
            )
        };
        let auths = credentials.map(|it| {
            let auth = BASE64.encode(format!("{}:{}", it.user, it.password.reveal()));
            (registry.to_owned(), serde_json::json!({ "auth": auth }))
        });
        let auths: serde_json::Map<_, _> = auths.into_iter().collect();
        // Without the flag that closes it: podman, and what podman starts in its place, read it.
        let memory = memfd_create("auth.json", MemfdFlags::empty()).map_err(|it| failed(it.into()))?;
        let mut file = File::from(memory);
        let text = serde_json::json!({ "auths": auths }).to_string();
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(Self { file })
    }

    /// Its path, for a child of this process.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }
}
