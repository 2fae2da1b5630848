//! An address of a server, from which those of its other databases and roles follow.

use std::{fmt, fmt::Write as _, path::Path};

/// A Postgres URL in its parts; what it prints has no password.
#[derive(Clone)]
pub(crate) struct Address {
    /// User and, where given, password of the superuser, as they stand in the URL.
    credentials: String,
    /// Host and port, as they stand in the URL.
    host: String,
    /// The parameters that are not about user or database.
    query: Vec<String>,
    /// The superuser's URL, database `postgres`.
    admin: String,
}

impl Address {
    /// Takes a URL apart, or says what is wrong with it (without quoting it: it may hold a password).
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or("it does not begin with `postgres://`")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.split('/').next().unwrap_or_default();
        let (credentials, host) = authority.rsplit_once('@').ok_or("it names no user")?;
        if credentials.is_empty() || credentials.starts_with(':') {
            return Err("it names no user");
        }
        let query = query
            .split('&')
            .filter(|it| !it.is_empty())
            .filter(|it| !["user", "password", "dbname"].contains(&it.split('=').next().unwrap_or_default()))
            .map(ToOwned::to_owned)
            .collect();
        Ok(Self::new(credentials.to_owned(), host.to_owned(), query))
    }

    /// A server that listens in `directory`, whose superuser is `postgres`.
    pub(crate) fn of_socket(directory: &Path, port: Option<u16>) -> Self {
        let host = format!("host={}", escaped(&directory.to_string_lossy()));
        let server = port.map_or_else(|| "localhost".to_owned(), |port| format!("localhost:{port}"));
        Self::new("postgres".to_owned(), server, vec![host])
    }

    /// Superuser, database `postgres`.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// Superuser, another database.
    pub(crate) fn admin_of(&self, database: &str) -> String {
        written(&self.credentials, &self.host, database, &self.query)
    }

    /// Another database and role; without a password, unless the role is the superuser itself.
    pub(crate) fn of(&self, database: &str, user: &str) -> String {
        if self.credentials.split(':').next() == Some(&escaped(user)) {
            return self.admin_of(database);
        }
        written(&escaped(user), &self.host, database, &self.query)
    }

    fn new(credentials: String, host: String, query: Vec<String>) -> Self {
        let admin = written(&credentials, &host, "postgres", &query);
        Self { credentials, host, query, admin }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.split(':').next().unwrap_or_default();
        write!(f, "{user}@{}", self.host)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn written(credentials: &str, host: &str, database: &str, query: &[String]) -> String {
    let mut url = format!("postgres://{credentials}@{host}/{}", escaped(database));
    for (i, parameter) in query.iter().enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        url.push_str(parameter);
    }
    url
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_databases_and_roles_keep_the_server_but_not_the_password() {
        let given =
            Address::parse("postgresql://admin:s3cret@db:5433/x?sslmode=disable&user=y").expect("valid");
        assert_eq!(given.admin(), "postgres://admin:s3cret@db:5433/postgres?sslmode=disable");
        assert_eq!(given.of("a b", "app"), "postgres://app@db:5433/a%20b?sslmode=disable");
        assert_eq!(given.of("a", "admin"), "postgres://admin:s3cret@db:5433/a?sslmode=disable");
        assert_eq!(format!("{given} {given:?}"), "admin@db:5433 Address(admin@db:5433)");
    }

    #[test]
    fn a_socket_is_a_parameter() {
        let socket = Address::of_socket(Path::new("/tmp/spg"), None);
        assert_eq!(socket.of("d", "app"), "postgres://app@localhost/d?host=%2Ftmp%2Fspg");
    }

    #[test]
    fn what_is_no_address_is_told_without_quoting_it() {
        assert_eq!(Address::parse("mysql://a:b@c/d").err(), Some("it does not begin with `postgres://`"));
        assert_eq!(Address::parse("postgres://db/d").err(), Some("it names no user"));
    }
}
