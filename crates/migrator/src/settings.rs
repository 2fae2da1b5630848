//! What the migrator is told by its environment.

use service::settings::{DatabaseUrl, LogFilter, Reader, Seconds, Setting, Settings as _};

use crate::failure::Failure;

service::settings! {
    /// The logins, and how long to wait for others.
    pub(crate) struct Settings {
        /// The deployer's login.
        pub(crate) deployer: DatabaseUrl = "DATABASE_URL";
        /// The owner's login: needed only where migrations that production's owner ran are missing.
        pub(crate) owner: Option<DatabaseUrl> = "OWNER_DATABASE_URL";
        /// How long to wait for another migrator to finish.
        pub(crate) wait: Seconds = "MIGRATOR_WAIT_S", default "60";
        /// How long one statement waits for a table before the migration gives up.
        pub(crate) lock_timeout: Seconds = "MIGRATOR_LOCK_TIMEOUT_S", default "5";
        /// Which events are logged.
        pub(crate) log: LogFilter = "LOG", default "info";
    }
}

/// A database and a role in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login<'a> {
    pub(crate) url: &'a DatabaseUrl,
    /// The variable that named it.
    pub(crate) variable: &'static str,
}

impl Settings {
    /// Every setting, for `--help`.
    pub(crate) fn table() -> &'static [Setting] {
        Self::TABLE
    }

    /// Reads them, or tells every fault at once.
    pub(crate) fn from_environment(mut reader: Reader) -> Result<Self, Failure> {
        let settings = Self::read(&mut reader);
        let settings = reader.finish(settings).map_err(|faults| Failure::Usage(faults.to_string()))?;
        if settings.lock_timeout.0.is_zero() {
            let text = "`MIGRATOR_LOCK_TIMEOUT_S` is `0`, which waits for ever: set at least 1";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(settings)
    }

    /// The deployer's login.
    pub(crate) fn deployer(&self) -> Login<'_> {
        Login { url: &self.deployer, variable: "DATABASE_URL" }
    }

    /// The owner's login, for a purpose that cannot do without.
    pub(crate) fn owner_for(&self, purpose: &str) -> Result<Login<'_>, Failure> {
        let login = |url| Login { url, variable: "OWNER_DATABASE_URL" };
        self.owner.as_ref().map(login).ok_or_else(|| {
            Failure::Usage(format!(
                "{purpose}: set `OWNER_DATABASE_URL`, or `OWNER_DATABASE_URL_FILE`, to the owner's login"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(environment: &[(&str, &str)]) -> String {
        match Settings::from_environment(Reader::from_variables(environment)) {
            Ok(_) => panic!("accepted"),
            Err(failure) => format!("{failure} (exit code {})", failure.exit_code()),
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_explained() {
        insta::assert_snapshot!(refused(&[]), @"`DATABASE_URL` is not set, expected a `postgres://` URL; or name a file that holds it in `DATABASE_URL_FILE` (exit code 2)");
        let no_timeout =
            [("DATABASE_URL", "postgres://deployer:hush@db/x"), ("MIGRATOR_LOCK_TIMEOUT_S", "0")];
        insta::assert_snapshot!(refused(&no_timeout), @"`MIGRATOR_LOCK_TIMEOUT_S` is `0`, which waits for ever: set at least 1 (exit code 2)");
    }
}
