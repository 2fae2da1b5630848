//! Who asks a registry: credentials from an auth file, the environment or standard input, never from a command line.

mod auth_file;

use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
};

pub use auth_file::AuthFile;

use crate::reference::Repository;

/// Names the user that a registry knows.
pub const USER_VARIABLE: &str = "SLIPWAY_REGISTRY_USER";
/// Holds that user's password or token.
pub const PASSWORD_VARIABLE: &str = "SLIPWAY_REGISTRY_PASSWORD";
/// Names an auth file, as podman and skopeo read it.
pub const AUTH_FILE_VARIABLE: &str = "REGISTRY_AUTH_FILE";
/// Bytes of a password on standard input; more is no password.
const PASSWORD_MAX: u64 = 64 * 1024;

/// Text that is not shown, whoever prints what holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A user and a password, with where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name at the registry.
    pub user: String,
    /// The user's password, or a token in its place.
    pub password: Secret,
    /// Where they were found, as an error tells it.
    pub source: String,
}

/// Which credentials go to which registry.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    /// For one registry only: they are never sent to another.
    fixed: Option<(String, Credentials)>,
    file: Option<AuthFile>,
}

/// Where a command finds credentials. What comes first here wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The password is read from standard input; the user is named by `SLIPWAY_REGISTRY_USER`.
    pub password_on_stdin: Option<PasswordOnStdin>,
    /// `--authfile`.
    pub auth_file: Option<PathBuf>,
}

/// The caller said that the password comes on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordOnStdin;

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is not there or cannot be read.
    #[error("cannot read the auth file `{}`: {error}; `podman login --authfile {} REGISTRY` writes one", path.display(), path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What it holds is no auth file.
    #[error("`{}` is no auth file: {why}; `podman login --authfile {} REGISTRY` writes one", path.display(), path.display())]
    NoAuthFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, without anything of its content.
        why: String,
    },
    /// A program would have to be asked.
    #[error(
        "`{}` leaves the credentials of `{registry}` to the credential helper `{helper}`, which is not started here; \
         `podman login --authfile FILE {registry}` writes a file that holds them", path.display()
    )]
    Helper {
        /// The auth file.
        path: PathBuf,
        /// Whose credentials are asked for.
        registry: String,
        /// The helper's name in the file.
        helper: String,
    },
    /// The file holds a token that only exchanges for others.
    #[error(
        "`{}` has an identity token for `{registry}`, which is not supported; use a user and a password or an \
         access token: `podman login --authfile FILE {registry}`", path.display()
    )]
    IdentityToken {
        /// The auth file.
        path: PathBuf,
        /// Whose credentials are asked for.
        registry: String,
    },
    /// One of a pair is not set.
    #[error("`{set}` is set and `{missing}` is not; set both or neither")]
    Half {
        /// The variable that is set.
        set: &'static str,
        /// The variable that lacks.
        missing: &'static str,
    },
    /// Standard input holds no password.
    #[error("standard input holds no password: {0}")]
    Stdin(String),
}

impl Secret {
    /// Keeps the text from being shown.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Whoever asks sees to it that it is not shown.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Logins {
    /// Asks without credentials.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These credentials for this registry, and none for any other.
    #[must_use]
    pub fn fixed(registry: impl Into<String>, credentials: Credentials) -> Self {
        Self { fixed: Some((registry.into(), credentials)), file: None }
    }

    /// The credentials that an auth file has.
    #[must_use]
    pub fn from_file(file: AuthFile) -> Self {
        Self { fixed: None, file: Some(file) }
    }

    /// Finds credentials where `sources` and the environment say, for a command that works on `registry`.
    ///
    /// Standard input comes first, then `--authfile`, then the pair of variables, then `REGISTRY_AUTH_FILE`.
    ///
    /// # Errors
    /// When what was named cannot be used. That nothing was named is no error: public images need no credentials.
    pub fn find(
        registry: &str,
        sources: &Sources,
        variable: &dyn Fn(&str) -> Option<String>,
        stdin: &mut dyn Read,
    ) -> Result<Self, CredentialsError> {
        let set = |name| variable(name).filter(|it| !it.is_empty());
        if sources.password_on_stdin.is_some() {
            let Some(user) = set(USER_VARIABLE) else {
                return Err(CredentialsError::Stdin(format!("`{USER_VARIABLE}` must name whose it is")));
            };
            let (password, source) = (password(stdin)?, "standard input".to_owned());
            return Ok(Self::fixed(registry, Credentials { user, password, source }));
        }
        if let Some(path) = &sources.auth_file {
            return Ok(Self::from_file(AuthFile::read(path)?));
        }
        match (set(USER_VARIABLE), set(PASSWORD_VARIABLE)) {
            (Some(user), Some(password)) => {
                let source = format!("{USER_VARIABLE} and {PASSWORD_VARIABLE}");
                let credentials = Credentials { user, password: Secret::new(password), source };
                return Ok(Self::fixed(registry, credentials));
            }
            (Some(_), None) => {
                return Err(CredentialsError::Half { set: USER_VARIABLE, missing: PASSWORD_VARIABLE });
            }
            (None, Some(_)) => {
                return Err(CredentialsError::Half { set: PASSWORD_VARIABLE, missing: USER_VARIABLE });
            }
            (None, None) => {}
        }
        let file = set(AUTH_FILE_VARIABLE).map(|path| AuthFile::read(Path::new(&path))).transpose()?;
        Ok(Self { fixed: None, file })
    }

