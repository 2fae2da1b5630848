//! The auth file of podman, skopeo and docker: credentials by registry, or by a path on one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;

use super::{Credentials, CredentialsError, Secret};
use crate::reference::Repository;

/// A parsed auth file.
#[derive(Debug, Clone)]
pub struct AuthFile {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    identitytoken: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(***)")
    }
}

impl AuthFile {
    /// Reads a file that `podman login --authfile` or `docker login` wrote.
    ///
    /// # Errors
    /// When it cannot be read or is no auth file.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = fs::read_to_string(path)
            .map_err(|error| CredentialsError::Unreadable { path: path.to_owned(), error })?;
        let content = serde_json::from_str(&text).map_err(|error| {
            // serde quotes what it met, which may be the secret: where it stands must do.
            let why = format!("not the JSON of one at line {}, column {}", error.line(), error.column());
            CredentialsError::NoAuthFile { path: path.to_owned(), why }
        })?;
        Ok(Self { path: path.to_owned(), content })
    }

    /// The credentials for a repository: the entry with the longest path that holds it, or a refusal where a helper has them.
    pub(super) fn of(&self, repository: &Repository) -> Result<Option<Credentials>, CredentialsError> {
        let registry = repository.registry();
        let helped = |helper: &String| CredentialsError::Helper {
            path: self.path.clone(),
            registry: registry.to_owned(),
            helper: helper.clone(),
        };
        if let Some(helper) = self.content.cred_helpers.get(registry) {
            return Err(helped(helper));
        }
        let name = repository.to_string();
        let holding = self.content.auths.iter().filter_map(|(key, entry)| {
            let key = plain(key);
            let holds = name.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'));
            holds.then_some((key.len(), entry))
        });
        let found = holding.max_by_key(|(length, _)| *length).map(|(_, entry)| entry);
        match (found, &self.content.creds_store) {
            (Some(entry), _) if !entry.auth.is_empty() => self.decoded(registry, entry).map(Some),
            (Some(entry), _) if !entry.identitytoken.is_empty() => Err(CredentialsError::IdentityToken {
                path: self.path.clone(),
                registry: registry.to_owned(),
            }),
            (_, Some(helper)) => Err(helped(helper)),
            (Some(_) | None, None) => Ok(None),
        }
    }

    fn decoded(&self, registry: &str, entry: &Entry) -> Result<Credentials, CredentialsError> {
        let decoded = BASE64.decode(&entry.auth).ok().and_then(|it| String::from_utf8(it).ok());
        let Some((user, password)) = decoded.as_deref().and_then(|it| it.split_once(':')) else {
            let why = format!("its entry for `{registry}` is not a user and a password in base64");
            return Err(CredentialsError::NoAuthFile { path: self.path.clone(), why });
        };
        // Old versions of docker pad the password with zero bytes.
        let password = Secret::new(password.trim_end_matches('\0'));
        Ok(Credentials { user: user.to_owned(), password, source: self.path.display().to_string() })
    }
}

/// Keys of docker's may be addresses: `https://registry.example/v1/`.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    if key == "index.docker.io" { "docker.io" } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<AuthFile, CredentialsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        fs::write(&path, text).unwrap();
        AuthFile::read(&path).map(|it| AuthFile { path: "auth.json".into(), ..it }).map_err(|error| {
            match error {
                CredentialsError::NoAuthFile { why, .. } => {
                    CredentialsError::NoAuthFile { path: "auth.json".into(), why }
                }
                other => other,
            }
        })
    }

    fn user(text: &str, repository: &str) -> Result<Option<String>, String> {
        let found = file(text).map_err(|it| it.to_string())?.of(&repository.parse().unwrap());
        found.map(|it| it.map(|it| it.user)).map_err(|it| it.to_string())
    }

    fn auth(user: &str) -> String {
        format!(r#"{{"auth":"{}"}}"#, BASE64.encode(format!("{user}:a:b")))
    }

    #[test]
    fn the_longest_path_decides() {
        let text = format!(
            r#"{{"auths":{{"h.x":{},"h.x/team":{},"https://index.docker.io/v1/":{}}}}}"#,
            auth("all"),
            auth("team"),
            auth("hub")
        );
        assert_eq!(user(&text, "h.x/other/a"), Ok(Some("all".to_owned())));
        assert_eq!(user(&text, "h.x/team/a"), Ok(Some("team".to_owned())));
        assert_eq!(user(&text, "h.x/teams/a"), Ok(Some("all".to_owned())));
        assert_eq!(user(&text, "docker.io/library/rust"), Ok(Some("hub".to_owned())));
        assert_eq!(user(&text, "h.y/a"), Ok(None));
    }

    #[test]
    fn a_password_may_hold_colons() {
        let text = format!(r#"{{"auths":{{"h.x":{}}}}}"#, auth("ann"));
        let found = file(&text).unwrap().of(&"h.x/a".parse().unwrap()).unwrap().unwrap();
        assert_eq!(found.password.reveal(), "a:b");
    }

    #[test]
    fn helpers_and_identity_tokens_are_refused_with_what_helps() {
        insta::assert_snapshot!(user(r#"{"credHelpers":{"h.x":"ecr-login"}}"#, "h.x/a").unwrap_err(), @"`auth.json` leaves the credentials of `h.x` to the credential helper `ecr-login`, which is not started here; `podman login --authfile FILE h.x` writes a file that holds them");
        insta::assert_snapshot!(user(r#"{"auths":{"h.x":{}},"credsStore":"desktop"}"#, "h.x/a").unwrap_err(), @"`auth.json` leaves the credentials of `h.x` to the credential helper `desktop`, which is not started here; `podman login --authfile FILE h.x` writes a file that holds them");
        insta::assert_snapshot!(user(r#"{"auths":{"h.x":{"identitytoken":"it"}}}"#, "h.x/a").unwrap_err(), @"`auth.json` has an identity token for `h.x`, which is not supported; use a user and a password or an access token: `podman login --authfile FILE h.x`");
    }

    #[test]
    fn a_broken_file_is_told_without_its_content() {
        let error = user(r#"{"auths":{"h.x":"s3cret"}}"#, "h.x/a").unwrap_err();
        insta::assert_snapshot!(error, @"`auth.json` is no auth file: not the JSON of one at line 1, column 24; `podman login --authfile auth.json REGISTRY` writes one");
        let error = user(r#"{"auths":{"h.x":{"auth":"s3cret"}}}"#, "h.x/a").unwrap_err();
        insta::assert_snapshot!(error, @"`auth.json` is no auth file: its entry for `h.x` is not a user and a password in base64; `podman login --authfile auth.json REGISTRY` writes one");
    }
}
