//! A database that somebody else runs: a Postgres behind TLS, in a stack of its own that this one knows nothing of.

use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::certificates::Authority;
use crate::checkout::{Checkout, podman, xtask};
use crate::home;

/// What containers call the host that they run on, and the certificate the server.
const HOST: &str = "host.containers.internal";

/// With the three roles, each with a password and no more rights than it needs; it goes with the value.
pub(crate) struct Given {
    folder: TempDir,
    name: String,
    port: u16,
    authority: Authority,
    password: String,
}

/// The image is the table's; where it cannot be pulled, its stand-in takes its place.
const COMPOSE: &str = "\
services:
  server:
    image: IMAGE
    stop_signal: SIGINT
    ports: [\"PORT:5432\"]
    environment: { POSTGRES_DB: slipway, POSTGRES_PASSWORD_FILE: /given/admin }
    volumes:
      - data:/var/lib/postgresql/data
      - ./given:/given:ro
      - ./given/10-bootstrap.sql:/docker-entrypoint-initdb.d/10-bootstrap.sql:ro
      - ./given/20-given.sh:/docker-entrypoint-initdb.d/20-given.sh:ro
    healthcheck:
      test: [\"CMD\", \"pg_isready\", \"--quiet\", \"--host=127.0.0.1\", \"--username=postgres\"]
volumes:
  data: {}
";

/// Passwords for the roles, a certificate, and nobody who comes over a network without both.
const SET_UP: &str = r#"set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=slipway <<'SQL'
\set password `cat /given/password`
ALTER ROLE slipway_owner PASSWORD :'password';
ALTER ROLE slipway_deployer PASSWORD :'password';
ALTER ROLE slipway_app PASSWORD :'password';
ALTER SYSTEM SET ssl = on;
SQL
cp /given/server.crt /given/server.key "$PGDATA/"
chmod 0600 "$PGDATA/server.key"
printf 'local all all trust\nhostssl all all all scram-sha-256\n' > "$PGDATA/pg_hba.conf"
"#;

impl Given {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let name = format!("given-{}", name.replace(['.', '_'], ""));
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let authority = Authority::new("the one who runs it");
        let password = uuid::Uuid::new_v4().simple().to_string();
        let given = Self { folder, name, port, authority, password };
        let image = table_entry("postgres");
        given.write("compose.yaml", &COMPOSE.replace("IMAGE", &image).replace("PORT", &port.to_string()));
        given.write("Cargo.toml", "[package]\nname = \"given\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
        given.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"given\"\nversion = \"1.0.0\"\n");
        given.write("src/lib.rs", "//! Given.\n");
        let shown = given.authority.certifies(HOST);
        let bootstrap = fs::read_to_string(home().join(".config/postgres/bootstrap.sql")).unwrap();
        for (file, content) in [
            ("10-bootstrap.sql", bootstrap.as_str()),
            ("20-given.sh", SET_UP),
            ("admin", &uuid::Uuid::new_v4().simple().to_string()),
            ("password", &given.password),
            ("server.crt", &shown.certificate),
            ("server.key", &shown.key),
        ] {
            given.write(&format!("given/{file}"), content);
        }
        let said = xtask(&given.root(), &["up"]);
        assert_eq!(said.code, Some(0), "{}", said.text);
        given
    }

    /// The address of a role, as a secret's file holds it.
    pub(crate) fn url(&self, role: &str) -> String {
        self.url_of(&format!("slipway_{role}"), &self.password)
    }

    pub(crate) fn url_of(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@{HOST}:{}/slipway", self.port)
    }

    /// Tells a checkout all that `.env.external.example` asks for.
    pub(crate) fn introduce(&self, to: &Checkout) {
        for role in ["owner", "deployer", "app"] {
            to.write(&format!(".env.secrets/external/{role}-url"), &self.url(role));
        }
        to.write(".env.secrets/external/database-ca", &self.authority.pem());
    }

    /// What its administrator is answered.
    pub(crate) fn asked(&self, query: &str) -> String {
        let psql = ["psql", "--no-psqlrc", "--no-align", "--tuples-only", "--username=postgres"];
        let asked = ["--dbname=slipway", "--command", query];
        podman(&[&["exec", &self.container()], &psql[..], &asked].concat()).trim().to_owned()
    }

    pub(crate) fn stops(&self) {
        podman(&["stop", &self.container()]);
    }

    pub(crate) fn starts(&self) {
        let said = xtask(&self.root(), &["up"]);
        assert_eq!(said.code, Some(0), "{}", said.text);
    }

    fn container(&self) -> String {
        format!("{}_server_1", self.name)
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join(&self.name)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        xtask(&self.root(), &["down", "--volumes"]);
    }
}

/// The public image of the table `[images.bases.NAME]`.
pub(crate) fn table_entry(name: &str) -> String {
    let text = fs::read_to_string(home().join(".config/xtask.toml")).unwrap();
    let (_, table) = text.split_once(&format!("[images.bases.{name}]\n")).unwrap();
    let image = table.lines().find_map(|it| it.strip_prefix("image = \"")?.strip_suffix('"'));
    image.unwrap().to_owned()
}