    /// The credentials for a repository, where there are some.
    ///
    /// # Errors
    /// When the auth file leaves them to a program, or has a kind that is not supported.
    pub fn of(&self, repository: &Repository) -> Result<Option<Credentials>, CredentialsError> {
        if let Some((registry, credentials)) = &self.fixed
            && registry == repository.registry()
        {
            return Ok(Some(credentials.clone()));
        }
        self.file.as_ref().map_or(Ok(None), |file| file.of(repository))
    }
}

fn password(stdin: &mut dyn Read) -> Result<Secret, CredentialsError> {
    let mut text = String::new();
    let read = stdin.take(PASSWORD_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| CredentialsError::Stdin(error.to_string()))?;
    let password = text.trim_end_matches(['\n', '\r']);
    match password.len() as u64 {
        0 => Err(CredentialsError::Stdin("it is empty".to_owned())),
        1..=PASSWORD_MAX => Ok(Secret::new(password)),
        _ => Err(CredentialsError::Stdin("it is too long".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(sources: &Sources, set: &[(&str, &str)], stdin: &str) -> Result<Logins, CredentialsError> {
        let variable =
            |name: &str| set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
        Logins::find("localhost:5000", sources, &variable, &mut stdin.as_bytes())
    }

    fn repository(text: &str) -> Repository {
        text.parse().unwrap()
    }

    #[test]
    fn credentials_of_one_registry_are_not_sent_to_another() {
        let set = [(USER_VARIABLE, "ann"), (PASSWORD_VARIABLE, "correct horse")];
        let logins = find(&Sources::default(), &set, "").unwrap();
        assert_eq!(logins.of(&repository("localhost:5000/a")).unwrap().unwrap().user, "ann");
        assert_eq!(logins.of(&repository("localhost:5001/a")).unwrap(), None);
    }

    #[test]
    fn a_password_is_never_shown() {
        let set = [(USER_VARIABLE, "ann"), (PASSWORD_VARIABLE, "correct horse")];
        let logins = find(&Sources::default(), &set, "").unwrap();
        let shown = format!("{logins:?} {:?}", logins.of(&repository("localhost:5000/a")));
        assert!(!shown.contains("horse"), "{shown}");
    }

    #[test]
    fn a_password_on_standard_input_comes_first() {
        let set = [(USER_VARIABLE, "ann"), (PASSWORD_VARIABLE, "other")];
        let sources = Sources { password_on_stdin: Some(PasswordOnStdin), auth_file: None };
        let logins = find(&sources, &set, "correct horse\n").unwrap();
        let found = logins.of(&repository("localhost:5000/a")).unwrap().unwrap();
        assert_eq!((found.password.reveal(), found.source.as_str()), ("correct horse", "standard input"));
        insta::assert_snapshot!(find(&sources, &set, "\n").unwrap_err(), @"standard input holds no password: it is empty");
        insta::assert_snapshot!(find(&sources, &[], "it").unwrap_err(), @"standard input holds no password: `SLIPWAY_REGISTRY_USER` must name whose it is");
    }

    #[test]
    fn half_a_pair_is_refused() {
        insta::assert_snapshot!(
            find(&Sources::default(), &[(USER_VARIABLE, "ann")], "").unwrap_err(),
            @"`SLIPWAY_REGISTRY_USER` is set and `SLIPWAY_REGISTRY_PASSWORD` is not; set both or neither"
        );
    }

    #[test]
    fn nothing_named_is_nobody() {
        assert_eq!(
            find(&Sources::default(), &[], "").unwrap().of(&repository("localhost:5000/a")).unwrap(),
            None
        );
    }
}
